import pytest

from proxy.identity.claims import IssuerRules
from proxy.signin.failures import NotBelieved
from proxy.signin.logout_token import Logout, logout_of

RULES = IssuerRules("https://keycloak.example", frozenset({"kaas"}), leeway_seconds=10)
NOW = 1000.0
EVENT = {"http://schemas.openid.net/event/backchannel-logout": {}}


def judged(**changes: object) -> Logout:
    whole = {"aud": "mosk-proxy", "iat": 990, "exp": 1110, "jti": "t1", "events": EVENT, "sub": "ann", "sid": "sid-1"} | changes
    return logout_of({name: value for name, value in whole.items() if value is not None}, RULES, "mosk-proxy", NOW)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Logout("t1", "ann", "sid-1", 120)),
        ({"sid": None}, Logout("t1", "ann", None, 120)),
        ({"sub": None}, Logout("t1", None, "sid-1", 120)),
        ({"aud": ["other", "mosk-proxy"]}, Logout("t1", "ann", "sid-1", 120)),
        ({"exp": None}, Logout("t1", "ann", "sid-1", 300)),
        ({"exp": 100_000}, Logout("t1", "ann", "sid-1", 300)),
        ({"iat": 1009}, Logout("t1", "ann", "sid-1", 120)),
        ({"exp": 991}, Logout("t1", "ann", "sid-1", 1)),
        ({"events": {**EVENT, "urn:other": {}}}, Logout("t1", "ann", "sid-1", 120)),
    ],
)
def test_a_logout_token_says_who_is_signed_out(changes, expected):
    assert judged(**changes) == expected


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"aud": None}, "aud"),
        ({"aud": "kaas"}, "aud"),
        ({"aud": {"mosk-proxy": 1}}, "aud"),
        ({"events": None}, "events"),
        ({"events": {}}, "events"),
        ({"events": []}, "events"),
        ({"events": "http://schemas.openid.net/event/backchannel-logout"}, "events"),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": True}}, "events"),
        ({"events": {"urn:other": {}}}, "events"),
        ({"nonce": "n"}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"iat": None}, "iat"),
        ({"iat": "990"}, "iat"),
        ({"iat": True}, "iat"),
        ({"iat": -1}, "iat"),
        ({"iat": 10**400}, "iat"),
        ({"iat": 1011}, "future"),
        ({"iat": 600, "exp": None}, "too old"),
        ({"iat": 600, "exp": 2000}, "too old"),
        ({"exp": 990}, "too old"),
        ({"exp": "soon"}, "exp"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 1}, "jti"),
        ({"jti": "x" * 513}, "jti"),
        ({"sub": None, "sid": None}, "neither"),
        ({"sub": ["ann"]}, "sub"),
        ({"sid": ""}, "sid"),
        ({"sid": {"$ne": 1}}, "sid"),
    ],
)
def test_a_token_that_breaks_a_rule_signs_nobody_out(changes, word):
    with pytest.raises(NotBelieved, match=word):
        judged(**changes)

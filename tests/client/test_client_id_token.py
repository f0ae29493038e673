import json
import time

import pytest
from client_issuer import Issuer, jwk

from proxy.client.errors import ClientError
from proxy.client.id_token import Expected, display_name, kept_tokens, roles_of, unverified_claims, verified
from proxy.errors import Unauthenticated
from proxy.issuers.keys import SUPPORTED_ALGORITHMS, parse_key_set

ISSUER = Issuer(url="https://issuer.example/realm")
KEYS = parse_key_set(json.dumps({"keys": [jwk("first")]}).encode(), SUPPORTED_ALGORITHMS)
EXPECTED = Expected("https://issuer.example/realm", "kaas", nonce="n1", subject="f150d839")


def test_a_good_token_gives_its_claims():
    token = ISSUER.mint(nonce="n1")
    claims = verified(token, KEYS, EXPECTED, time.time())
    assert (claims["sub"], display_name(claims), roles_of(claims)) == ("f150d839", "ann", ("m:kaas:team-a@writer",))
    tokens = kept_tokens(token, "r", claims)
    assert (tokens.id_token, tokens.refresh_token, tokens.subject) == (token, "r", "f150d839")
    assert (tokens.issued_at, tokens.expires_at) == (claims["iat"], claims["exp"])
    assert unverified_claims(token) == claims


def test_without_a_nonce_or_a_subject_to_expect_any_will_do():
    verified(ISSUER.mint(sub="other"), KEYS, Expected(ISSUER.url, "kaas"), time.time())


@pytest.mark.parametrize("changes", [{"aud": ["kaas"]}, {"aud": ["kaas", "k8s"]}, {"aud": "kaas", "azp": "kaas"}])
def test_the_client_may_be_one_of_several_audiences(changes):
    verified(ISSUER.mint(nonce="n1", **changes), KEYS, EXPECTED, time.time())


NOW = int(time.time())
BAD = {
    "signed by somebody else": ({"key": "foreign"}, "signature not valid"),
    "by a key that is not published": ({"kid": "foreign"}, "signature not valid"),
    "symmetric": ({"algorithm": "HS256"}, "token algorithm not accepted"),
    "unsigned": ({"algorithm": "none"}, "token algorithm not accepted"),
    "other issuer": ({"iss": "https://issuer.example/realm/"}, "token issuer not accepted"),
    "other audience": ({"aud": "k8s"}, "token not for this service"),
    "no audience": ({"aud": None}, "token without a valid aud"),
    "other party": ({"azp": "k8s"}, "token for another client"),
    "several audiences, no party": ({"aud": ["kaas", "k8s"], "azp": None}, "token for another client"),
    "other nonce": ({"nonce": "n2"}, "token of another sign-in"),
    "no nonce": ({"nonce": None}, "token of another sign-in"),
    "other user": ({"sub": "somebody"}, "token for another user"),
    "no user": ({"sub": ""}, "token without a valid sub"),
    "expired": ({"iat": NOW - 1000, "exp": NOW - 61}, "token expired"),
    "of the future": ({"iat": NOW + 90, "exp": NOW + 400}, "token not yet valid"),
    "no expiry": ({"exp": None}, "token without a valid exp"),
    "a refresh token": ({"typ": "Refresh"}, "token type not accepted"),
    "a logout token": ({"events": {}}, "token type not accepted"),
    "the system itself": ({"iam_roles": ["system:masters"]}, "group not accepted"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_a_token_that_is_not_exactly_ours_is_refused(changes, message):
    with pytest.raises(Unauthenticated) as caught:
        verified(ISSUER.mint(**{"nonce": "n1", "iat": NOW, "exp": NOW + 300, **changes}), KEYS, EXPECTED, NOW)
    assert caught.value.message == message


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "é.b.c", ISSUER.mint()[:40]])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(Unauthenticated):
        verified(token, KEYS, EXPECTED, NOW)
    with pytest.raises(ClientError, match="the kept token cannot be read; sign in again"):
        unverified_claims(token)


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "ann", "email": "a@x", "sub": "1"}, "ann"),
        ({"preferred_username": "", "email": "a@x", "sub": "1"}, "a@x"),
        ({"preferred_username": 7, "sub": "1"}, "1"),
        ({"preferred_username": "\x1b[2Jann", "sub": "1"}, "[2Jann"),
    ],
)
def test_a_user_is_called_by_the_best_name_there_is(claims, name):
    assert display_name(claims) == name

import subprocess
import sys
from dataclasses import replace

import pytest

from proxy.errors import Unauthenticated
from proxy.identity.claims import IssuerRules, identity

NOW = 1_700_000_000.0
ISSUER = "https://keycloak.example/auth/realms/iam"
RULES = IssuerRules(issuer=ISSUER, audiences=frozenset({"kaas", "k8s"}))
CLAIMS = {
    "iss": ISSUER,
    "sub": "f150d839",
    "aud": "kaas",
    "exp": NOW + 300,
    "iat": NOW,
    "preferred_username": "ann",
    "iam_roles": ["m:kaas:team-a@writer", "offline_access"],
}
ABSENT = object()


def believed(changes=None, rules=RULES, now=NOW):
    claims = {name: value for name, value in {**CLAIMS, **(changes or {})}.items() if value is not ABSENT}
    return identity(claims, b"token", rules, now)


def message(changes=None, rules=RULES, now=NOW):
    try:
        believed(changes, rules, now)
    except Unauthenticated as error:
        return error.message
    return None


def test_an_identity_holds_what_the_token_says():
    ann = believed({"jti": "j1", "sid": "s1", "email": "ann@a.example", "name": "Ann A.", "aud": ["other", "k8s"]})
    assert (ann.issuer, ann.subject, ann.username) == (ISSUER, "f150d839", "ann")
    assert ann.groups == ("m:kaas:team-a@writer", "offline_access")
    assert ann.roles.strings == ("m:kaas:team-a@writer",)
    assert ann.audiences == {"other", "k8s"}
    assert ann.expires_at == NOW + 300 + 60
    assert (ann.token, ann.token_id, ann.session_id, ann.email, ann.full_name) == (
        b"token",
        "j1",
        "s1",
        "ann@a.example",
        "Ann A.",
    )
    assert "token" not in repr(ann)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": ABSENT}, "token issuer not accepted"),
        ({"iss": ISSUER + "/"}, "token issuer not accepted"),
        ({"iss": [ISSUER]}, "token issuer not accepted"),
        # cross-use: tokens for another purpose, signed with the same key
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, "token type not accepted"),
        ({"events": None}, "token type not accepted"),
        ({"events": False}, "token type not accepted"),
        ({"typ": "Refresh"}, "token type not accepted"),
        ({"typ": "refresh"}, "token type not accepted"),
        ({"typ": "Offline"}, "token type not accepted"),
        ({"typ": "Bearer"}, None),
        ({"typ": "ID"}, None),
        ({"typ": ["Refresh"]}, None),
        # moments
        ({"exp": ABSENT}, "token without a valid exp"),
        ({"exp": None}, "token without a valid exp"),
        ({"exp": str(NOW + 300)}, "token without a valid exp"),
        ({"exp": True}, "token without a valid exp"),
        ({"exp": float("nan")}, "token without a valid exp"),
        ({"exp": float("inf")}, "token without a valid exp"),
        ({"exp": 10**400}, "token without a valid exp"),
        ({"exp": -1}, "token without a valid exp"),
        ({"exp": [NOW + 300]}, "token without a valid exp"),
        ({"iat": ABSENT}, "token without a valid iat"),
        ({"iat": None}, "token without a valid iat"),
        ({"iat": str(NOW)}, "token without a valid iat"),
        ({"iat": False}, "token without a valid iat"),
        ({"iat": -(10**400)}, "token without a valid iat"),
        ({"nbf": "now"}, "token without a valid nbf"),
        ({"nbf": None}, "token without a valid nbf"),
        ({"nbf": True}, "token without a valid nbf"),
        ({"exp": NOW - 60}, "token expired"),
        ({"exp": NOW - 59, "iat": NOW - 300}, None),
        ({"iat": NOW + 60}, None),
        ({"iat": NOW + 61}, "token not yet valid"),
        ({"nbf": NOW + 60}, None),
        ({"nbf": NOW + 61}, "token not yet valid"),
        ({"nbf": NOW - 3600}, None),
        ({"exp": NOW + 24 * 3600}, None),
        ({"exp": NOW + 24 * 3600 + 1}, "token lifetime too long"),
        ({"exp": NOW + 60, "iat": NOW - 24 * 3600}, "token lifetime too long"),
        # audience
        ({"aud": ABSENT}, "token without a valid aud"),
        ({"aud": None}, "token without a valid aud"),
        ({"aud": {"kaas": 1}}, "token without a valid aud"),
        ({"aud": ["kaas", 1]}, "token without a valid aud"),
        ({"aud": [["kaas"]]}, "token without a valid aud"),
        ({"aud": []}, "token not for this service"),
        ({"aud": ""}, "token not for this service"),
        ({"aud": "os"}, "token not for this service"),
        ({"aud": "kaas k8s"}, "token not for this service"),
        ({"aud": "KAAS"}, "token not for this service"),
        ({"aud": ["os", "account"]}, "token not for this service"),
        ({"aud": ["os", "k8s"]}, None),
        # names
        ({"sub": ABSENT}, "token without a valid sub"),
        ({"sub": None}, "token without a valid sub"),
        ({"sub": ""}, "token without a valid sub"),
        ({"sub": 7}, "token claim not accepted"),
        ({"sub": ["a"]}, "token claim not accepted"),
        ({"sub": "a\r\nb"}, "token claim not accepted"),
        ({"preferred_username": ABSENT}, "token without a username"),
        ({"preferred_username": None}, "token without a username"),
        ({"preferred_username": ""}, "token without a username"),
        ({"preferred_username": ["ann"]}, "token without a username"),
        ({"preferred_username": 7}, "token without a username"),
        ({"preferred_username": "system:admin"}, "username not accepted"),
        ({"preferred_username": "system:"}, "username not accepted"),
        ({"preferred_username": "ann\x00"}, "username not accepted"),
        ({"preferred_username": "ann\nImpersonate-Group: x"}, "username not accepted"),
        ({"preferred_username": "ann\r"}, "username not accepted"),
        ({"preferred_username": "ann\x7f"}, "username not accepted"),
        ({"preferred_username": "ann\x85"}, "username not accepted"),
        ({"preferred_username": "ann\ud800"}, "username not accepted"),
        ({"preferred_username": "a@evil@corp"}, None),  # no part of a name decides anything
        ({"preferred_username": "Jörg"}, None),
        ({"preferred_username": "the system:admin"}, None),
        ({"jti": 1}, "token claim not accepted"),
        ({"sid": ["s"]}, "token claim not accepted"),
        ({"email": {"a": 1}}, "token claim not accepted"),
        ({"email": "a@b\n"}, "token claim not accepted"),
        ({"name": 1}, "token claim not accepted"),
        ({"name": "a\x1b[31m"}, "token claim not accepted"),
        ({"name": None, "jti": None, "sid": None, "email": None}, None),
        # groups
        ({"iam_roles": ["m:kaas@reader", "system:masters"]}, "group not accepted"),
        ({"iam_roles": ["system:masters"]}, "group not accepted"),
        ({"iam_roles": "system:masters"}, "group not accepted"),
        ({"iam_roles": ["a\nsystem:masters"]}, "group not accepted"),
        ({"iam_roles": ["a\x00b"]}, "group not accepted"),
        ({"iam_roles": ["é", "a\x9fb"]}, "group not accepted"),
        ({"iam_roles": ["a system:masters", "asystem:b", "System:x"]}, None),
    ],
)
def test_claims_are_judged_one_by_one(changes, expected):
    assert message(changes) == expected


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        (ABSENT, ()),
        (None, ()),
        ([], ()),
        ("", ()),
        ({"m:kaas@reader": 1}, ()),
        ("m:kaas@reader", ("m:kaas@reader",)),
        ("m:kaas@reader,m:kaas@writer", ("m:kaas@reader,m:kaas@writer",)),
        ("m:kaas@reader m:kaas@writer", ("m:kaas@reader m:kaas@writer",)),
        (["b", "a", "b", "", "c"], ("b", "a", "c")),
        (["devs,system:masters"], ("devs,system:masters",)),
        (["a", 1, None, ["m:kaas@writer"], {"x": 1}, True], ("a",)),
    ],
)
def test_groups_are_the_strings_of_the_claim_in_order(claim, groups):
    assert believed({"iam_roles": claim}).groups == groups


def test_three_hundred_groups_are_kept():
    roles = [f"m:k8s:team-{n}:prod@cluster-admin" for n in range(300)]
    ann = believed({"iam_roles": roles})
    assert (ann.groups, ann.roles.strings) == (tuple(roles), tuple(roles))


def test_prefixes_are_for_upstreams_and_roles_are_read_without_them():
    ann = believed(rules=replace(RULES, username_prefix="oidc:", groups_prefix="mosk:"))
    assert ann.username == "oidc:ann"
    assert ann.groups == ("mosk:m:kaas:team-a@writer", "mosk:offline_access")
    assert ann.roles.strings == ("m:kaas:team-a@writer",)
    assert ann.groups_prefix == "mosk:"


@pytest.mark.parametrize(
    ("rules", "changes", "expected"),
    [
        (replace(RULES, username_prefix="system:"), {}, "username not accepted"),
        (replace(RULES, username_prefix="sys"), {"preferred_username": "tem:x"}, "username not accepted"),
        (replace(RULES, username_prefix="oidc:"), {"preferred_username": "system:x"}, "username not accepted"),
        (replace(RULES, username_prefix="a\n"), {}, "username not accepted"),
        (replace(RULES, groups_prefix="system:"), {}, "group not accepted"),
        (replace(RULES, groups_prefix="sys"), {"iam_roles": ["tem:masters"]}, "group not accepted"),
        (replace(RULES, groups_prefix="oidc:"), {"iam_roles": ["system:masters"]}, "group not accepted"),
    ],
)
def test_a_prefix_does_not_make_a_reserved_name(rules, changes, expected):
    assert message(changes, rules) == expected


# An option that is set to something impossible must deny.
@pytest.mark.parametrize(
    ("rules", "changes", "expected"),
    [
        (replace(RULES, audiences=frozenset()), {}, "token not for this service"),
        (replace(RULES, audiences=frozenset(), extra_audiences=frozenset({"kaas"})), {}, None),
        (replace(RULES, username_claim="nobody"), {}, "token without a username"),
        (replace(RULES, username_claim="sub"), {"sub": "system:x"}, "username not accepted"),
        (replace(RULES, groups_claim="groups"), {"groups": ["system:masters"]}, "group not accepted"),
        (replace(RULES, leeway_seconds=0), {"iat": NOW + 1}, "token not yet valid"),
        (replace(RULES, max_lifetime_hours=0), {}, "token lifetime too long"),
        (replace(RULES, required_claims={"acr": "gold"}), {}, "token without a required claim"),
        (replace(RULES, required_claims={"acr": None}), {}, "token without a required claim"),
        (replace(RULES, required_claims={"acr": "gold"}), {"acr": "GOLD"}, "token without a required claim"),
        (replace(RULES, required_claims={"acr": "gold"}), {"acr": ["gold"]}, "token without a required claim"),
        (replace(RULES, required_claims={"acr": "gold"}), {"acr": "gold"}, None),
        (replace(RULES, required_claims={"mfa": True}), {"mfa": 1}, "token without a required claim"),
        (replace(RULES, required_claims={"mfa": 1}), {"mfa": True}, "token without a required claim"),
        (replace(RULES, required_claims={"mfa": True}), {"mfa": True}, None),
        (replace(RULES, required_claims={"mfa": True, "acr": "x"}), {"mfa": True}, "token without a required claim"),
        (replace(RULES, required_claims={"x": {"a": 1, "b": 2}}), {"x": {"b": 2, "a": 1}}, None),
    ],
)
def test_every_rule_of_the_issuer_has_effect(rules, changes, expected):
    assert message(changes, rules) == expected


@pytest.mark.parametrize(
    ("verified", "expected", "address"),
    [
        (ABSENT, None, "ann@a"),
        (True, None, "ann@a"),
        (False, "token without a username", None),
        ("true", "token without a username", None),
    ],
)
def test_an_address_that_the_issuer_disowns_is_no_name(verified, expected, address):
    changes = {"email": "ann@a", "email_verified": verified}
    assert message(changes, replace(RULES, username_claim="email")) == expected
    assert believed(changes).email == address


def test_the_room_is_pure():
    modules = "proxy.identity.credentials, proxy.identity.tokens, proxy.identity.claims, proxy.identity.principal"
    program = (
        f"import sys; before = set(sys.modules); import {modules}; "
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(loaded & {'aiohttp', 'asyncio', 'uvloop', 'httptools', 'ssl', 'socket', 'jwt'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

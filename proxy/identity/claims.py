"""What a token must say before it speaks for somebody: claims and the issuer's rules in, an Identity out.

The claims come from `tokens.verified_claims`: their signature is good, their content is still the issuer's word alone. A name that
would mean something special behind the proxy (`system:masters`, a line break in a header) is refused whoever signed it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from proxy.errors import Unauthenticated
from proxy.identity.principal import Identity
from proxy.identity.tokens import Claims
from proxy.policy.roles import RoleSet, role_strings

_RESERVED = "system:"
_ASCII_CONTROLS = bytes(range(0x20)) + b"\x7f"
_OTHER_CONTROLS = re.compile("[\x80-\x9f\ud800-\udfff]")
_LATEST_MOMENT = 253_402_300_799  # the end of the year 9999: beyond it a number is no date
_SECONDS_PER_HOUR = 3600

# Payload types of Keycloak that authenticate a client to the issuer, and nobody to anybody else (RFC 8725 section 3.12).
_TYPES_FOR_THE_ISSUER = frozenset({"refresh", "offline"})


@dataclass(frozen=True, slots=True)
class IssuerRules:
    """What the tokens of one issuer must look like; the keys of the configuration file of the same names.

    `extra_audiences` are accepted beside `audiences` (the sign-in's client id). `required_claims` maps a claim to its exact value.
    Prefixes are put before the username and the groups that upstreams see; roles are read without them.
    """

    issuer: str
    audiences: frozenset[str]
    username_claim: str = "preferred_username"
    groups_claim: str = "iam_roles"
    username_prefix: str = ""
    groups_prefix: str = ""
    algorithms: frozenset[str] = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
    required_claims: Mapping[str, object] = field(default_factory=dict)
    leeway_seconds: float = 60
    max_lifetime_hours: float = 24
    extra_audiences: frozenset[str] = frozenset()


def identity(claims: Claims, token: bytes, rules: IssuerRules, now: float) -> Identity:
    """Return whom verified claims speak for at the moment `now` (seconds since the epoch); raises Unauthenticated."""
    if claims.get("iss") != rules.issuer:
        raise Unauthenticated("token issuer not accepted", detail="signed by a key of another issuer than it names")
    _refuse_other_purposes(claims)
    expires_at = _expiry(claims, rules, now)
    audiences = _audiences(claims, rules)
    _check_required(claims, rules.required_claims)
    strings = role_strings(claims.get(rules.groups_claim))
    return Identity(
        issuer=rules.issuer,
        subject=_subject(claims),
        username=_username(claims, rules),
        groups=_groups(strings, rules.groups_prefix),
        roles=RoleSet.from_strings(strings),
        audiences=audiences,
        expires_at=expires_at,
        token=token,
        token_id=_optional_text(claims, "jti"),
        session_id=_optional_text(claims, "sid"),
        email=_verified_email(claims),
        full_name=_optional_text(claims, "name"),
        groups_prefix=rules.groups_prefix,
    )


def _refuse_other_purposes(claims: Claims) -> None:
    # RFC 8725 section 3.12: a security event (a logout token) or a refresh token, signed with the same key, is no identity.
    if "events" in claims:
        raise Unauthenticated("token type not accepted", detail="events claim")
    purpose = claims.get("typ")
    if isinstance(purpose, str) and purpose.lower() in _TYPES_FOR_THE_ISSUER:
        raise Unauthenticated("token type not accepted", detail=f"payload typ {purpose}")


def _expiry(claims: Claims, rules: IssuerRules, now: float) -> float:
    """Return the moment from which the token is refused, leeway included (RFC 7519 section 4.1.4)."""
    expires, issued = _moment(claims, "exp"), _moment(claims, "iat")
    if expires - issued > rules.max_lifetime_hours * _SECONDS_PER_HOUR:
        raise Unauthenticated("token lifetime too long", detail=f"{expires - issued:.0f} seconds")
    not_before = _moment(claims, "nbf") if "nbf" in claims else issued
    if max(issued, not_before) > now + rules.leeway_seconds:
        raise Unauthenticated("token not yet valid", detail=f"{max(issued, not_before) - now:.0f} seconds ahead")
    if now >= expires + rules.leeway_seconds:
        raise Unauthenticated("token expired", detail=f"{now - expires:.0f} seconds ago")
    return expires + rules.leeway_seconds


def _moment(claims: Claims, name: str) -> float:
    value = claims.get(name)
    # True is an int to Python.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LATEST_MOMENT:
        raise Unauthenticated(f"token without a valid {name}")
    return float(value)


def _audiences(claims: Claims, rules: IssuerRules) -> frozenset[str]:
    value = claims.get("aud")
    members = [value] if isinstance(value, str) else value
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise Unauthenticated("token without a valid aud")
    audiences = frozenset(members)
    if audiences.isdisjoint(rules.audiences) and audiences.isdisjoint(rules.extra_audiences):
        raise Unauthenticated("token not for this service", detail=f"aud {sorted(audiences)!r:.200}")
    return audiences


def _check_required(claims: Claims, required: Mapping[str, object]) -> None:
    for name, value in required.items():
        # Compared as JSON, where true is not 1 and 1 is not 1.0; == of Python says otherwise.
        if name not in claims or _canonical(claims[name]) != _canonical(value):
            raise Unauthenticated("token without a required claim", detail=f"claim {name!r}")


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _subject(claims: Claims) -> str:
    subject = _optional_text(claims, "sub")
    if not subject:
        raise Unauthenticated("token without a valid sub")
    return subject


def _username(claims: Claims, rules: IssuerRules) -> str:
    name = claims.get(rules.username_claim)
    if not isinstance(name, str) or not name:
        raise Unauthenticated("token without a username", detail=f"claim {rules.username_claim!r}")
    # Kubernetes, apiserver `plugin/pkg/authenticator/token/oidc`: an address counts as a name only while it is not disowned.
    if rules.username_claim == "email" and claims.get("email_verified", True) is not True:
        raise Unauthenticated("token without a username", detail="email not verified")
    prefixed = rules.username_prefix + name
    if name.startswith(_RESERVED) or prefixed.startswith(_RESERVED) or _has_controls(prefixed):
        raise Unauthenticated("username not accepted", detail=f"username {name!r:.200}")
    return prefixed


def _groups(strings: Iterable[str], prefix: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, strings)))
    groups = tuple(prefix + name for name in names) if prefix else names
    if _has_controls("".join(groups)) or _any_reserved(names) or (prefix and _any_reserved(groups)):
        raise Unauthenticated("group not accepted", detail="a group that begins with system: or holds a control character")
    return groups


def _any_reserved(names: tuple[str, ...]) -> bool:
    # One search instead of a thousand calls; no name holds a line break here.
    return f"\n{_RESERVED}" in "\n" + "\n".join(names)


def _optional_text(claims: Claims, name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or _has_controls(value):
        raise Unauthenticated("token claim not accepted", detail=f"claim {name}")
    return value


def _verified_email(claims: Claims) -> str | None:
    email = _optional_text(claims, "email")
    return email if claims.get("email_verified", True) is True else None


def _has_controls(text: str) -> bool:
    if text.isascii() and text.isprintable():
        return False
    # Twenty times faster than a regular expression over 30 KB of ASCII.
    octets = text.encode("utf-8", "surrogatepass")
    return len(octets.translate(None, _ASCII_CONTROLS)) != len(octets) or (
        not text.isascii() and _OTHER_CONTROLS.search(text) is not None
    )

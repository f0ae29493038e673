"""Logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.6): who is to be signed out, if the issuer really says so."""

from dataclasses import dataclass
from typing import Final

from proxy.identity.claims import IssuerRules
from proxy.identity.tokens import Claims
from proxy.signin.failures import NotBelieved

# `logout+jwt` is recommended, not required; that it is no other token is told by `events`, which no identity may have.
LOGOUT_TYPES: Final = frozenset({"logout+jwt", "application/logout+jwt", "jwt"})
_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_MOST_SECONDS: Final = 300.0
_MOST_CHARACTERS: Final = 512
_LATEST_MOMENT: Final = 253_402_300_799  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Logout:
    """The sessions of one sign-in at the issuer are to end, or all of a user when `provider_session` is None.

    `token_id` must be seen for the first time; after `seconds` the token is too old to be accepted again anyway.
    """

    token_id: str
    subject: str | None
    provider_session: str | None
    seconds: float


def logout_of(claims: Claims, rules: IssuerRules, client_id: str, now: float) -> Logout:
    """Return what the verified claims of a logout token ask for at the moment `now`; raises NotBelieved."""
    audiences = claims.get("aud")
    if client_id not in (audiences if isinstance(audiences, list) else [audiences]):
        raise NotBelieved("logout token for another client: aud")
    _check_event(claims)
    expires_at = _check_times(claims, rules.leeway_seconds, now)
    token_id, subject, provider_session = (_text(claims, name) for name in ("jti", "sub", "sid"))
    if token_id is None:
        raise NotBelieved("logout token without jti")
    if subject is None and provider_session is None:
        raise NotBelieved("logout token with neither sub nor sid")
    return Logout(token_id, subject, provider_session, expires_at + rules.leeway_seconds - now)


def _check_event(claims: Claims) -> None:
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_EVENT), dict):
        raise NotBelieved("not a logout token: events")
    # So that no ID token can pass for one, whatever else an issuer puts into it.
    if "nonce" in claims:
        raise NotBelieved("not a logout token: nonce")


def _check_times(claims: Claims, leeway: float, now: float) -> float:
    """Return when the token expires, by its `exp` or by its age."""
    issued = _moment(claims, "iat")
    if issued > now + leeway:
        raise NotBelieved("logout token from the future: iat")
    expires_at = issued + _MOST_SECONDS
    if "exp" in claims:
        expires_at = min(expires_at, _moment(claims, "exp"))
    if now >= expires_at + leeway:
        raise NotBelieved("logout token too old")
    return expires_at


def _moment(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LATEST_MOMENT:
        raise NotBelieved(f"logout token without a valid {name}")
    return float(value)


def _text(claims: Claims, name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_CHARACTERS:
        raise NotBelieved(f"logout token without a valid {name}")
    return value

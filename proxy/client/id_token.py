"""The ID token of a sign-in (OpenID Connect Core 1.0, section 3.1.3.7): the rules of any token, and those of the client it is for."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from proxy.client.errors import ClientError, printable
from proxy.client.logins import Tokens
from proxy.errors import Unauthenticated
from proxy.identity import claims, tokens
from proxy.identity.claims import IssuerRules
from proxy.identity.tokens import Claims
from proxy.issuers.keys import SUPPORTED_ALGORITHMS, KeySet
from proxy.policy.roles import role_strings

_ANY_LIFETIME_HOURS: Final = 24 * 366  # how long is too long is for the entry to say
_NAMES: Final = ("preferred_username", "email", "sub")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say: `nonce` is that of the authorization request, `subject` that of the sign-in it continues."""

    issuer: str
    client_id: str
    nonce: str | None = None
    subject: str | None = None


def verified(id_token: str, keys: KeySet, expected: Expected, now: float) -> Claims:
    """Return the claims of an ID token after every check; raises Unauthenticated."""
    compact = tokens.read(id_token.encode("ascii", "replace"), SUPPORTED_ALGORITHMS)
    key = keys.select(compact.algorithm, compact.key_id)
    found = None if key is None else tokens.verified_claims(compact, key)
    if found is None:
        raise Unauthenticated("signature not valid", detail=f"{compact.algorithm} by key {compact.key_id!r:.80}")
    rules = IssuerRules(
        expected.issuer,
        frozenset({expected.client_id}),
        # Which claim names the user is for the entry to say; this one is always there.
        username_claim="sub",
        algorithms=SUPPORTED_ALGORITHMS,
        max_lifetime_hours=_ANY_LIFETIME_HOURS,
    )
    claims.identity(found, compact.signing_input, rules, now)  # who it is for the entry does not matter here, that it stands does
    _check_client(found, expected)
    return found


def _check_client(found: Claims, expected: Expected) -> None:
    audiences = found["aud"] if isinstance(found["aud"], list) else [found["aud"]]
    if found.get("azp", expected.client_id if len(audiences) == 1 else None) != expected.client_id:
        raise Unauthenticated("token for another client", detail=f"azp {found.get('azp')!r:.80}")
    if expected.nonce is not None and found.get("nonce") != expected.nonce:
        raise Unauthenticated("token of another sign-in", detail="nonce")
    if expected.subject is not None and found["sub"] != expected.subject:
        raise Unauthenticated("token for another user", detail="sub")


def kept_tokens(id_token: str, refresh_token: str | None, found: Claims) -> Tokens:
    """Return what is kept of a verified token."""
    return Tokens(id_token, refresh_token, found["sub"], int(found["iat"]), int(found["exp"]))


def unverified_claims(id_token: str) -> dict[str, Any]:
    """Return the claims of a token that was verified when it was kept; raises ClientError when it has been spoilt since."""
    try:
        payload = tokens.read(id_token.encode("ascii", "replace"), SUPPORTED_ALGORITHMS).payload
        return msgspec.json.decode(tokens.decode_base64url(payload), type=dict[str, Any])
    except (Unauthenticated, ValueError, RecursionError):
        raise ClientError("the kept token cannot be read; sign in again") from None


def display_name(found: Claims) -> str:
    """Return how the user is called, fit for a terminal."""
    return printable(next(name for claim in _NAMES if isinstance(name := found.get(claim), str) and name))


def roles_of(found: Claims) -> tuple[str, ...]:
    """Return the role strings of a token."""
    return role_strings(found.get("iam_roles"))

"""What an ID token must say beyond what every token must: that it is for this client, of this sign-in, and belongs to its access token."""

import hmac
from dataclasses import dataclass

from authlib.oidc.core.util import create_half_hash

from proxy.identity.tokens import Claims
from proxy.signin.failures import NotBelieved


@dataclass(frozen=True, slots=True)
class Expected:
    """What a sign-in waits for, or a renewal, whose ID token may go without the sign-in's nonce."""

    client_id: str
    nonce: str
    access_token: str | None = None
    is_renewal: bool = False


def check_id_token(claims: Claims, algorithm: str, expected: Expected) -> None:
    """Raise NotBelieved unless the verified claims of an ID token are what was waited for.

    OpenID Connect Core 1.0 sections 3.1.3.7, 3.1.3.8 and 12.2.
    """
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if expected.client_id not in audiences:
        raise NotBelieved("ID token for another client: aud")
    if claims.get("azp", expected.client_id if len(audiences) == 1 else None) != expected.client_id:
        raise NotBelieved("ID token for another client: azp")
    # Keycloak's access tokens are signed with the same key and may carry the nonce too; the payload says what each is.
    if claims.get("typ", "ID") != "ID":
        raise NotBelieved("not an ID token: typ")
    _check_nonce(claims, expected)
    _check_access_token(claims, algorithm, expected.access_token)


def _check_nonce(claims: Claims, expected: Expected) -> None:
    nonce = claims.get("nonce")
    if nonce is None and expected.is_renewal:
        return
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode("utf-8", "replace"), expected.nonce.encode()):
        raise NotBelieved("ID token of another sign-in: nonce")


def _check_access_token(claims: Claims, algorithm: str, access_token: str | None) -> None:
    if "at_hash" not in claims or access_token is None:
        return
    half = create_half_hash(access_token, algorithm)
    if half is None or not isinstance(claims["at_hash"], str) or half.decode() != claims["at_hash"]:
        raise NotBelieved("ID token beside another access token: at_hash")

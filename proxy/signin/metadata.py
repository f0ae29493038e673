"""What an issuer says of itself (OpenID Connect Discovery 1.0, RFC 8414), as far as signing in goes."""

from typing import Final

import msgspec

from proxy.issuers.discovery import KeysUnavailable, require_protected

_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"


class UnusableMetadata(Exception):
    """The document cannot be used; the text is one line without the URL it came from."""


class Metadata(msgspec.Struct, frozen=True):
    """An issuer's endpoints and abilities; an endpoint that it does not offer is None."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = (_BASIC,)
    authorization_response_iss_parameter_supported: bool = False

    def client_authentication(self, secret: str | None) -> str:
        """Return how a client with this secret authenticates itself at the token endpoint (OpenID Connect Core 1.0 section 9)."""
        if secret is None:
            return "none"
        supported = self.token_endpoint_auth_methods_supported
        return _POST if _POST in supported and _BASIC not in supported else _BASIC


def parse_metadata(document: bytes, issuer: str) -> Metadata:
    """Read the discovery document of `issuer`; raises UnusableMetadata."""
    try:
        metadata = msgspec.json.decode(document, type=Metadata)
    except (ValueError, RecursionError):
        raise UnusableMetadata("not a discovery document") from None
    # Section 4.3: exactly equal, else one issuer could speak for another.
    if metadata.issuer != issuer:
        raise UnusableMetadata(f"names another issuer, {metadata.issuer!r:.200}")
    for endpoint in _endpoints(metadata):
        _check(endpoint, issuer)
    return metadata


def _endpoints(metadata: Metadata) -> list[str]:
    offered = (metadata.end_session_endpoint, metadata.revocation_endpoint)
    return [metadata.authorization_endpoint, metadata.token_endpoint, *(endpoint for endpoint in offered if endpoint is not None)]


def _check(endpoint: str, issuer: str) -> None:
    # A browser is sent to some of them: a hostile document must not make it open anything else (CVE-2022-0484).
    try:
        require_protected(endpoint)
    except KeysUnavailable as error:
        raise UnusableMetadata(str(error)) from None
    if issuer.startswith("https:") and not endpoint.startswith("https:"):
        raise UnusableMetadata(f"{endpoint!r:.200} must be https, as the issuer is")
    if not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint or "#" in endpoint:
        raise UnusableMetadata(f"{endpoint!r:.200}: not the URL of an endpoint")

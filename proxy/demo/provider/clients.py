"""The OpenID clients of the realm: `kaas`, `k8s` and `sl` are public, `mosk-proxy` has a secret. All must use PKCE."""

import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin, list_to_scope, scope_to_list
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

SCOPES = ("openid", "profile", "email", "offline_access")
GRANT_TYPES = ("authorization_code", "refresh_token", "password", DEVICE_CODE_GRANT_TYPE)
APPLICATION_TYPES = ("kaas", "k8s", "sl")  # the part of a role string that is also the id of the client it belongs to
PROXY_CLIENT_ID = "mosk-proxy"
PROXY_CLIENT_SECRET = "mosk-proxy-secret"


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A registered client; without a secret it is public and may come back to any loopback port (RFC 8252 section 7.3)."""

    client_id: str
    audiences: tuple[str, ...]
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    secret: str | None = None

    @property
    def client_metadata(self) -> dict[str, Any]:
        """What Authlib's end-session endpoint asks for."""
        return {"post_logout_redirect_uris": self.post_logout_redirect_uris}

    def get_client_id(self) -> str:
        """The `client_id`."""
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """None: a redirect URI must always be given (RFC 9700 section 2.1)."""

    def get_allowed_scope(self, scope: str | None) -> str:
        """Those of the requested scopes that exist, as one string."""
        return str(list_to_scope([name for name in scope_to_list(scope) or [] if name in SCOPES]))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether a code may be sent there."""
        return redirect_uri in self.redirect_uris or (self.secret is None and _is_loopback(redirect_uri))

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether this is the secret of a confidential client."""
        return self.secret is not None and hmac.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """Public clients send no secret, confidential ones must."""
        return (method == "none") == (self.secret is None)

    def check_response_type(self, response_type: str) -> bool:
        """Codes only: neither implicit nor hybrid flow."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Every grant type is open to every client, as in the test realm."""
        return grant_type in GRANT_TYPES


def _is_loopback(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return (
        parts.scheme == "http"
        and parts.hostname in {"127.0.0.1", "::1", "localhost"}
        and not (parts.fragment or parts.username or parts.password)
    )


def registered_clients(proxy_url: str) -> dict[str, Client]:
    """The clients by id, for a proxy that users reach at `proxy_url` (no slash at its end)."""
    public = [Client(name, audiences=(name,)) for name in APPLICATION_TYPES]
    proxy = Client(
        PROXY_CLIENT_ID,
        audiences=(PROXY_CLIENT_ID, *APPLICATION_TYPES),
        redirect_uris=(f"{proxy_url}/oauth2/callback",),
        post_logout_redirect_uris=(f"{proxy_url}/", f"{proxy_url}/oauth2/callback"),
        secret=PROXY_CLIENT_SECRET,
    )
    return {client.client_id: client for client in (*public, proxy)}

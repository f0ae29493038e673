"""Authlib's endpoints beside authorization and token: where a device begins, and where a session ends."""

from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint
from authlib.oidc.rpinitiated import EndSessionEndpoint
from joserfc.jwk import KeySet

from proxy.demo.provider.clients import Client
from proxy.demo.provider.credentials import DEVICE_SECONDS, POLL_SECONDS
from proxy.demo.provider.grants import require_s256
from proxy.demo.provider.tokens import ALGORITHM


class DeviceEndpoint(DeviceAuthorizationEndpoint):  # type: ignore[misc]  # Authlib has no types
    """Where a device begins."""

    EXPIRES_IN = DEVICE_SECONDS
    INTERVAL = POLL_SECONDS

    def create_endpoint_response(self, request: OAuth2Request) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """The codes, or an error."""
        challenge = require_s256(request)
        status, answer, headers = super().create_endpoint_response(request)
        scope = request.client.get_allowed_scope(request.payload.scope)
        self.server.credentials.keep_device(answer, request.client.client_id, scope, challenge)
        return status, answer, headers

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        """Nothing: `create_endpoint_response` keeps it, which knows the code challenge."""

    def get_verification_uri(self) -> str:
        """The page where a person types the user code."""
        return f"{self.server.signer.issuer}/device"


class EndSession(EndSessionEndpoint):  # type: ignore[misc]  # Authlib has no types
    """Sign-out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0)."""

    def get_server_jwks(self) -> KeySet:
        """What an `id_token_hint` is checked with."""
        return KeySet([self.server.signer.key])

    def get_algorithms(self) -> list[str]:
        """What it may be signed with."""
        return [ALGORITHM]

    def resolve_client_from_id_token_claims(self, id_token_claims: dict[str, Any]) -> Client | None:
        """The client that the hint was issued to: `azp`, because `aud` may be a list."""
        client: Client | None = self.server.query_client(id_token_claims.get("azp"))
        return client

    def end_session(self, end_session_request: Any) -> None:
        """Forget the session that the hint belongs to."""
        self.server.credentials.sign_out(str((end_session_request.id_token_claims or {}).get("sid")))

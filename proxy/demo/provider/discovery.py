"""What the provider says about itself (OpenID Connect Discovery 1.0, RFC 8414)."""

from typing import Any

from proxy.demo.provider.clients import GRANT_TYPES, SCOPES
from proxy.demo.provider.grants import CLIENT_AUTHENTICATION
from proxy.demo.provider.tokens import ALGORITHM


def discovery_document(issuer: str) -> dict[str, Any]:
    """The answer of `/.well-known/openid-configuration`."""
    protocol = f"{issuer}/protocol/openid-connect"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{protocol}/auth",
        "token_endpoint": f"{protocol}/token",
        "device_authorization_endpoint": f"{protocol}/auth/device",
        "userinfo_endpoint": f"{protocol}/userinfo",
        "end_session_endpoint": f"{protocol}/logout",
        "jwks_uri": f"{protocol}/certs",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(GRANT_TYPES),
        "scopes_supported": list(SCOPES),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }

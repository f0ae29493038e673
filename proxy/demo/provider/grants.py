"""The grant types, joined to the provider's memory. PKCE with S256 is demanded of every client in every flow that has it."""

from typing import Any, Literal

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    RefreshTokenGrant,
    ResourceOwnerPasswordCredentialsGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge, create_s256_code_challenge
from authlib.oauth2.rfc7636.challenge import CODE_CHALLENGE_PATTERN, CODE_VERIFIER_PATTERN
from authlib.oauth2.rfc8628 import DeviceCodeGrant
from authlib.oidc.core import OpenIDCode, OpenIDToken
from joserfc.jwk import RSAKey

from proxy.demo.people import BY_USERNAME
from proxy.demo.provider.clients import Client
from proxy.demo.provider.credentials import (
    AuthorizationCode,
    Credentials,
    DeviceCredential,
    RefreshToken,
    Session,
)
from proxy.demo.provider.tokens import ALGORITHM, TokenSigner

# Authlib passes an opaque "user" from grant to token: here it is the Session, which names the person and the `sid`.
CLIENT_AUTHENTICATION = ["none", "client_secret_basic", "client_secret_post"]


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib has no types
    """Authorization code flow; its answer also names the issuer (RFC 9207) and the session, as Keycloak's does."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION

    def create_authorization_response(
        self, redirect_uri: str, grant_user: Session | None
    ) -> tuple[int, str, list[tuple[str, str]]]:
        """The redirect that carries the code."""
        status, body, headers = super().create_authorization_response(redirect_uri, grant_user)
        added = [("iss", self.server.signer.issuer), ("session_state", self.request.user.sid)]
        return status, body, [(name, str(add_params_to_uri(value, added))) for name, value in headers]

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Called by Authlib once a code is made."""
        parameters = request.payload.data
        meaning = AuthorizationCode(
            client_id=request.client.client_id,
            session=request.user,
            redirect_uri=request.payload.redirect_uri,
            scope=request.scope,
            nonce=parameters.get("nonce"),
            code_challenge=parameters["code_challenge"],
        )
        self.server.credentials.keep_code(code, meaning)

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        """Called by Authlib when a code comes back; it is spent by being asked for, whatever is wrong with the request."""
        credentials: Credentials = self.server.credentials
        return credentials.redeem_code(code, client.client_id)

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Nothing: already spent."""

    def authenticate_user(self, authorization_code: AuthorizationCode) -> Session:
        """Who the code was for."""
        return authorization_code.session


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]  # Authlib has no types
    """Refresh tokens rotate: each is good for one exchange."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        """What the token stands for."""
        credentials: Credentials = self.server.credentials
        return credentials.refresh_token(refresh_token)

    def authenticate_user(self, refresh_token: RefreshToken) -> Session:
        """Who it was issued for."""
        return refresh_token.session

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        """Called by Authlib after the next one was issued."""
        self.server.credentials.use_up(refresh_token)


class PasswordGrant(ResourceOwnerPasswordCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    """For scripts and tests: the password of a sample user is the name."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTHENTICATION

    def authenticate_user(self, username: str, password: str) -> Session | None:
        """A new session, or None."""
        person = BY_USERNAME.get(username)
        credentials: Credentials = self.server.credentials
        return credentials.sign_in(person) if person is not None and password == person.username else None


class DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]  # Authlib has no types
    """The device's polling."""

    def validate_token_request(self) -> None:
        """Authlib's checks, then PKCE (which Keycloak demands here too), then the code is spent."""
        super().validate_token_request()
        credential: DeviceCredential = self.request.credential
        self.server.credentials.forget_device(credential)
        verifier = self.request.form.get("code_verifier") or ""
        if not CODE_VERIFIER_PATTERN.match(verifier) or create_s256_code_challenge(verifier) != credential.code_challenge:
            raise InvalidGrantError("PKCE verification failed")

    def query_device_credential(self, device_code: str) -> DeviceCredential | None:
        """The device that polls."""
        credentials: Credentials = self.server.credentials
        return credentials.device(device_code)

    def query_user_grant(self, _user_code: str) -> tuple[Session | None, bool] | None:
        """The person's word, None while there is none; Authlib has just looked the device up itself."""
        credentials: Credentials = self.server.credentials
        device = credentials.device(self.request.form["device_code"])
        match device.decision if device is not None else None:
            case None:
                return None
            case Session() as session:
                return session, True
            case "denied":
                return None, False

    def should_slow_down(self, credential: DeviceCredential) -> bool:
        """Whether the device polls faster than it was told."""
        credentials: Credentials = self.server.credentials
        return credentials.polls_too_fast(credential)


class S256Only(CodeChallenge):  # type: ignore[misc]  # Authlib has no types
    """PKCE that is not optional and not `plain` (RFC 9700 section 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str) -> None:
        """Called by Authlib for each authorization request."""
        require_s256(grant.request)
        super().validate_code_challenge(grant, redirect_uri)


def require_s256(request: OAuth2Request) -> str:
    """The request's code challenge; raises InvalidRequestError."""
    parameters = request.payload.data
    challenge = parameters.get("code_challenge") or ""
    if parameters.get("code_challenge_method") != "S256" or not CODE_CHALLENGE_PATTERN.match(challenge):
        raise InvalidRequestError("PKCE with code_challenge_method S256 is required")
    return str(challenge)


class IdToken(OpenIDToken):  # type: ignore[misc]  # Authlib has no types
    """Puts an ID token beside the access token when the scope holds `openid`."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer

    def resolve_client_private_key(self, _client: Client) -> RSAKey:
        """One key for all clients."""
        return self._signer.key

    def get_client_algorithm(self, _client: Client) -> str:
        """One algorithm for all clients."""
        return ALGORITHM

    def get_encode_header(self, _client: Client) -> dict[str, str]:
        """The token's header."""
        return self._signer.header

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        """The claims that do not depend on the person."""
        return self._signer.client_claims("ID", client)

    def generate_user_info(self, user: Session, _scope: str) -> dict[str, Any]:
        """The claims about the person."""
        return self._signer.session_claims(user)


class CodeIdToken(IdToken, OpenIDCode):  # type: ignore[misc]  # Authlib has no types
    """The same for the code flow, where a `nonce` comes with the authorization request."""

    def __init__(self, signer: TokenSigner) -> None:
        IdToken.__init__(self, signer)
        OpenIDCode.__init__(self, require_nonce=False)

    def exists_nonce(self, _nonce: str, _request: OAuth2Request) -> Literal[False]:
        """A nonce is the client's own business: Keycloak does not compare them either."""
        return False

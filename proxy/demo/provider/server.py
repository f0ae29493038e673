"""Authlib's authorization server on aiohttp: requests in, responses out, memory and signer in between."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Error, OAuth2Payload, OAuth2Request
from multidict import MultiMapping

from proxy.demo.provider.clients import SCOPES, Client
from proxy.demo.provider.credentials import REFRESH_SECONDS, Credentials, Session
from proxy.demo.provider.endpoints import DeviceEndpoint, EndSession
from proxy.demo.provider.grants import (
    CodeGrant,
    CodeIdToken,
    DeviceGrant,
    IdToken,
    PasswordGrant,
    RefreshGrant,
    S256Only,
)
from proxy.demo.provider.tokens import TOKEN_SECONDS, TokenSigner


class Parameters(OAuth2Payload):  # type: ignore[misc]  # Authlib has no types
    """The parameters of one request, from the query or from the form, never from both."""

    def __init__(self, values: MultiMapping[str]) -> None:
        self._values = values

    @property
    def data(self) -> MultiMapping[str]:
        """First values by name."""
        return self._values

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """All values by name."""
        return defaultdict(list, {name: self._values.getall(name) for name in self._values})


class EndpointRequest(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """An aiohttp request as Authlib reads it."""

    def __init__(self, method: str, url: str, headers: Mapping[str, str], parameters: MultiMapping[str]) -> None:
        super().__init__(method, url, headers=headers)
        self.payload = Parameters(parameters)

    @property
    def form(self) -> MultiMapping[str]:
        """The parameters, by the name that Authlib's grants use."""
        values: MultiMapping[str] = self.payload.data
        return values


class RealmServer(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """The rules of the realm; hands out tokens for sessions."""

    def __init__(self, clients: Mapping[str, Client], credentials: Credentials, signer: TokenSigner) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        self._clients, self.credentials, self.signer = clients, credentials, signer
        self.register_token_generator("default", self._issue)
        self.register_grant(CodeGrant, [S256Only(), CodeIdToken(signer)])
        for grant in (RefreshGrant, PasswordGrant, DeviceGrant):
            self.register_grant(grant, [IdToken(signer)])
        self.register_endpoint(DeviceEndpoint)
        self.register_endpoint(EndSession)

    def query_client(self, client_id: str | None) -> Client | None:
        """The client of this id."""
        return self._clients.get(client_id or "")

    def save_token(self, _token: dict[str, Any], _request: OAuth2Request) -> None:
        """Nothing: access tokens speak for themselves, and refresh tokens are kept where they are made."""

    def send_signal(self, _name: str, *_arguments: object, **_named: object) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: EndpointRequest) -> EndpointRequest:
        """The request as it is: the application has made it already."""
        return request

    def handle_response(self, status: int, body: dict[str, Any] | str, headers: list[tuple[str, str]]) -> web.Response:
        """Authlib's answer as an aiohttp response."""
        text = json.dumps(body) if isinstance(body, dict) else body
        return web.Response(status=status, text=text, headers=dict(headers))

    def handle_error_response(self, request: OAuth2Request, error: OAuth2Error) -> web.Response:
        """An error; one that is sent back to a client by redirect names the issuer (RFC 9207)."""
        if error.redirect_uri:
            error.redirect_uri = add_params_to_uri(error.redirect_uri, [("iss", self.signer.issuer)])
        response: web.Response = super().handle_error_response(request, error)
        return response

    def _issue(
        self, *, client: Client, user: Session, scope: str | None, include_refresh_token: bool = True, **_other: object
    ) -> dict[str, Any]:
        granted = client.get_allowed_scope(scope)
        token: dict[str, Any] = {
            "access_token": self.signer.access_token(user, client, granted),
            "expires_in": TOKEN_SECONDS,
            "token_type": "Bearer",
            "session_state": user.sid,
            "scope": granted,
        }
        if include_refresh_token:
            token["refresh_token"] = self.credentials.issue_refresh_token(user, client.client_id, granted)
            token["refresh_expires_in"] = REFRESH_SECONDS
        return token

"""The provider's aiohttp application, at the paths that Keycloak uses."""

import base64
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from authlib.oauth2.base import invalid_error_characters
from authlib.oauth2.rfc6749 import OAuth2Error
from joserfc.jwk import RSAKey
from multidict import MultiDict, MultiMapping
from yarl import URL

from proxy.demo.loopback import ADDRESS
from proxy.demo.people import BY_USERNAME, Person
from proxy.demo.provider.clients import registered_clients
from proxy.demo.provider.credentials import Credentials, Session
from proxy.demo.provider.discovery import discovery_document
from proxy.demo.provider.pages import device_page, message_page, sign_in_page, sign_out_page, user_code_page
from proxy.demo.provider.server import EndpointRequest, RealmServer
from proxy.demo.provider.tokens import TokenSigner, new_key

REALM_PATH = "/auth/realms/iam"
# Cookies know no ports: without its path this one would travel to the proxy, and through it to every application.
COOKIE = "__Secure-demo-session"


class Provider:
    """The provider of issuer `<origin>/auth/realms/iam`, for a proxy that users reach at `proxy_url`.

    Signs with `key`, a new one when None. `clock` counts seconds from anywhere, `wall` from the epoch.
    """

    def __init__(
        self,
        origin: str,
        proxy_url: str,
        *,
        key: RSAKey | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.origin = origin
        self.issuer = origin + REALM_PATH
        self.signer = TokenSigner(self.issuer, new_key() if key is None else key, wall)
        self._credentials = Credentials(clock, wall)
        self._clients = registered_clients(proxy_url)
        self._server = RealmServer(self._clients, self._credentials, self.signer)

    def __repr__(self) -> str:
        return f"Provider({self.issuer})"

    def mint_id_token(self, person: Person, client_id: str, lifetime: int) -> str:
        """An ID token for a person as if they had just signed in to this client; `lifetime` in seconds."""
        return self.signer.id_token(self._credentials.sign_in(person), self._clients[client_id], lifetime)

    def application(self) -> web.Application:
        """The aiohttp application that serves it."""
        protocol = f"{REALM_PATH}/protocol/openid-connect"
        application = web.Application()
        application.add_routes(
            [
                web.get(f"{REALM_PATH}/.well-known/openid-configuration", self._discovery),
                web.get(f"{protocol}/certs", self._certs),
                web.get(f"{protocol}/auth", self._authorize),
                web.post(f"{protocol}/auth", self._authorize_as),
                web.post(f"{protocol}/token", self._token),
                web.post(f"{protocol}/auth/device", self._device_begins),
                web.get(f"{protocol}/userinfo", self._userinfo),
                web.post(f"{protocol}/userinfo", self._userinfo),
                web.get(f"{protocol}/logout", self._sign_out),
                web.post(f"{protocol}/logout", self._sign_out),
                web.get(f"{REALM_PATH}/device", self._device),
                web.post(f"{REALM_PATH}/device", self._device_decided),
            ]
        )
        application.on_response_prepare.append(_set_security_headers)
        return application

    async def _discovery(self, _request: web.Request) -> web.Response:
        return web.json_response(discovery_document(self.issuer))

    async def _certs(self, _request: web.Request) -> web.Response:
        return web.json_response(self.signer.key_set())

    async def _authorize(self, request: web.Request) -> web.Response:
        session = self._session_of(request)
        asked = _endpoint_request(request, request.query)
        try:
            grant = self._server.get_consent_grant(asked, end_user=session)
        except OAuth2Error as error:
            return self._refused(asked, error)
        if session is None or grant.prompt is not None:
            return sign_in_page(asked.payload.client_id, grant.redirect_uri)
        return self._granted(asked, grant, session)

    async def _authorize_as(self, request: web.Request) -> web.Response:
        _require_same_origin(request, self.origin)
        form = await _form_of(request)
        asked = _endpoint_request(request, request.query)
        try:
            grant = self._server.get_consent_grant(asked, end_user=None)
        except OAuth2Error as error:
            return self._refused(asked, error)
        person = BY_USERNAME.get(form.get("username", ""))
        if person is None:
            return sign_in_page(asked.payload.client_id, grant.redirect_uri)
        session = self._sign_in(request, person)
        return _with_cookie(self._granted(asked, grant, session), session)

    def _granted(self, asked: EndpointRequest, grant: Any, session: Session) -> web.Response:
        response: web.Response = self._server.create_authorization_response(asked, grant_user=session, grant=grant)
        return response

    def _refused(self, asked: EndpointRequest, error: OAuth2Error) -> web.Response:
        if error.redirect_uri:
            return self._server.handle_error_response(asked, error)
        return message_page("Refused", f"{error.error}: {error.description}", status=HTTPStatus.BAD_REQUEST)

    async def _token(self, request: web.Request) -> web.Response:
        asked = _endpoint_request(request, await _form_of(request))
        response: web.Response = self._server.create_token_response(asked)
        return response

    async def _device_begins(self, request: web.Request) -> web.Response:
        asked = _endpoint_request(request, await _form_of(request))
        response: web.Response = self._server.create_endpoint_response("device_authorization", asked)
        return response

    async def _device(self, request: web.Request) -> web.Response:
        user_code = request.query.get("user_code", "")
        if not user_code:
            return user_code_page()
        device = self._credentials.device_of_user_code(user_code)
        return user_code_page(unknown=True) if device is None else device_page(device.client_id, device.user_code)

    async def _device_decided(self, request: web.Request) -> web.Response:
        _require_same_origin(request, self.origin)
        form = await _form_of(request)
        device = self._credentials.device_of_user_code(form.get("user_code", ""))
        if device is None:
            return user_code_page(unknown=True)
        if "deny" in form:
            self._credentials.decide(device, "denied")
            return message_page("Denied", "The device was refused. You may close this page.")
        person = BY_USERNAME.get(form.get("username", ""))
        if person is None:
            return device_page(device.client_id, device.user_code)
        session = self._sign_in(request, person)
        self._credentials.decide(device, session)
        answer = message_page("Connected", f"The device is signed in as {person.username}. You may close this page.")
        return _with_cookie(answer, session)

    async def _userinfo(self, request: web.Request) -> web.Response:
        kind, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        claims = self.signer.verify(token, "Bearer") if kind.lower() == "bearer" else None
        session = self._credentials.session(claims["sid"]) if claims is not None else None
        if session is None:
            challenge = 'Bearer realm="iam"' + (', error="invalid_token"' if token else "")
            return web.Response(status=HTTPStatus.UNAUTHORIZED, headers={hdrs.WWW_AUTHENTICATE: challenge})
        return web.json_response(self.signer.session_claims(session))

    async def _sign_out(self, request: web.Request) -> web.Response:
        parameters = await _form_of(request) if request.method == hdrs.METH_POST else request.query
        asked = _endpoint_request(request, parameters)
        try:
            wish = self._server.validate_endpoint_request("end_session", asked)
        except OAuth2Error as error:
            return self._refused(asked, error)
        if wish.needs_confirmation:
            if "confirm" not in parameters:
                return sign_out_page()
            _require_same_origin(request, self.origin)
            if (session := self._session_of(request)) is not None:
                self._credentials.sign_out(session.sid)
        response: web.Response | None = self._server.create_endpoint_response("end_session", wish)
        return _without_cookie(response or message_page("Signed out", "You are signed out."))

    def _session_of(self, request: web.Request) -> Session | None:
        return self._credentials.session_of_cookie(request.cookies.get(COOKIE, ""))

    def _sign_in(self, request: web.Request, person: Person) -> Session:
        """The browser's session if it is this person's, else a new one in its place."""
        session = self._session_of(request)
        if session is not None and session.person == person:
            return session
        if session is not None:
            self._credentials.sign_out(session.sid)
        return self._credentials.sign_in(person)


async def _set_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    # not `no-referrer`: with it browsers send `Origin: null` with the forms that _require_same_origin looks at
    response.headers.setdefault("Referrer-Policy", "same-origin")


def _require_same_origin(request: web.Request, origin: str) -> None:
    """A page elsewhere must not be able to sign a browser in or out, or to allow a device."""
    if request.headers.get(hdrs.ORIGIN, origin) != origin:
        raise web.HTTPForbidden(text="This form was not submitted from the provider's own page.")


async def _form_of(request: web.Request) -> MultiMapping[str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType(text="Expected application/x-www-form-urlencoded.")
    form = await request.post()
    return MultiDict((name, value) for name, value in form.items() if isinstance(value, str))


def _endpoint_request(request: web.Request, parameters: MultiMapping[str]) -> EndpointRequest:
    # Authlib quotes these in error descriptions, and raises ValueError where RFC 6749 section 5.2 forbids a character in one.
    quoted = ("client_id", "redirect_uri", "response_type", "grant_type")
    if any(invalid_error_characters(value) for name in quoted for value in parameters.getall(name, ())):
        raise web.HTTPBadRequest(text='{"error": "invalid_request"}', content_type="application/json")
    if not _is_readable_basic(request.headers.get(hdrs.AUTHORIZATION, "")):
        raise web.HTTPUnauthorized(text='{"error": "invalid_client"}', content_type="application/json")
    # TLS is ours, the Host header is not: only the path matters to Authlib, which wants to see https.
    url = URL.build(scheme="https", host=ADDRESS, path=request.path)
    return EndpointRequest(request.method, str(url), request.headers, parameters)


def _is_readable_basic(header: str) -> bool:
    """False for Basic credentials over which Authlib's reader would stumble."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return True
    try:
        base64.b64decode(credentials).decode()
    except ValueError:
        return False
    return True


def _with_cookie(response: web.Response, session: Session) -> web.Response:
    response.set_cookie(COOKIE, session.cookie, path=REALM_PATH, secure=True, httponly=True, samesite="Lax")
    return response


def _without_cookie(response: web.Response) -> web.Response:
    response.del_cookie(COOKIE, path=REALM_PATH, secure=True, httponly=True, samesite="Lax")
    return response

"""The paths below /oauth2: what signing in and out comes to, as an answer to a browser or to a program."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from proxy.console.pages import Failure, Pages
from proxy.signin.granted import Visitor
from proxy.signin.outcomes import Accepted, Outcome, Redirected, Refused, SignedOut
from proxy.signin.room import SignInRoom

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CameFrom:
    """What a request for one of these paths does not say of itself: its `Cookie` lines, and the client's address."""

    cookies: tuple[bytes, ...] = field(repr=False)
    address: str


def add_sign_in(app: web.Application, room: SignInRoom, came_from: Callable[[web.Request], CameFrom], pages: Pages) -> None:
    """Serve /oauth2/start, /oauth2/callback, /oauth2/sign_out and /oauth2/backchannel-logout from `app`."""
    desk = _Desk(room, came_from, pages)
    app.router.add_get("/oauth2/start", desk.start, allow_head=False)
    app.router.add_get("/oauth2/callback", desk.callback, allow_head=False)
    app.router.add_post("/oauth2/sign_out", desk.sign_out)
    app.router.add_post("/oauth2/backchannel-logout", desk.backchannel_logout)


class _Desk:
    def __init__(self, room: SignInRoom, came_from: Callable[[web.Request], CameFrom], pages: Pages) -> None:
        self._room = room
        self._came_from = came_from
        self._pages = pages

    async def start(self, request: web.Request) -> web.Response:
        return self._shown(request, await self._room.sign_in.start(_query(request), self._came_from(request).cookies))

    async def callback(self, request: web.Request) -> web.Response:
        came_from = self._came_from(request)
        visitor = Visitor(request.headers.get("User-Agent", ""), came_from.address)
        return self._shown(request, await self._room.sign_in.callback(_query(request), came_from.cookies, visitor))

    async def sign_out(self, request: web.Request) -> web.Response:
        origin, site = _only(request, "Origin"), _only(request, "Sec-Fetch-Site")
        outcome = await self._room.sign_out.sign_out(self._came_from(request).cookies, origin, site)
        if not isinstance(outcome, Redirected):
            return self._shown(request, outcome)
        # Not a redirect: a form's answer that leads elsewhere is what `form-action 'self'` forbids.
        response = self._signed_out(outcome.status.OK, outcome.location)
        response.headers["Refresh"] = f"0; url={outcome.location}"
        return _with_cookies(response, outcome.cookies)

    async def backchannel_logout(self, request: web.Request) -> web.Response:
        body = await request.read()
        outcome = await self._room.sign_out.backchannel_logout(request.headers.get("Content-Type"), body)
        return self._shown(request, outcome)

    def _shown(self, request: web.Request, outcome: Outcome) -> web.Response:
        match outcome:
            case Redirected():
                if outcome.username is not None:
                    _log.info("signed in: %r", outcome.username)
                response = web.Response(status=outcome.status, headers={"Location": outcome.location})
                return _with_cookies(response, outcome.cookies)
            case SignedOut():
                return _with_cookies(self._signed_out(outcome.status, None), outcome.cookies)
            case Accepted():
                _log.info("the issuer ended %d sessions", outcome.ended)
                return web.Response(status=outcome.status)
            case Refused():
                return self._refused(request, outcome)

    def _refused(self, request: web.Request, outcome: Refused) -> web.Response:
        _log.warning("sign-in refused (%s): %s", outcome.cause, outcome.detail or outcome.message)
        if "text/html" in request.headers.get("Accept", ""):
            request_id = request.headers.get("X-Request-Id")
            failure = Failure(outcome.status, outcome.message, request_id=request_id, again=outcome.again)
            response = web.Response(status=outcome.status, text=self._pages.failure(failure), content_type="text/html")
        else:
            told = {"error": outcome.cause, "error_description": outcome.message}
            response = web.json_response(told, status=outcome.status)
        if outcome.retry_after is not None:
            response.headers["Retry-After"] = str(outcome.retry_after)
        return _with_cookies(response, outcome.cookies)

    def _signed_out(self, status: HTTPStatus, issuer: str | None) -> web.Response:
        text = self._pages.render("signed_out", None, issuer=issuer)
        return web.Response(status=status, text=text, content_type="text/html")


def _with_cookies(response: web.Response, cookies: tuple[str, ...]) -> web.Response:
    for cookie in cookies:
        response.headers.add("Set-Cookie", cookie)
    return response


def _query(request: web.Request) -> str:
    return request.rel_url.raw_query_string


def _only(request: web.Request, name: str) -> str | None:
    """Return a field that was sent once; several of them say what none of them says."""
    values = request.headers.getall(name, [])
    return values[0] if len(values) == 1 else ",".join(values) or None

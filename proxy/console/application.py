"""The console as an aiohttp application: each page is a few lines, and whatever fails becomes a page too."""

import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

from aiohttp import web

from proxy.console import asking
from proxy.console.assets import load_assets
from proxy.console.downloading import NotOpen, download
from proxy.console.grants import held_roles
from proxy.console.pages import Failure, Pages
from proxy.console.protection import protect, require_same_origin
from proxy.console.reach import portal
from proxy.console.visit import Facts, OwnSessions, Resolver, Visitor
from proxy.errors import Malformed, RequestError, Unauthenticated
from proxy.routing.request_info import METHOD_VERBS

_log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_VISITOR: Final = web.RequestKey("visitor", Visitor)
_MOST_BODY_BYTES: Final = 16 << 10
_MOST_FIELDS: Final = 8
_ENDED: Final = {
    "one": "That session has ended.",
    "others": "All other sessions have ended.",
    "none": "There was no such session; it may have ended already.",
}


def application(
    visitor: Resolver, facts: Facts, sessions: OwnSessions, clock: Callable[[], float] = time.time
) -> web.Application:
    """Return the console, to be run where the edge alone reaches it; `clock` gives seconds since the epoch.

    `visitor` tells who asks, None when nobody is signed in; it may raise a RequestError, which becomes a page.
    """
    console = _Console(visitor, facts, sessions, Pages(clock))
    app = web.Application(middlewares=[console.answer], client_max_size=_MOST_BODY_BYTES)
    app.on_response_prepare.append(protect)
    app.router.add_get("/", console.portal)
    app.router.add_get("/console/me", console.me)
    app.router.add_get("/console/sessions", console.sessions)
    app.router.add_post("/console/sessions/end", console.end)
    app.router.add_post("/console/sessions/end-others", console.end_others)
    app.router.add_get("/console/explain", console.explain)
    app.router.add_get("/console/kubeconfig", console.kubeconfig)
    for name, asset in load_assets().items():
        app.router.add_get(f"/console/{name}", _serving(asset.answer))
    return app


def _serving(answer: Callable[[web.Request], web.Response]) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        return answer(request)

    return serve


class _Console:
    def __init__(self, visitor: Resolver, facts: Facts, sessions: OwnSessions, pages: Pages) -> None:
        self._resolve = visitor
        self._facts = facts
        self._sessions = sessions
        self._pages = pages

    async def portal(self, request: web.Request) -> web.Response:
        visitor, facts = self._visitor(request), self._facts()
        wanted = request.query.get("filter", "").strip()
        found = portal(facts, visitor.roles, wanted)
        has_kubelogin = facts.tokens is not None
        return self._page(
            "portal", visitor, portal=found, wanted=wanted, public_url=facts.public_url, has_kubelogin=has_kubelogin
        )

    async def me(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request)
        return self._page("me", visitor, roles=held_roles(self._facts().policy.permissions, visitor.roles))

    async def sessions(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request)
        own = () if visitor.session is None else await self._sessions.own(visitor)
        return self._page("sessions", visitor, sessions=own, ended=_ENDED.get(request.query.get("ended", "")))

    async def end(self, request: web.Request) -> web.Response:
        visitor = self._acting(request)
        label = await _field(request, "session")
        is_ended = await self._sessions.end(visitor, label)
        if is_ended and label == visitor.session:
            return _see("/")
        return _see(f"/console/sessions?ended={'one' if is_ended else 'none'}")

    async def end_others(self, request: web.Request) -> web.Response:
        await self._sessions.end_others(self._acting(request))
        return _see("/console/sessions?ended=others")

    async def explain(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request)
        method, url = request.query.get("method", "GET"), request.query.get("url", "").strip()
        answer = asking.answer(self._facts(), visitor, method, url) if url else None
        return self._page("explain", visitor, method=method, url=url, methods=tuple(METHOD_VERBS), answer=answer)

    async def kubeconfig(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request)
        return download(self._facts(), visitor, request.query)

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except RequestError as error:
            url = error.path if isinstance(error, NotOpen) else request.raw_path
            return self._failed(request, Failure.of(error, request.method, url, _request_id(request)), error)
        except web.HTTPError as error:
            failure = Failure(HTTPStatus(error.status), _message(error.status), (), request.method, request.raw_path)
            response = self._failed(request, failure)
            response.headers.update({name: error.headers[name] for name in ("Allow",) if name in error.headers})
            return response
        except Exception:  # noqa: BLE001 - the border: whatever goes wrong becomes a page
            _log.exception("the console failed at %s %r", request.method, request.path)
            message = "Something went wrong here, and was logged"
            failure = Failure(HTTPStatus.INTERNAL_SERVER_ERROR, message, request_id=_request_id(request))
            return self._failed(request, failure)

    def _failed(self, request: web.Request, failure: Failure, error: RequestError | None = None) -> web.Response:
        text = self._pages.failure(failure, request.get(_VISITOR))
        response = web.Response(status=failure.status, text=text, content_type="text/html")
        retry_after = getattr(error, "retry_after", None)
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        return response

    def _page(self, name: str, visitor: Visitor, /, **values: Any) -> web.Response:
        return web.Response(text=self._pages.render(name, visitor, **values), content_type="text/html")

    def _visitor(self, request: web.Request) -> Visitor:
        visitor = self._resolve(request)
        if visitor is None:
            raise Unauthenticated("Sign in to see this page", error="")
        request[_VISITOR] = visitor
        return visitor

    def _acting(self, request: web.Request) -> Visitor:
        """Return who changes something about their sessions."""
        visitor = self._visitor(request)
        require_same_origin(request, self._facts().public_url)
        if visitor.session is None:
            raise Malformed("You came with a token: there is no session to end")
        return visitor


async def _field(request: web.Request, name: str) -> str:
    """Return the one field of a form; raises Malformed for whatever is no such form."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise Malformed("This is not a form of ours")
    body = await request.read()
    try:
        values = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=_MOST_FIELDS)[name]
    except (ValueError, KeyError):
        raise Malformed("This is not a form of ours") from None
    if len(values) != 1:
        raise Malformed("This is not a form of ours")
    return values[0]


def _see(path: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path})


def _request_id(request: web.Request) -> str | None:
    return request.headers.get("X-Request-Id")


def _message(status: int) -> str:
    match status:
        case HTTPStatus.NOT_FOUND:
            return "There is nothing at this path"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return "This page does not take that method"
        case _:
            return HTTPStatus(status).description or HTTPStatus(status).phrase

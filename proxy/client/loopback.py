"""Where the browser comes back to (RFC 8252 section 7.3): one address of this machine, one path, one answer, and then nobody listens.

Any page in the browser, and any program on this machine, can send requests here: what does not carry the state of this sign-in is
refused and changes nothing; a foreign `Host` is a name that was bound to this address by somebody else.
"""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from proxy.client.errors import ClientError, printable

_ADDRESS: Final = "127.0.0.1"
_DEFAULT: Final = f"http://{_ADDRESS}:0/callback"
_HOSTS: Final = frozenset({_ADDRESS, "localhost"})
_PATH: Final = re.compile(r"/[A-Za-z0-9/._~-]*")
_SHUTDOWN_SECONDS: Final = 1
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Loopback:
    """Waits for one answer. `redirect_uri` is what the issuer is told."""

    def __init__(self, redirect_uri: str, is_ours: Callable[[str], bool]) -> None:
        self.redirect_uri = redirect_uri
        self._is_ours = is_ours
        self._query = asyncio.get_running_loop().create_future()
        self._outcome = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"Loopback({self.redirect_uri}, {'answered' if self._query.done() else 'waiting'})"

    async def answer(self, seconds: float) -> str:
        """Return the query of the one answer; raises ClientError when none comes in time."""
        try:
            async with asyncio.timeout(seconds):
                query: str = await self._query
                return query
        except TimeoutError:
            hint = "run it again, or with --device where no browser can reach this machine"
            raise ClientError(f"the browser did not come back within {seconds:g} s; {hint}") from None

    def conclude(self, title: str, message: str, *, is_good: bool) -> None:
        """Say in the browser how it ended."""
        if not self._outcome.done():
            self._outcome.set_result(_page(title, message, HTTPStatus.OK if is_good else HTTPStatus.BAD_REQUEST))

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a request."""
        if request.host != urlsplit(self.redirect_uri).netloc:
            return _page("Refused", "This address is for the sign-in of one command alone.", HTTPStatus.MISDIRECTED_REQUEST)
        if self._query.done():
            return _page("Too late", "This sign-in has had its answer already.", HTTPStatus.GONE)
        if not self._is_ours(request.rel_url.raw_query_string):
            return _page("Refused", "This is not an answer to the sign-in that is waiting here.", HTTPStatus.BAD_REQUEST)
        self._query.set_result(request.rel_url.raw_query_string)
        response: web.Response = await self._outcome
        return response


def _page(title: str, message: str, status: HTTPStatus) -> web.Response:
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        "<style>body{font:18px/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1rem}</style></head>"
        f"<body><h1>{html.escape(title)}</h1><p>{html.escape(message)}</p></body></html>"
    )
    response = web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)
    response.force_close()
    return response


@asynccontextmanager
async def listening(is_ours: Callable[[str], bool], redirect_uri: str | None = None) -> AsyncIterator[Loopback]:
    """Listen on a free port of 127.0.0.1, or where `redirect_uri` says; `is_ours` tells by its query whether an answer is meant for us.

    Raises ClientError for a URI that does not lead to this machine, OSError for a port that is taken.
    """
    host, port, path = _place(redirect_uri or _DEFAULT)
    waiting = Loopback("", is_ours)
    application = web.Application()
    application.router.add_get(path, waiting.handle, allow_head=False)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, _ADDRESS, port).start()
        waiting.redirect_uri = f"http://{host}:{runner.addresses[0][1]}{path}"
        yield waiting
    finally:
        waiting.conclude("Not signed in", "The command has ended.", is_good=False)
        await runner.cleanup()


def _place(redirect_uri: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(redirect_uri)
        host, port, path = parts.hostname, parts.port, parts.path or "/"
    except ValueError:
        host, port, path = None, None, "/"
    if host not in _HOSTS or port is None or redirect_uri != f"http://{host}:{port}{path}" or not _PATH.fullmatch(path):
        raise ClientError(f"{printable(redirect_uri)}: must be http://127.0.0.1:PORT/PATH or http://localhost:PORT/PATH")
    return host, port, path

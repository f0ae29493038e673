"""Asks the management API for its `Cluster` objects, over aiohttp: a list in pages, a watch line by line.

No redirects, no compression, no proxy of the environment: the token goes to the configured server alone. Whatever goes wrong is a
ReadError (Garbled included) with one line for the operator, or Expired.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar

import aiohttp

from proxy.discovery.messages import Event, Expired, Lines, Page, Unreadable, pruned, read_event, read_object, read_page
from proxy.discovery.settings import WatchSettings

_PATH: Final = "/apis/cluster.k8s.io/v1alpha1/clusters"
_MOST_ERROR_BYTES: Final = 65536
# A peer that is gone without a word is noticed within half a minute (tcp(7)).
_KEEP_ALIVE: Final = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))

_Read = TypeVar("_Read")

Parameters: TypeAlias = Mapping[str, str]
# As getaddrinfo gives it: family, kind, protocol, canonical name, the address itself.
AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]


class ReadError(Exception):
    """The objects could not be read; the text is one line that holds no secret."""


class Garbled(ReadError):
    """What came is not what the API's protocol allows, so that what it was to say is not known."""


class ClusterReader:
    """Reads objects as `settings` say; credentials are read from their files for each session."""

    def __init__(self, settings: WatchSettings) -> None:
        self._settings = settings
        self._url = settings.url + _PATH

    @asynccontextmanager
    async def session(self) -> AsyncIterator["ReadingSession"]:
        """Open a session with the credentials of now; raises ReadError."""
        with _one_line_errors(self._url):
            # Reading the system's authorities takes some ten milliseconds.
            headers, tls = await asyncio.to_thread(self._credentials)
        connector = aiohttp.TCPConnector(ssl=tls, socket_factory=_socket)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._settings.rhythm.connect)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            yield ReadingSession(session, self._url, self._settings)

    def _credentials(self) -> tuple[dict[str, str], ssl.SSLContext]:
        settings = self._settings
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "mosk-proxy"}
        if settings.token_file is not None:
            headers["Authorization"] = f"Bearer {settings.token_file.read_text('ascii').strip()}"
        tls = ssl.create_default_context(cafile=settings.ca_file, cadata=settings.ca_pem)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.client_certificate_file is not None:
            tls.load_cert_chain(settings.client_certificate_file, settings.client_key_file)
        return headers, tls


class ReadingSession:
    """A list or a watch, with one set of credentials."""

    def __init__(self, session: aiohttp.ClientSession, url: str, settings: WatchSettings) -> None:
        self._session = session
        self._url = url
        self._rhythm = settings.rhythm
        self._bounds = settings.bounds

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Yield all pages of one list; raises ReadError, Expired."""
        parameters = {"limit": str(self._bounds.objects_of_page)}
        while True:
            with _one_line_errors(self._url):
                async with asyncio.timeout(self._rhythm.page), self._get(parameters) as answer:
                    page = await _read(read_page, await self._body(answer))
            yield page
            if not page.metadata.continuation:
                return
            parameters["continue"] = page.metadata.continuation

    async def events(self, version: str) -> AsyncGenerator[Event | None, None]:
        """Yield None when the server has accepted the watch, then its events until it ends well; raises ReadError, Expired."""
        # Several proxies must not come back in step.
        seconds = self._rhythm.watch * random.uniform(0.8, 1.2)  # noqa: S311 (spreads load, keeps no secret)
        parameters = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        with _one_line_errors(self._url):
            async with self._accepted(parameters) as answer:
                yield None
                # A server that does not end the watch by itself is left: the next one begins where this one was.
                deadline = asyncio.get_running_loop().time() + seconds + self._rhythm.watch_grace
                lines = Lines(self._bounds.object_bytes)
                while data := await self._more(answer, deadline, is_within_line=lines.is_within):
                    for line in lines.feed(data):
                        yield await _read(read_event, line)
                if lines.is_within:
                    raise Unreadable("the watch broke off within an event")

    @asynccontextmanager
    async def _get(self, parameters: Parameters) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._session.get(self._url, params=parameters, allow_redirects=False) as answer:
            if answer.status == HTTPStatus.GONE:
                raise Expired
            if answer.status != HTTPStatus.OK:
                raise Unreadable(f"answered {answer.status}{await self._message(answer)}")
            yield answer

    @asynccontextmanager
    async def _accepted(self, parameters: Parameters) -> AsyncIterator[aiohttp.ClientResponse]:
        async with asyncio.timeout(self._rhythm.page) as limit, self._get(parameters) as answer:
            limit.reschedule(None)
            yield answer

    async def _more(self, answer: aiohttp.ClientResponse, deadline: float, *, is_within_line: bool) -> bytes:
        """Return the next bytes, none at the end of the watch or of its time."""
        until = min(deadline, asyncio.get_running_loop().time() + self._rhythm.half_line) if is_within_line else deadline
        try:
            async with asyncio.timeout_at(until):
                return await answer.content.readany()
        except TimeoutError:
            if is_within_line:
                raise Unreadable("the watch stopped within an event") from None
            return b""

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > self._bounds.page_bytes:
                raise Unreadable(f"a page of the list is longer than {self._bounds.page_bytes} bytes")
        return bytes(body)

    async def _message(self, answer: aiohttp.ClientResponse) -> str:
        """Return what the Status object of a refusal says."""
        async with asyncio.timeout(self._rhythm.connect):
            document = read_object(await answer.content.read(_MOST_ERROR_BYTES))
        message = document.get("message") if isinstance(document, Mapping) else None
        return f": {message!r:.200}" if isinstance(message, str) else ""


async def _read(read: Callable[[bytes], _Read], data: bytes) -> _Read:
    try:
        return read(data)
    except RecursionError:
        # It takes a second for the largest page: not on the event loop.
        return read(await asyncio.to_thread(pruned, data))


@contextmanager
def _one_line_errors(url: str) -> Iterator[None]:
    """Turn what a library or the system says into ReadError."""
    try:
        yield
    except TimeoutError as error:
        raise ReadError(f"{url}: no answer in time") from error
    except Unreadable as error:
        raise Garbled(f"{url}: {error}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ReadError(f"{url}: {str(error).partition(chr(10))[0][:300] or type(error).__name__}") from error


def _socket(address: AddressInfo) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made

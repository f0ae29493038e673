"""Requests to the issuer and to the entry: TLS, no redirects, bounded in time and size; what goes wrong is one line for the user."""

import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from proxy.client.errors import ClientError, printable

_SECONDS: Final = 10
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; `date` is its own clock in seconds since the epoch, None if it did not tell."""

    url: str
    status: int
    body: bytes = field(repr=False)
    date: float | None

    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises ClientError."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except (ValueError, RecursionError):
            raise ClientError(f"{self.url}: answered {self.status} without a JSON object") from None


class Web:
    """A client for one command; `seconds` bound each request as a whole."""

    def __init__(self, session: aiohttp.ClientSession, seconds: float) -> None:
        self._session, self._seconds = session, seconds

    async def get(self, url: str, headers: Mapping[str, str] | None = None, *, max_bytes: int = _MAX_BYTES) -> Answer:
        """Ask for a document."""
        return await self._ask("GET", url, headers=headers, max_bytes=max_bytes)

    async def post(self, url: str, form: Mapping[str, str]) -> Answer:
        """Send a form."""
        return await self._ask("POST", url, form=form)

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = _MAX_BYTES,
    ) -> Answer:
        require_protected(url)
        try:
            async with self._session.request(
                method,
                url,
                data=form,
                headers={"Accept": "application/json", **(headers or {})},
                allow_redirects=False,
                proxy=proxy_for(url),
            ) as answer:
                return Answer(url, answer.status, await _bounded(answer, max_bytes), _date(answer))
        except TimeoutError:
            raise ClientError(f"{url}: no answer within {self._seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ClientError(f"{url}: {printable(error) or type(error).__name__}{_remedy(error)}") from None


@asynccontextmanager
async def web(authority: str | None, seconds: float = _SECONDS) -> AsyncIterator[Web]:
    """Give a client that believes the system's authorities, and those of `authority` (PEM) too."""
    connector = aiohttp.TCPConnector(ssl=_trust(authority))
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Web(session, seconds)


def _trust(authority: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority is not None:
        context.load_verify_locations(cadata=authority)
    return context


def require_protected(url: str) -> None:
    """Raise ClientError unless a URL is https, or http to this very machine."""
    try:
        parsed = URL(url)
    except ValueError:
        raise ClientError(f"{printable(url)}: is not a URL") from None
    is_safe = parsed.scheme == "https" or (parsed.scheme == "http" and _is_loopback(parsed.host or ""))
    if not parsed.host or parsed.user is not None or not is_safe:
        raise ClientError(f"{printable(url)}: must be https")


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for a URL; as with kubectl, never one for this very machine."""
    parsed = URL(url)
    if _is_loopback(parsed.host or "") or urllib.request.proxy_bypass(parsed.host or ""):
        return None
    return urllib.request.getproxies().get(parsed.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _bounded(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise ClientError(f"{answer.url}: the answer is longer than {max_bytes} bytes")
    return bytes(body)


def _date(answer: aiohttp.ClientResponse) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except ValueError:
        return None


def _remedy(error: Exception) -> str:
    return "; give its authority with --ca-file" if isinstance(error, aiohttp.ClientConnectorCertificateError) else ""

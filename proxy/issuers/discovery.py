"""Where the keys of an issuer are read: OpenID Connect Discovery 1.0 and its `jwks_uri`, or a file.

An issuer is trusted to say who its users are, not to be well-behaved on the wire: no redirects (GHSA-9v7f-9g4p-ffgj), no plain http
but to loopback, bounded size; the caller bounds the time. What goes wrong is a KeysUnavailable with one line for the operator.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol

import aiohttp
import msgspec
from yarl import URL

from proxy.issuers.keys import KeySet, UnusableKeySet, parse_key_set
from proxy.issuers.settings import IssuerSettings

_MAX_DOCUMENT_BYTES: Final = 1 << 20
WELL_KNOWN: Final = "/.well-known/openid-configuration"


class KeysUnavailable(Exception):
    """The keys could not be read; the text is one line that names the URL or the file."""


class KeySource(Protocol):
    """Reads the key set of one issuer, once a call; raises KeysUnavailable."""

    async def read(self) -> KeySet: ...


class _Metadata(msgspec.Struct):
    issuer: str
    jwks_uri: str


def key_source(settings: IssuerSettings) -> KeySource:
    """Return where the keys of an issuer come from."""
    if settings.jwks_file is not None:
        return KeyFile(settings.jwks_file, settings.rules.algorithms)
    return DiscoveredKeys(settings)


class KeyFile:
    """A key set in a file."""

    def __init__(self, path: Path, algorithms: frozenset[str]) -> None:
        self._path = path
        self._algorithms = algorithms

    async def read(self) -> KeySet:
        try:
            document = await asyncio.to_thread(self._path.read_bytes)
            return parse_key_set(document, self._algorithms)
        except OSError as error:
            raise KeysUnavailable(f"{self._path}: {error.strerror}") from error
        except UnusableKeySet as error:
            raise KeysUnavailable(f"{self._path}: {error}") from error


class DiscoveredKeys:
    """The key set behind an issuer's discovery document."""

    def __init__(self, settings: IssuerSettings) -> None:
        self._settings = settings

    async def read(self) -> KeySet:
        async with self._session() as session:
            # OpenID Connect Discovery 1.0 section 4: a terminating slash of the issuer is removed first.
            address = self._settings.issuer.removesuffix("/") + WELL_KNOWN
            jwks_uri = self._jwks_uri(await fetch_document(session, address), address)
            document = await fetch_document(session, jwks_uri)
        try:
            return parse_key_set(document, self._settings.rules.algorithms)
        except UnusableKeySet as error:
            raise KeysUnavailable(f"{jwks_uri}: {error}") from error

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        # One session an attempt: attempts are minutes apart, and a changed CA file counts from the next one on.
        connector = aiohttp.TCPConnector(ssl=await self._tls())
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            yield session

    async def _tls(self) -> ssl.SSLContext:
        try:
            # Reading the system's authorities takes some ten milliseconds.
            return await asyncio.to_thread(ssl.create_default_context, cafile=self._settings.ca_file)
        except OSError as error:
            raise KeysUnavailable(f"{self._settings.ca_file}: {error.strerror}") from error

    def _jwks_uri(self, document: bytes, address: str) -> str:
        try:
            metadata = msgspec.json.decode(document, type=_Metadata)
        except (ValueError, RecursionError) as error:
            raise KeysUnavailable(f"{address}: not a discovery document") from error
        # Section 4.3: exactly equal, else one issuer could hand out keys in the name of another.
        if metadata.issuer != self._settings.issuer:
            raise KeysUnavailable(f"{address}: names another issuer, {metadata.issuer!r:.200}")
        if self._settings.issuer.startswith("https:") and not metadata.jwks_uri.startswith("https:"):
            raise KeysUnavailable(f"{address}: jwks_uri {metadata.jwks_uri!r:.200} must be https, as the issuer is")
        return metadata.jwks_uri


async def fetch_document(session: aiohttp.ClientSession, address: str) -> bytes:
    """Return what is at an address of an issuer; raises KeysUnavailable."""
    require_protected(address)
    try:
        async with session.get(address, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer:
            if answer.status != HTTPStatus.OK:
                raise KeysUnavailable(f"{address}: answered {answer.status}")
            return await bounded_body(answer, address)
    except (aiohttp.ClientError, OSError) as error:
        raise KeysUnavailable(f"{address}: {one_line(error)}") from error


async def bounded_body(answer: aiohttp.ClientResponse, address: str) -> bytes:
    """Return the body of an answer that is not too long; raises KeysUnavailable."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _MAX_DOCUMENT_BYTES:
            raise KeysUnavailable(f"{address}: longer than {_MAX_DOCUMENT_BYTES} bytes")
    return bytes(body)


def require_protected(address: str) -> None:
    """Raise KeysUnavailable unless an address is https, or http to this machine."""
    try:
        url = URL(address)
    except ValueError as error:
        raise KeysUnavailable(f"{address!r:.200}: not a URL") from error
    if (
        url.host is None
        or url.user is not None
        or not (url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host)))
    ):
        raise KeysUnavailable(f"{address!r:.200}: must be https")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def one_line(error: Exception) -> str:
    """Return what an error says, fit for a log."""
    return str(error).partition("\n")[0][:200] or type(error).__name__

"""The issuer's endpoints, called with aiohttp: bounded in time and size, no redirects, no cookies, one connection pool.

Theory of operation. The discovery document is read when somebody needs it and it is no longer fresh. How fresh it has to be depends on
the use: who is about to send a browser to the issuer wants to know that the issuer is there, so that people see a page of ours instead
of a dead end; who renews a session only wants to know the endpoints. One read serves all who wait; after a failure there is none for
a moment, so that a crowd in front of a dead issuer costs one attempt a second.
"""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote_plus, urlencode

import aiohttp
import msgspec

from proxy.issuers.discovery import WELL_KNOWN, KeysUnavailable, bounded_body, fetch_document, one_line
from proxy.signin.failures import IssuerRefused, IssuerUnavailable
from proxy.signin.metadata import Metadata, UnusableMetadata, parse_metadata
from proxy.signin.settings import SignInSettings

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_CONNECTIONS: Final = 16
# They say that it is the issuer's trouble and not the token's.
_PASSING: Final = frozenset({"temporarily_unavailable", "server_error"})


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for one exchange, for a revocation, between attempts after a failure, and how old metadata may be for whom."""

    exchange: float = 10
    revocation: float = 3
    cool_down: float = 1
    fresh_for_browsers: float = 10
    fresh_for_tokens: float = 600


DEFAULT_PATIENCE = Patience()


class TokenAnswer(msgspec.Struct, frozen=True):
    """What the token endpoint gives; never shown."""

    id_token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return "TokenAnswer(…)"


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: str
    error_description: str = ""


class Provider:
    """One issuer, for one client. Methods raise IssuerUnavailable, and IssuerRefused when the issuer answers with an error."""

    def __init__(self, settings: SignInSettings, patience: Patience = DEFAULT_PATIENCE) -> None:
        self.settings = settings
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Lock()
        self._metadata: Metadata | None = None
        self._read_at = 0.0
        self._failed_at = -patience.cool_down
        self._failure = ""

    def __repr__(self) -> str:
        return f"Provider({self.settings.issuer}, {self._failure or 'answers'})"

    async def close(self) -> None:
        """Close the connections to the issuer."""
        if self._session is not None:
            await self._session.close()

    async def metadata_for_browsers(self) -> Metadata:
        """Return the issuer's metadata after making sure that it is there."""
        return await self._fresh(self._patience.fresh_for_browsers)

    async def metadata(self) -> Metadata:
        """Return the issuer's metadata."""
        return await self._fresh(self._patience.fresh_for_tokens)

    async def exchange(self, code: str, verifier: str) -> TokenAnswer:
        """Exchange a code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
        grant = {"code": code, "redirect_uri": self.settings.redirect_uri, "code_verifier": verifier}
        return await self._tokens("authorization_code", grant)

    async def refresh(self, refresh_token: str) -> TokenAnswer:
        """Exchange a refresh token for other tokens (RFC 6749 section 6)."""
        return await self._tokens("refresh_token", {"refresh_token": refresh_token})

    async def revoke(self, refresh_token: str) -> bool:
        """Tell the issuer that a refresh token will not be used again (RFC 7009); False if it wants to hear of no such thing."""
        metadata = await self.metadata()
        endpoint = metadata.revocation_endpoint
        if endpoint is None:
            return False
        form = {"token": refresh_token, "token_type_hint": "refresh_token"}
        status, answer = await self._post(endpoint, metadata, form, self._patience.revocation)
        if status != HTTPStatus.OK:
            raise _error(endpoint, status, answer)
        return True

    async def _tokens(self, grant_type: str, grant: Mapping[str, str]) -> TokenAnswer:
        metadata = await self.metadata()
        endpoint = metadata.token_endpoint
        status, answer = await self._post(endpoint, metadata, {"grant_type": grant_type, **grant}, self._patience.exchange)
        if status != HTTPStatus.OK:
            raise _error(endpoint, status, answer)
        try:
            return msgspec.json.decode(answer, type=TokenAnswer)
        except (ValueError, RecursionError):
            raise IssuerUnavailable(f"{endpoint}: answered 200 without tokens") from None

    async def _post(self, endpoint: str, metadata: Metadata, form: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
        settings = self.settings
        method = metadata.client_authentication(settings.client_secret)
        body, headers = authenticated(method, settings.client_id, settings.client_secret or "", form)
        http = await self._http()
        try:
            async with asyncio.timeout(seconds), http.post(endpoint, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status, await bounded_body(answer, endpoint)
        except TimeoutError:
            raise IssuerUnavailable(f"{endpoint}: no answer within {seconds:g} seconds") from None
        except KeysUnavailable as error:
            raise IssuerUnavailable(str(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise IssuerUnavailable(f"{endpoint}: {one_line(error)}") from error

    async def _fresh(self, seconds: float) -> Metadata:
        async with self._turn:
            now = time.monotonic()
            if self._metadata is not None and now - self._read_at < seconds:
                return self._metadata
            if now - self._failed_at < self._patience.cool_down:
                raise IssuerUnavailable(self._failure)
            try:
                self._metadata = await self._read()
            except (KeysUnavailable, UnusableMetadata, TimeoutError) as error:
                self._failed_at, self._failure = time.monotonic(), f"{self.settings.issuer}: {one_line(error)}"
                raise IssuerUnavailable(self._failure) from None
            self._read_at, self._failure = time.monotonic(), ""
            return self._metadata

    async def _read(self) -> Metadata:
        http = await self._http()
        async with asyncio.timeout(self._patience.exchange):
            # Section 4 of OpenID Connect Discovery 1.0: a terminating slash of the issuer is removed first.
            document = await fetch_document(http, self.settings.issuer.removesuffix("/") + WELL_KNOWN)
        return parse_metadata(document, self.settings.issuer)

    async def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            try:
                # Reading the system's authorities takes some ten milliseconds.
                tls = await asyncio.to_thread(ssl.create_default_context, cafile=self.settings.ca_file)
            except OSError as error:
                raise IssuerUnavailable(f"{self.settings.ca_file}: {error.strerror}") from None
            if self._session is None:
                connector = aiohttp.TCPConnector(ssl=tls, limit=_MOST_CONNECTIONS)
                self._session = aiohttp.ClientSession(
                    connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
                )
        return self._session


def authenticated(method: str, client_id: str, secret: str, form: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return body and headers of a form that a client sends under its name, by one of OpenID Connect's methods.

    RFC 6749 section 2.3.1: both halves of Basic credentials are form-encoded first; a secret with a colon or a per cent sign is wrong
    otherwise.
    """
    headers = {"Content-Type": _FORM, "Accept": "application/json", "Accept-Encoding": "identity"}
    match method:
        case "client_secret_basic":
            credentials = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {b64encode(credentials).decode()}"
            return urlencode(form), headers
        case "client_secret_post":
            return urlencode({**form, "client_id": client_id, "client_secret": secret}), headers
        case _:
            return urlencode({**form, "client_id": client_id}), headers


def _error(endpoint: str, status: int, answer: bytes) -> IssuerRefused | IssuerUnavailable:
    """Return an error answer as what it means (RFC 6749 section 5.2)."""
    try:
        error = msgspec.json.decode(answer, type=_ErrorAnswer)
    except (ValueError, RecursionError):
        return IssuerUnavailable(f"{endpoint}: answered {status}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.error in _PASSING:
        return IssuerUnavailable(f"{endpoint}: answered {status}, {error.error!r:.100}")
    return IssuerRefused(error.error, error.error_description)

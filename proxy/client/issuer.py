"""The issuer as a public client meets it: its metadata (OpenID Connect Discovery 1.0), its keys, and answers of its token endpoint."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec

from proxy.client.errors import ClientError, SessionEnded, printable
from proxy.client.id_token import Expected, kept_tokens, verified
from proxy.client.logins import Tokens
from proxy.client.web import Answer, Web, require_protected
from proxy.errors import Unauthenticated
from proxy.identity.tokens import Claims
from proxy.issuers.keys import SUPPORTED_ALGORITHMS, KeySet, UnusableKeySet, parse_key_set

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_SKEW_SECONDS: Final = 60


class Metadata(msgspec.Struct, frozen=True):
    """What an issuer says of itself; an endpoint that it does not offer is None."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """A sign-in or its continuation: the tokens, and what the ID token says."""

    tokens: Tokens
    claims: Claims


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer whose metadata were read. `clock` gives seconds since the epoch."""

    web: Web
    metadata: Metadata
    client_id: str
    clock: Callable[[], float] = time.time

    async def ask_for_tokens(self, form: Mapping[str, str]) -> Answer:
        """Ask the token endpoint, as a public client."""
        return await self.web.post(self.metadata.token_endpoint, {"client_id": self.client_id, **form})

    async def granted(self, answer: Answer, *, nonce: str | None = None, continued: Tokens | None = None) -> Granted:
        """Read and verify what the token endpoint gave; raises ClientError, SessionEnded when it refused the grant."""
        if answer.status != HTTPStatus.OK:
            raise refusal(answer)
        document = answer.document()
        id_token, refresh_token = document.get("id_token"), document.get("refresh_token")
        if not isinstance(id_token, str) or not isinstance(refresh_token, str | None):
            raise ClientError(f"{answer.url}: gave no ID token; does the client {self.client_id!r} have the scope openid?")
        subject = None if continued is None else continued.subject
        claims = self._verified(
            id_token, await self._keys(), Expected(self.metadata.issuer, self.client_id, nonce, subject), answer
        )
        if refresh_token is None and continued is not None:
            refresh_token = continued.refresh_token
        return Granted(kept_tokens(id_token, refresh_token, claims), claims)

    def _verified(self, id_token: str, keys: KeySet, expected: Expected, answer: Answer) -> Claims:
        now = self.clock()
        try:
            return verified(id_token, keys, expected, now)
        except Unauthenticated as error:
            detail = f" ({printable(error.detail)})" if error.detail else ""
            raise ClientError(f"{answer.url}: {error.message}{detail}{_skew(answer, now)}") from None

    async def _keys(self) -> KeySet:
        answer = await self.web.get(self.metadata.jwks_uri)
        if answer.status != HTTPStatus.OK:
            raise ClientError(f"{answer.url}: answered {answer.status}")
        try:
            return parse_key_set(answer.body, SUPPORTED_ALGORITHMS)
        except UnusableKeySet as error:
            raise ClientError(f"{answer.url}: {printable(error)}") from None


async def discover(web: Web, issuer: str, client_id: str, clock: Callable[[], float] = time.time) -> Issuer:
    """Read an issuer's metadata; raises ClientError."""
    answer = await web.get(issuer.removesuffix("/") + _WELL_KNOWN)
    if answer.status != HTTPStatus.OK:
        raise ClientError(f"{answer.url}: answered {answer.status}; is this the issuer?")
    try:
        metadata = msgspec.json.decode(answer.body, type=Metadata)
    except (ValueError, RecursionError):
        raise ClientError(f"{answer.url}: is not a discovery document") from None
    # OpenID Connect Discovery 1.0 section 4.3: exactly equal, else one issuer could speak for another.
    if metadata.issuer != issuer:
        raise ClientError(f"{answer.url}: names another issuer, {printable(metadata.issuer)}")
    for endpoint in _endpoints(metadata):
        require_protected(endpoint)
        if issuer.startswith("https:") and not endpoint.startswith("https:"):
            raise ClientError(f"{answer.url}: {printable(endpoint)} must be https, as the issuer is")
    return Issuer(web, metadata, client_id, clock)


def _endpoints(metadata: Metadata) -> list[str]:
    # The first of them is handed to a browser: a hostile one must not start anything else (CVE-2022-0484).
    offered = (metadata.device_authorization_endpoint, metadata.revocation_endpoint)
    return [
        metadata.authorization_endpoint,
        metadata.token_endpoint,
        metadata.jwks_uri,
        *(endpoint for endpoint in offered if endpoint is not None),
    ]


def refusal(answer: Answer) -> ClientError:
    """Return an error answer (RFC 6749 section 5.2) as what to tell the user."""
    try:
        document: Mapping[str, Any] = answer.document()
    except ClientError as error:
        return error
    code = document.get("error")
    text = f"{answer.url}: {printable(code or answer.status)}"
    if description := document.get("error_description"):
        text = f"{text}: {printable(description)}"
    return SessionEnded(text) if code == "invalid_grant" else ClientError(text)


def _skew(answer: Answer, now: float) -> str:
    ahead = 0 if answer.date is None else now - answer.date
    if abs(ahead) <= _SKEW_SECONDS:
        return ""
    return f": this machine's clock is {abs(ahead) / 60:.0f} minutes {'ahead of' if ahead > 0 else 'behind'} the issuer's; set it right"


async def refresh(web: Web, issuer: str, client_id: str, tokens: Tokens) -> Tokens:
    """Exchange a refresh token for the next tokens (OpenID Connect Core 1.0, section 12.2); raises ClientError, SessionEnded."""
    asked = await discover(web, issuer, client_id)
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token or ""}
    return (await asked.granted(await asked.ask_for_tokens(form), continued=tokens)).tokens


async def revoke(issuer: Issuer, refresh_token: str) -> bool:
    """End the session at the issuer (RFC 7009); False when it offers no such thing. Raises ClientError."""
    endpoint = issuer.metadata.revocation_endpoint
    if endpoint is None:
        return False
    form = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": issuer.client_id}
    answer = await issuer.web.post(endpoint, form)
    if answer.status != HTTPStatus.OK:
        raise refusal(answer)
    return True

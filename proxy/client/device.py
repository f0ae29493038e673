"""The device authorization grant (RFC 8628): the user signs in on another machine, this one asks from time to time whether it is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec

from proxy.client.authorization import Attempt
from proxy.client.errors import ClientError, printable
from proxy.client.issuer import Granted, Issuer, refusal
from proxy.client.web import Answer, require_protected

_SLOWER_SECONDS: Final = 5
_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_LONGEST_INTERVAL: Final = 60
_LONGEST_URL: Final = 2000


class _Started(msgspec.Struct):
    device_code: str
    user_code: str
    verification_uri: str
    expires_in: float
    verification_uri_complete: str | None = None
    interval: float = 5


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the user needs on another machine: where to go, and the code to compare or to type there."""

    url: str
    user_code: str
    is_code_in_url: bool


@dataclass(frozen=True, slots=True)
class Patience:
    """How time passes: `sleep` for seconds, `clock` in seconds from anywhere."""

    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    clock: Callable[[], float] = field(default=time.monotonic)


async def sign_in_with_device(
    issuer: Issuer, scopes: tuple[str, ...], show: Callable[[Invitation], None], patience: Patience | None = None
) -> Granted:
    """Let the user sign in as the invitation says; raises ClientError."""
    attempt, patience = Attempt(), patience or Patience()
    started = await _start(issuer, scopes, attempt)
    show(_invitation(started))
    deadline, interval = patience.clock() + started.expires_in, max(1.0, started.interval)
    form = {"grant_type": _GRANT, "device_code": started.device_code, "code_verifier": attempt.verifier}
    while patience.clock() + interval < deadline:
        await patience.sleep(interval)
        answer = await _poll(issuer, form)
        if answer is not None and answer.status == HTTPStatus.OK:
            return await issuer.granted(answer)
        interval = next_interval(answer, interval)
    raise ClientError("nobody has entered the code in time; run the command again")


async def _start(issuer: Issuer, scopes: tuple[str, ...], attempt: Attempt) -> _Started:
    endpoint = issuer.metadata.device_authorization_endpoint
    if endpoint is None:
        raise ClientError(f"{issuer.metadata.issuer} offers no sign-in for devices; leave --device out")
    form = {
        "client_id": issuer.client_id,
        "scope": " ".join(scopes),
        # Beyond RFC 8628; Keycloak demands it of a client for which PKCE is required.
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    answer = await issuer.web.post(endpoint, form)
    if answer.status != HTTPStatus.OK:
        raise refusal(answer)
    try:
        return msgspec.json.decode(answer.body, type=_Started)
    except (ValueError, RecursionError):
        raise ClientError(f"{answer.url}: is not an answer of RFC 8628") from None


def _invitation(started: _Started) -> Invitation:
    url = started.verification_uri_complete or started.verification_uri
    require_protected(url)
    return Invitation(printable(url, _LONGEST_URL), printable(started.user_code), started.verification_uri_complete is not None)


async def _poll(issuer: Issuer, form: dict[str, str]) -> Answer | None:
    try:
        return await issuer.ask_for_tokens(form)
    except ClientError:
        return None


def next_interval(answer: Answer | None, interval: float) -> float:
    """Return how long to wait before asking again (RFC 8628 section 3.5), None meaning no answer; raises ClientError when it is over."""
    if answer is None:
        return min(2 * interval, _LONGEST_INTERVAL)
    match answer.document().get("error"):
        case "authorization_pending":
            return interval
        case "slow_down":
            return interval + _SLOWER_SECONDS
        case "access_denied":
            raise ClientError("the sign-in was refused")
        case "expired_token":
            raise ClientError("nobody has entered the code in time; run the command again")
        case _:
            raise refusal(answer)

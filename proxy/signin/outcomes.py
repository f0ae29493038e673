"""What comes of a step, for the edge to show: each is whole, none needs to be asked anything more.

`cookies` are `Set-Cookie` values. Messages are for the person in front of the browser; `detail` is for the log alone. Nothing here
holds a token, and no location does.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, TypeAlias

# What went wrong, for programs: the words stay when the sentences are improved.
Cause: TypeAlias = Literal[
    "cross_origin",
    "invalid_request",
    "issuer_error",
    "issuer_unavailable",
    "not_accepted",
    "sign_in_unknown",
    "sign_in_used",
    "store_unavailable",
]


@dataclass(frozen=True, slots=True)
class Redirected:
    """Send the browser to `location`. `username` is that of somebody who has just signed in or out."""

    location: str
    cookies: tuple[str, ...] = ()
    username: str | None = None
    status: HTTPStatus = HTTPStatus.SEE_OTHER


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Say that the browser is signed out, with a link to sign in again."""

    cookies: tuple[str, ...] = ()
    username: str | None = None
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Accepted:
    """Answer the issuer's back-channel request with an empty 200; `ended` sessions were ended by it."""

    ended: int = 0
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Refused:
    """Say what happened and offer `again`, a path of ours at which it can be tried again."""

    status: HTTPStatus
    cause: Cause
    message: str
    again: str = "/oauth2/start"
    cookies: tuple[str, ...] = ()
    retry_after: int | None = None
    detail: str = ""


Outcome: TypeAlias = Redirected | SignedOut | Accepted | Refused

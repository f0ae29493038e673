"""What is recorded of a request, and the clock and the ids it is stamped with."""

import os
import time
from typing import Final

import msgspec

_PAGE_IDS: Final = 128
_ID: Final = 32
_SPAN: Final = 16
_STEP: Final = _ID + _SPAN


class AuditEvent(msgspec.Struct, frozen=True):
    """One audit line; the fields and their order are the contract's (section 4), null where unknown."""

    time: str
    stage: str
    request_id: str
    client: str
    user: str | None
    roles: tuple[str, ...] | None
    granted_by: str | None
    through: tuple[str, ...] | None
    target: str | None
    verb: str | None
    method: str
    path: str
    surface: str | None
    decision: str
    reason: str | None
    upstream: str | None
    status: int | None
    bytes_in: int
    bytes_out: int
    duration_ms: float | None


_encoder: Final = msgspec.json.Encoder()


def audit_line(event: AuditEvent) -> bytes:
    """Serialise an event as one line of JSON, without the line break."""
    return _encoder.encode(event)


class Timestamps:
    """RFC 3339 times in UTC to the millisecond; a wording is kept while its millisecond lasts, the part up to the second for a second."""

    def __init__(self) -> None:
        self._second = self._millisecond = -1
        self._prefix = self._text = ""

    def stamp(self, now: float) -> str:
        """Word `now`, in seconds since the epoch."""
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._text = self._worded(millisecond)
        return self._text

    def _worded(self, millisecond: int) -> str:
        second, rest = divmod(millisecond, 1000)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._prefix}{rest:03d}Z"


class RequestIds:
    """Unguessable ids from pages of the system's random numbers: a system call for every 128 requests."""

    def __init__(self) -> None:
        self._page: list[tuple[bytes, bytes]] = []

    def take(self) -> tuple[bytes, bytes]:
        """Return a request id of 32 hexadecimal digits and a span id of 16 (W3C Trace Context)."""
        if not self._page:
            digits = os.urandom(_PAGE_IDS * _STEP // 2).hex().encode()
            self._page = [(digits[at : at + _ID], digits[at + _ID : at + _STEP]) for at in range(0, len(digits), _STEP)]
        return self._page.pop()

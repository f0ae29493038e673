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
    """RFC 3339 times in UTC to the millisecond; the part up to the second is kept while the second lasts."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def stamp(self, now: float) -> str:
        """Word `now`, in seconds since the epoch."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._prefix}{int((now - second) * 1000):03d}Z"


class RequestIds:
    """Unguessable ids from pages of the system's random numbers: a system call for every 128 requests."""

    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def take(self) -> tuple[bytes, bytes]:
        """Return a request id of 32 hexadecimal digits and a span id of 16 (W3C Trace Context)."""
        at = self._at
        if at >= len(self._page):
            self._page = os.urandom(_PAGE_IDS * _STEP // 2).hex().encode()
            at = 0
        self._at = at + _STEP
        return self._page[at : at + _ID], self._page[at + _ID : at + _STEP]

"""Logs that flow: line n of a container exists from a moment that follows from n, so nothing has to be kept."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.demo.kubernetes.documents import digest, parse_timestamp

SECONDS_A_LINE = 0.2
_HISTORY_LINES = 300
_PATHS = ("/", "/healthz", "/api/items", "/api/items/7", "/login", "/static/app.css")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Query parameters of a log request; times are seconds since the epoch."""

    follow: bool = False
    tail: int | None = None
    since: float | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LogSource:
    """One container, and when its log began."""

    pod: str
    container: str
    began: float

    def line(self, number: int) -> str:
        """The text of a line, always the same."""
        mark = digest(self.pod, self.container, number, length=6)
        path = _PATHS[sum(map(ord, mark)) % len(_PATHS)]
        return f'{_iso(self.moment(number))} {self.container} request={mark} method=GET path="{path}" status=200 line={number}'

    def moment(self, number: int) -> float:
        """When the line is written."""
        return self.began + number * SECONDS_A_LINE

    def written(self, now: float) -> int:
        """How many lines there are."""
        return max(0, int((now - self.began) / SECONDS_A_LINE) + 1)


def began(started: str | None, server_start: float) -> float:
    """A container's log goes back to its start, but no further than a minute before the server's."""
    earliest = server_start - _HISTORY_LINES * SECONDS_A_LINE
    return max(earliest, parse_timestamp(started).timestamp()) if started else earliest


async def read(source: LogSource, options: LogOptions) -> AsyncGenerator[bytes, None]:
    """The lines asked for; with `follow`, each further one when its moment comes."""
    present = source.written(time.time())
    number = _first(source, options, present)
    left = options.limit_bytes if options.limit_bytes is not None else float("inf")
    while left > 0 and (options.follow or number < present):
        await asyncio.sleep(max(0.0, source.moment(number) - time.time()))
        stamp = f"{_iso(source.moment(number))} " if options.timestamps else ""
        line = f"{stamp}{source.line(number)}\n".encode()
        yield line if len(line) <= left else line[: int(left)]
        left -= len(line)
        number += 1


def _first(source: LogSource, options: LogOptions, present: int) -> int:
    number = 0
    if options.since is not None:
        number = max(number, source.written(options.since))
    if options.tail is not None:
        number = max(number, present - options.tail)
    return min(number, present)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

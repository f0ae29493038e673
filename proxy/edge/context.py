"""What all connections of the public listener share: the site in force, counts, ids, the sweep, and the way to drain.

One timer serves all time limits: it looks at every connection a few times a second, so that no request sets or cancels a timer.
"""

import asyncio
import contextlib
import logging
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from proxy.edge.browser import OpenRequests
from proxy.edge.client_connection import ClientConnection
from proxy.edge.counters import Counters
from proxy.edge.events import RequestIds, Timestamps
from proxy.edge.handshakes import Handshakes
from proxy.edge.head_reader import HeadLimits
from proxy.edge.limits import UserLimits
from proxy.edge.memory import BlockMemories
from proxy.edge.own_pages import OwnPages
from proxy.edge.site import Site
from proxy.edge.visit import Visit
from proxy.errors import RequestError, Unavailable
from proxy.forwarding.tasks import TaskSet

log = logging.getLogger("mosk_proxy.edge")

SWEEP_SECONDS: Final = 0.25
_SWEPT_AT_ONCE: Final = 200
_LOG_LINES_A_SECOND: Final = 1.0
# Room for the admin listener's connections, the audit file, and upstreams of those who are in.
_SPARE_DESCRIPTORS: Final = 64


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Bounds of the public listener: bytes, counts, seconds."""

    head: HeadLimits
    body_bytes: int | None
    connections: int
    header_seconds: float
    idle_seconds: float
    response_seconds: float
    body_idle_seconds: float
    stream_seconds: float
    stream_follows_token: bool
    is_tls: bool
    public_scheme: Literal["http", "https"]


class Edge:
    """The state of the public listener; `put_audit_line` takes a line without its break (None: nobody wants one), `audit_accepts` tells
    whether a request may begin (None: always)."""

    def __init__(
        self,
        site: Site,
        settings: EdgeSettings,
        limits: UserLimits,
        put_audit_line: Callable[[bytes], object] | None,
        audit_accepts: Callable[[], bool] | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.site = site
        self.settings = settings
        self.limits = limits
        self.audit = put_audit_line
        self.counters = Counters()
        self.ids = RequestIds()
        self.memories = BlockMemories()
        self.own_pages: OwnPages | None = None
        self.visits: dict[str, Visit] = {}
        self.open_requests = OpenRequests()
        self.scheme = "https" if settings.is_tls else "http"
        self.tasks = TaskSet(self.loop)
        self.wall_clock = time.time
        self.connections: set[ClientConnection] = set()
        self.handshakes = Handshakes(self)
        self.is_leaving = False
        self.is_draining = False
        self._in_a_hurry = asyncio.Event()
        self._audit_accepts = audit_accepts
        self._timestamps = Timestamps()
        self._next_log_line = 0.0
        self._unlogged = 0
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._last_descriptor = (sys.maxsize if most == resource.RLIM_INFINITY else most) - _SPARE_DESCRIPTORS

    def __repr__(self) -> str:
        state = "draining" if self.is_draining else "serving"
        return f"Edge({state}, {len(self.connections)} connections, {self.counters.in_flight} requests)"

    @property
    def has_sessions(self) -> bool:
        """Whether browsers can be signed in."""
        return self.own_pages is not None and self.own_pages.browsers is not None

    def connection(self) -> ClientConnection:
        """Make the protocol of one accepted connection."""
        return ClientConnection(self)

    def takes_in(self, descriptor: int) -> bool:
        """Whether there is room for another connection, whose descriptor tells how many are in use (open(2)); counts those without."""
        if len(self.connections) + len(self.handshakes) >= self.settings.connections:
            self.counters.turned_away["limits.connections"] += 1
        elif descriptor >= self._last_descriptor:
            self.counters.turned_away["descriptors"] += 1
        else:
            return True
        return False

    def stamp(self) -> str:
        """Return the time of day as audit lines have it."""
        return self._timestamps.stamp(self.wall_clock())

    def may_record(self) -> bool:
        """Whether the audit sink takes the lines of another request."""
        return self._audit_accepts is None or self._audit_accepts()

    def refuse_when_draining(self) -> None:
        """Raise Unavailable while draining."""
        if self.is_draining:
            raise Unavailable("the proxy is shutting down", retry_after=1)

    def malformed(self, error: RequestError, peer: str) -> None:
        """Count a request that was refused before it was routed; it has no audit line."""
        self.counters.malformed[error.message] += 1
        self._log(f"malformed request from {peer}: {error.message}")

    def no_handshake(self, peer: str, reason: str | None) -> None:
        """Count a connection that never came to speak TLS; without a reason there is nothing to tell."""
        self.counters.turned_away["handshake"] += 1
        if reason is not None:
            self._log(f"no TLS handshake with {peer}: {reason}")

    def log_refusal(self, request_id: str, error: RequestError) -> None:
        """Tell the operator what the client is not told."""
        self._log(f"request {request_id}: {error.message} ({error.detail})")

    async def sweep(self) -> None:
        """Hold all time limits, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self.loop.time()
            for number, connection in enumerate(list(self.connections), start=1):
                if connection in self.connections:
                    connection.expire(now)
                if number % _SWEPT_AT_ONCE == 0:
                    # Ten thousand idle watches would otherwise hold everybody up for milliseconds, four times a second.
                    await asyncio.sleep(0)
            self.handshakes.sweep(now)
            for pool in self.site.pools.values():
                pool.sweep(now)
            if self.own_pages is not None:
                self.own_pages.pool.sweep(now)

    async def drain(self, delay_seconds: float, drain_seconds: float) -> None:
        """Serve for the delay, then finish: short requests to their end, streams spread over the time that is left."""
        self.is_leaving = True
        await self._wait(delay_seconds)
        self.is_draining = True
        deadline = self.loop.time() + drain_seconds
        for connection in list(self.connections):
            connection.close_when_idle()
        while self.connections and not self._in_a_hurry.is_set() and (left := deadline - self.loop.time()) > 0:
            self._end_some_streams(left)
            await self._wait(min(SWEEP_SECONDS, left))
        self.close()

    def hurry(self) -> None:
        """End the drain now."""
        self._in_a_hurry.set()

    def close(self) -> None:
        """End every connection at once."""
        self.handshakes.close()
        for connection in list(self.connections):
            connection.abort_hard()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._in_a_hurry.wait()

    def _end_some_streams(self, seconds_left: float) -> None:
        """End so many streams that all are gone a little before the deadline."""
        streams = [connection for connection in self.connections if connection.carries_stream()]
        share = SWEEP_SECONDS / max(seconds_left * 0.8, SWEEP_SECONDS)
        for connection in streams[: max(1, round(len(streams) * share))]:
            connection.end_stream()

    def _log(self, line: str) -> None:
        """Write one line a second at the most; a flood is counted in the next one."""
        now = self.loop.time()
        if now < self._next_log_line:
            self._unlogged += 1
            return
        suffix = f" (and {self._unlogged} lines not shown)" if self._unlogged else ""
        log.warning("%s%s", line, suffix)
        self._unlogged = 0
        self._next_log_line = now + 1 / _LOG_LINES_A_SECOND

"""The connections to one upstream: reused last-in first-out, bounded, with a fair queue and a circuit that opens when it is sick.

A long-running request always takes a fresh connection: it would hold a pooled one for hours. One pool never waits for another, so
one sick cluster slows nobody else.
"""

import asyncio
import contextlib
import logging
import math
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from proxy.directory.upstream import Upstream
from proxy.errors import BadGateway, GatewayTimeout, RequestError, Unavailable
from proxy.forwarding.connection import UpstreamConnection
from proxy.forwarding.tasks import TaskSet
from proxy.forwarding.tls import upstream_context
from proxy.forwarding.tls_connect import connect_tls
from proxy.forwarding.tls_transport import BioPair

log = logging.getLogger("mosk_proxy.upstream")

_FAILURES_TO_OPEN: Final = 5
_LONGEST_OPEN_SECONDS: Final = 30.0


class Waiter(Protocol):
    """Who asked for a connection."""

    def connected(self, connection: UpstreamConnection) -> bool:
        """Take the connection; False when it is no longer wanted."""

    def not_connected(self, error: RequestError) -> None:
        """Learn that there will be none."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of one pool, in connections and seconds."""

    connections: int = 512
    idle_connections: int = 512
    idle_seconds: float = 50.0
    connect_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Reach:
    """How servers are dialled that somebody else has named: at the addresses that are allowed, with a TLS context made when needed."""

    addresses: Callable[[str], Awaitable[Sequence[str]]]
    context: Callable[[Upstream], Awaitable[ssl.SSLContext | None]]


class Pool:
    """Connections to `upstream`; without `reach` raises OSError when its TLS files cannot be read.

    TLS goes through `bios`, which all pools of one event loop may share.
    `dial` returns connected sockets to a server that has no address (then nothing of the upstream's URL is used).
    """

    def __init__(
        self,
        upstream: Upstream,
        secret: bytes | None,
        limits: PoolLimits,
        tasks: TaskSet,
        reach: Reach | None = None,
        *,
        bios: BioPair | None = None,
        dial: Callable[[], Awaitable[socket.socket]] | None = None,
    ) -> None:
        self.upstream = upstream
        self.secret = secret
        self.limits = limits
        self.name = upstream.name
        self.address = f"{upstream.scheme}://{upstream.host}:{upstream.port}"
        self.opened = 0
        self.failed = 0
        self._tls: ssl.SSLContext | None = upstream_context(upstream) if reach is None else None
        self._bios = bios or BioPair()
        self._reach = reach
        self._dial_socket = dial
        self._loop = asyncio.get_running_loop()
        self._tasks = tasks
        self._idle: list[UpstreamConnection] = []
        self._waiting: deque[tuple[Waiter, float]] = deque()
        self._pooled = 0
        self._failures_in_a_row = 0
        self._open_until = 0.0
        self._is_closed = False

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "circuit open" if self.circuit_open else "open"
        return f"Pool({self.name}, {state}: {self.active} active, {self.idle} idle, {self.waiting} waiting)"

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def active(self) -> int:
        """Pooled connections that carry a request or are being dialled."""
        return self._pooled - len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._waiting)

    @property
    def circuit_open(self) -> bool:
        """Whether the upstream is left alone for a while."""
        return self._loop.time() < self._open_until

    def acquire(self, waiter: Waiter, *, fresh: bool) -> UpstreamConnection | None:
        """Return an idle connection, or None: then `waiter` is told later. Raises Unavailable while the circuit is open."""
        if not fresh:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_usable():
                    return connection
        self._refuse_while_open()
        if fresh:
            self._tasks.start(self._dial(waiter, is_pooled=False), f"dial {self.name}")
        elif self._pooled < self.limits.connections:
            self._dial_pooled(waiter)
        else:
            self._waiting.append((waiter, self._loop.time() + self.limits.connect_seconds))
        return None

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection whose exchange is complete."""
        while self._waiting:
            waiter, _ = self._waiting.popleft()
            if waiter.connected(connection):
                return
        if self._is_closed or len(self._idle) >= self.limits.idle_connections:
            connection.close()
        else:
            connection.idle_since = self._loop.time()
            self._idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """Note that a pooled connection is gone, idle or not."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._pooled -= 1
        self._serve_waiting()

    def sweep(self, now: float) -> None:
        """Close connections that idled too long and refuse requests that waited too long; called by one timer for all."""
        while self._waiting and self._waiting[0][1] < now:
            waiter, _ = self._waiting.popleft()
            waiter.not_connected(Unavailable("the upstream is busy", detail=f"{self!r}"))
        while self._idle and self._idle[0].idle_since + self.limits.idle_seconds < now:
            self._idle.pop(0).close()

    def close(self) -> None:
        """Close what is idle now and everything else as soon as its exchange ends."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _refuse_while_open(self) -> None:
        left = self._open_until - self._loop.time()
        if left > 0:
            raise Unavailable("the upstream does not answer", retry_after=math.ceil(left), detail=f"circuit of {self.name} open")

    def _serve_waiting(self) -> None:
        """Dial for those who wait, as many as there is room for; refuse them while the circuit is open."""
        while self._waiting and self._pooled < self.limits.connections:
            waiter, _ = self._waiting.popleft()
            try:
                self._refuse_while_open()
            except Unavailable as refusal:
                waiter.not_connected(refusal)
            else:
                self._dial_pooled(waiter)

    def _dial_pooled(self, waiter: Waiter) -> None:
        self._pooled += 1
        self._tasks.start(self._dial(waiter, is_pooled=True), f"dial {self.name}")

    async def _dial(self, waiter: Waiter, *, is_pooled: bool) -> None:
        try:
            connection = await self._connect(is_pooled=is_pooled)
        except RequestError as error:
            self._note_failure()
            if is_pooled:
                self._pooled -= 1
            waiter.not_connected(error)
            self._serve_waiting()
            return
        if not connection.is_usable():
            # Its end came before we did, and will not be told again; `lost` counts it.
            self._note_failure()
            waiter.not_connected(BadGateway("the upstream closed the connection at once", detail=self.name))
            return
        self._failures_in_a_row = 0
        self.opened += 1
        if waiter.connected(connection):
            return
        if is_pooled:
            self.release(connection)
        else:
            connection.close()

    async def _connect(self, *, is_pooled: bool) -> UpstreamConnection:
        try:
            async with asyncio.timeout(self.limits.connect_seconds):
                if self._dial_socket is not None:
                    return await self._join(await self._dial_socket(), is_pooled=is_pooled)
                if self._reach is None:
                    return await self._open(self.upstream.host, is_pooled=is_pooled)
                return await self._open_allowed(self._reach, is_pooled=is_pooled)
        except TimeoutError as error:
            raise GatewayTimeout(
                "the upstream did not accept a connection in time", detail=f"{self.name}: connect timed out"
            ) from error
        except OSError as error:
            raise BadGateway("the upstream refused the connection", detail=f"{self.name}: {error}") from error

    async def _open_allowed(self, reach: Reach, *, is_pooled: bool) -> UpstreamConnection:
        """Try one allowed address after the other: what was judged is what is dialled, whatever the name leads to by then."""
        self._tls = self._tls or await reach.context(self.upstream)
        *others, last = await reach.addresses(self.upstream.host)
        for address in others:
            with contextlib.suppress(OSError):
                return await self._open(address, is_pooled=is_pooled)
        return await self._open(last, is_pooled=is_pooled)

    async def _join(self, sock: socket.socket, *, is_pooled: bool) -> UpstreamConnection:
        _, connection = await self._loop.create_connection(lambda: UpstreamConnection(self if is_pooled else None), sock=sock)
        return connection

    async def _open(self, host: str, *, is_pooled: bool) -> UpstreamConnection:
        upstream = self.upstream
        protocol = partial(UpstreamConnection, self if is_pooled else None)
        if self._tls is not None:
            return await connect_tls(protocol, host, upstream.port, self._tls, upstream.server_name or upstream.host, self._bios)
        _, connection = await self._loop.create_connection(protocol, host, upstream.port)
        return connection

    def _note_failure(self) -> None:
        """Open the circuit after some failures in a row, each time for longer."""
        self.failed += 1
        if self.circuit_open:
            # One of many that were on their way when it opened: their number says nothing of how long to wait.
            return
        self._failures_in_a_row += 1
        beyond = self._failures_in_a_row - _FAILURES_TO_OPEN
        if beyond >= 0:
            seconds = min(2.0**beyond, _LONGEST_OPEN_SECONDS)
            self._open_until = self._loop.time() + seconds
            log.warning("upstream %s: %d failures in a row, left alone for %.0f s", self.name, self._failures_in_a_row, seconds)

"""The load of bulk: downloads, uploads and tunnels over kept connections, every byte of an answer compared.

    python -m bench.transfers < plan.json

Closed loop: each connection begins its next transfer when one is complete. One transfer on each connection warms up. Writes the
Outcome of `bench.client`, with the transfers as answers.
"""

import asyncio
import ssl
import sys
from abc import abstractmethod
from collections.abc import Callable
from enum import StrEnum
from time import perf_counter
from typing import cast

import msgspec

from bench import cpu, streams
from bench.client import DRAIN_SECONDS, Failure, Outcome, connected, main
from bench.upstream import body_of
from bench.workload import HEAD_END, WrongAnswer, content_length, head_of

PIECE = 256 << 10
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: {streams.PROTOCOL}\r\n"
)


class Kind(StrEnum):
    """Which way the bytes go."""

    DOWNLOAD = "download"
    UPLOAD = "upload"
    TUNNEL = "tunnel"


class TransferPlan(msgspec.Struct, frozen=True):
    """One measurement; `size` counts the bytes of one transfer, but a tunnel's are bursts of `bench.streams`."""

    port: int
    kind: Kind
    path: str
    token: str
    size: int
    connections: int
    seconds: float
    pids: list[int] = []
    most: int = 100_000
    ca_file: str | None = None


class Transfer(asyncio.Protocol):
    """A kept connection that carries one transfer at a time."""

    def __init__(self, load: "Transfers") -> None:
        self.load = load
        self.plan = load.plan
        self.received = b""
        self.expected = b""
        self.at = -1  # -1: in the head of an answer
        self.may_write = asyncio.Event()
        self.may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()

    def wake(self) -> None:
        """Let go on what waits: the measurement has failed."""
        self.may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.fail(f"the connection was closed: {exc or 'end of stream'}")

    def data_received(self, data: bytes) -> None:
        try:
            self.take(data)
        except WrongAnswer as wrong:
            self.load.fail(str(wrong))

    def take(self, data: bytes) -> None:
        """Bytes of an answer; raises WrongAnswer."""
        if self.at < 0:
            self.received += data
            head, found, data = self.received.partition(HEAD_END)
            if not found:
                return
            self.received = b""
            self.check(head)
            self.at = 0
            self.head_received()
        if not self.expected.startswith(data, self.at) or self.at + len(data) > len(self.expected):
            raise WrongAnswer(f"not the expected bytes at {self.at}: {data[:100]!r}")
        self.at += len(data)
        if self.at == len(self.expected):
            self.complete()

    def head_of(self, method: str, fields: str) -> bytes:
        """The request head of this plan."""
        rest = head_of(f"localhost:{self.plan.port}", self.plan.token, fields)
        return f"{method} {self.plan.path}".encode() + rest

    async def send(self, content: bytes) -> None:
        """Write in pieces, as fast as they are taken."""
        view = memoryview(content)
        for start in range(0, len(view), PIECE):
            await self.may_write.wait()
            if self.transport.is_closing():
                return
            self.transport.write(view[start : start + PIECE])

    @abstractmethod
    async def begin(self) -> None:
        """Send what one transfer needs."""

    @abstractmethod
    def check(self, head: bytes) -> None:
        """Raises WrongAnswer when the head of an answer is not the expected one."""

    def head_received(self) -> None:
        """The head of an answer is there and good."""

    def complete(self) -> None:
        """All of an answer is there."""
        self.at = -1
        self.load.complete(self)


class Exchange(Transfer):
    """Request and answer, each with a length."""

    def check(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200 ") or content_length(head) != len(self.expected):
            raise WrongAnswer(f"not 200 with {len(self.expected)} bytes: {head[:300]!r}")


class Download(Exchange):
    """A GET with a large answer."""

    def __init__(self, load: "Transfers") -> None:
        super().__init__(load)
        self.expected = load.body
        self.request = self.head_of("GET", "")

    async def begin(self) -> None:
        self.transport.write(self.request)


class Upload(Exchange):
    """A PUT with a large body."""

    def __init__(self, load: "Transfers") -> None:
        super().__init__(load)
        self.expected = body_of(200)
        self.request = self.head_of("PUT", f"Content-Type: application/json\r\nContent-Length: {load.plan.size}\r\n")

    async def begin(self) -> None:
        self.transport.write(self.request)
        await self.send(self.load.body)


class Tunnel(Transfer):
    """An exec session; once it is open, a burst of frames each way is a transfer."""

    def __init__(self, load: "Transfers") -> None:
        super().__init__(load)
        self.opened = asyncio.Event()

    def wake(self) -> None:
        super().wake()
        self.opened.set()

    async def begin(self) -> None:
        if not self.opened.is_set():
            self.transport.write(self.head_of("GET", UPGRADE))
            await self.opened.wait()
        self.expected = self.load.burst_down
        await self.send(self.load.burst_up)

    def check(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101 "):
            raise WrongAnswer(f"not 101: {head[:300]!r}")

    def head_received(self) -> None:
        self.opened.set()

    def complete(self) -> None:
        if self.expected:  # empty: nothing but the head has come
            self.at = 0
            self.load.complete(self)


KINDS: dict[Kind, Callable[["Transfers"], Transfer]] = {Kind.DOWNLOAD: Download, Kind.UPLOAD: Upload, Kind.TUNNEL: Tunnel}


class Transfers:
    """The connections of one measurement."""

    def __init__(self, plan: TransferPlan) -> None:
        self.plan = plan
        self.body = b"" if plan.kind is Kind.TUNNEL else body_of(plan.size)
        self.burst_up, self.burst_down = streams.burst(masked=True), streams.burst(masked=False)
        self.connections: list[Transfer] = []
        self.done: dict[Transfer, asyncio.Future[None]] = {}
        self.failure: Failure | None = None
        self.count = 0

    async def connect(self) -> None:
        """Open all connections."""
        context = ssl.create_default_context(cafile=self.plan.ca_file) if self.plan.ca_file else None
        for _ in range(self.plan.connections):
            self.connections.append(await connected(lambda: KINDS[self.plan.kind](self), self.plan.port, context))

    def close(self) -> None:
        """Drop all connections."""
        self.failure = Failure("closed")
        for connection in self.connections:
            connection.transport.abort()

    def fail(self, reason: str) -> None:
        """End the measurement."""
        self.failure = self.failure or Failure(reason)
        for waiting in self.done.values():
            if not waiting.done():
                waiting.set_exception(self.failure)
        for connection in self.connections:
            connection.wake()

    def complete(self, connection: Transfer) -> None:
        """A transfer has come to its end."""
        self.count += 1
        if self.done[connection].done():
            self.fail("an answer that nobody asked for")
        else:
            self.done[connection].set_result(None)

    async def one(self, connection: Transfer) -> None:
        """A transfer from its beginning to its end; raises Failure."""
        if self.failure:
            raise self.failure
        self.done[connection] = asyncio.get_running_loop().create_future()
        await connection.begin()
        await self.done[connection]

    async def until(self, connection: Transfer, end: float) -> None:
        """One transfer after the other."""
        while self.count < self.plan.most and perf_counter() < end:
            await self.one(connection)

    async def run(self, end: float) -> None:
        """On all connections, at least one transfer on each; raises Failure."""
        self.count = 0
        try:
            async with asyncio.timeout(DRAIN_SECONDS + self.plan.seconds):
                await asyncio.gather(*(self.one(connection) for connection in self.connections))
                await asyncio.gather(*(self.until(connection, end) for connection in self.connections))
        except TimeoutError:
            raise Failure("a transfer did not end") from None


async def measure(plan: TransferPlan) -> Outcome:
    """Warm up, then measure; raises Failure, OSError."""
    load = Transfers(plan)
    try:
        await load.connect()
        await load.run(0)
        pids = [child for pid in plan.pids for child in cpu.tree(pid)]
        before, began = cpu.read(pids), perf_counter()
        await load.run(began + plan.seconds)
        used, took = cpu.read(pids) - before, perf_counter() - began
        return Outcome(load.count, took, used.total_ns, used.system_share, cpu.resident_kb(pids))
    finally:
        load.close()


if __name__ == "__main__":
    sys.exit(main(measure, TransferPlan))

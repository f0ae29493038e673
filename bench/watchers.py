"""The load of watches: opens many at once through a proxy, lets the upstream send an event to all, closes them, opens them again.

    python -m bench.watchers

Obeys one order a line on standard input, all JSON: first a WatchPlan, which opens nothing yet, then "open", "event" and "close", each
answered with one line, a Stage. The end of the input is the end.
"""

import asyncio
import ssl
import sys
from collections.abc import Iterator
from enum import StrEnum
from time import perf_counter_ns
from typing import cast

import msgspec
import uvloop

from bench import cpu, streams
from bench.client import Failure, connected
from bench.workload import head_of

AT_ONCE = 32
OPEN_SECONDS = 240
EVENT_SECONDS = 30
GOOD = b"HTTP/1.1 200 "


class Order(StrEnum):
    """What to do next."""

    OPEN = "open"
    EVENT = "event"
    CLOSE = "close"


class WatchPlan(msgspec.Struct, frozen=True):
    """Watches through `port`, events by way of `stream_port`; users take turns."""

    port: int
    stream_port: int
    path: str
    tokens: list[str]
    watches: int
    pids: list[int] = []
    settle_seconds: float = 1.0
    ca_file: str | None = None


class Stage(msgspec.Struct, frozen=True):
    """When an order was begun and done, by CLOCK_MONOTONIC, and the proxy's resident memory afterwards, when all is still."""

    began_ns: int
    ended_ns: int
    resident_kb: int


class Watch(asyncio.Protocol):
    """One connection with a watch, which never ends by itself."""

    __slots__ = ("seen", "tail", "transport", "watches")

    def __init__(self, watches: "Watches") -> None:
        self.watches = watches
        self.tail = b""
        self.seen = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        data = self.tail + data
        if self.seen < 0 and not data.startswith(GOOD[: len(data)]):
            self.watches.fail(f"not 200: {data[:300]!r}")
        elif streams.mark(self.watches.number) in data:
            self.tail = b""
            self.seen = self.watches.number
            self.watches.one_more()
        else:
            self.tail = data[-4096:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.watches.closing:
            self.watches.fail(f"a watch was closed: {exc or 'end of stream'}")


class Watches:
    """All watches of one proxy."""

    def __init__(self, plan: WatchPlan) -> None:
        self.plan = plan
        self.context = ssl.create_default_context(cafile=plan.ca_file) if plan.ca_file else None
        self.open: list[Watch] = []
        self.number = 0
        self.left = 0
        self.closing = False
        self.all_have_it: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, reason: str) -> None:
        """End the measurement."""
        if not self.all_have_it.done():
            self.all_have_it.set_exception(Failure(reason))

    def one_more(self) -> None:
        """Another watch has the event."""
        self.left -= 1
        if not self.left and not self.all_have_it.done():
            self.all_have_it.set_result(None)

    def expect(self, number: int) -> None:
        """Wait for this event on all watches."""
        self.number = number
        self.left = self.plan.watches
        self.all_have_it = asyncio.get_running_loop().create_future()

    async def carry_out(self, order: Order) -> Stage:
        """Do as told; raises Failure, OSError."""
        began = perf_counter_ns()
        match order:
            case Order.OPEN:
                await self.open_all()
            case Order.EVENT:
                await self.send_event()
            case Order.CLOSE:
                self.close_all()
        ended = perf_counter_ns()
        if order is not Order.EVENT:
            await asyncio.sleep(self.plan.settle_seconds)
        return Stage(began, ended, cpu.resident_kb(pid for parent in self.plan.pids for pid in cpu.tree(parent)))

    async def open_all(self) -> None:
        """Open all watches and wait until each has its first event."""
        self.closing = False
        self.expect(0)
        numbers = iter(range(self.plan.watches))
        async with asyncio.timeout(OPEN_SECONDS):
            await asyncio.gather(self.all_have_it, *(self.open_some(numbers) for _ in range(AT_ONCE)))

    async def open_some(self, numbers: Iterator[int]) -> None:
        """One watch after the other."""
        for number in numbers:
            watch = await connected(lambda: Watch(self), self.plan.port, self.context)
            self.open.append(watch)
            head = head_of(f"localhost:{self.plan.port}", self.plan.tokens[number % len(self.plan.tokens)])
            watch.transport.write(b"GET " + self.plan.path.encode() + head)

    async def send_event(self) -> None:
        """Ask the upstream for the next event and wait until all watches have it."""
        self.expect(self.number + 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.plan.stream_port)
        writer.write(b"POST /event/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % self.number)
        async with asyncio.timeout(EVENT_SECONDS):
            await self.all_have_it
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    def close_all(self) -> None:
        """Close all watches."""
        self.closing = True
        for watch in self.open:
            watch.transport.abort()
        self.open.clear()


async def obey() -> None:
    """Orders from standard input, stages to standard output; raises Failure, OSError."""
    loop = asyncio.get_running_loop()
    watches = Watches(msgspec.json.decode(await loop.run_in_executor(None, sys.stdin.buffer.readline), type=WatchPlan))
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        stage = await watches.carry_out(msgspec.json.decode(line, type=Order))
        sys.stdout.buffer.write(msgspec.json.encode(stage) + b"\n")
        sys.stdout.buffer.flush()


def main() -> int:
    """Exit status 1 with one line when the measurement cannot be used."""
    try:
        uvloop.run(obey())
    except (Failure, OSError) as failure:
        print(str(failure) or "not all watches got what they wait for", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The load of new connections: a handshake, one GET, its answer, the end, and again.

    python -m bench.new_connections < plan.json

Plan and Outcome are those of `bench.client`; the closed loop is the only one.
"""

import asyncio
import ssl
import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import cast

from bench import cpu
from bench.client import DRAIN_SECONDS, Failure, Outcome, Plan, connected, expectation, main
from bench.workload import Requests, Workload, WrongAnswer


class Solitary(asyncio.Protocol):
    """A connection for a single request."""

    __slots__ = ("done", "is_whole", "received", "transport")

    def __init__(self, is_whole: Callable[[bytes], bool]) -> None:
        self.is_whole = is_whole
        self.received = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self.received += data
        try:
            if self.is_whole(self.received) and not self.done.done():
                self.done.set_result(None)
        except WrongAnswer as wrong:
            self.end(Failure(str(wrong)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(Failure(f"the connection was closed: {exc or 'end of stream'}"))

    def end(self, failure: Failure) -> None:
        """No good answer will come any more."""
        if not self.done.done():
            self.done.set_exception(failure)


class NewConnections:
    """So many places at which one connection follows the other, each for a single request."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.context = ssl.create_default_context(cafile=plan.ca_file) if plan.ca_file else None
        self.is_whole = expectation(plan)
        self.count = 0

    async def run(self, workload: Workload, seconds: float) -> None:
        """For so long, and at most so many; raises Failure."""
        requests = Requests.of(workload, f"localhost:{self.plan.port}")
        end = perf_counter() + seconds
        self.count = 0
        places = (self.place(requests.in_turn(number), end) for number in range(self.plan.connections))
        async with asyncio.timeout(DRAIN_SECONDS + seconds):
            await asyncio.gather(*places)

    async def place(self, requests: Iterator[bytes], end: float) -> None:
        """One connection after the other."""
        while self.count < self.plan.most and perf_counter() < end:
            self.count += 1
            connection = await connected(lambda: Solitary(self.is_whole), self.plan.port, self.context)
            connection.transport.write(next(requests))
            await connection.done
            connection.transport.close()


async def measure(plan: Plan) -> Outcome:
    """Warm up, then measure; the end of the last few connections is not waited for. Raises Failure, OSError."""
    load = NewConnections(plan)
    await load.run(plan.warm_up, plan.warm_up_seconds)
    pids = [child for pid in plan.pids for child in cpu.tree(pid)]
    before, began = cpu.read(pids), perf_counter()
    await load.run(plan.measured, plan.seconds)
    used, took = cpu.read(pids) - before, perf_counter() - began
    return Outcome(load.count, took, used.total_ns, used.system_share, cpu.resident_kb(pids))


if __name__ == "__main__":
    sys.exit(main(measure, Plan))

"""The load: keep-alive connections that send GETs and check every answer.

    python -m bench.client < plan.json

Reads one Plan on standard input and writes one Outcome on standard output, both JSON. Closed loop: each connection sends its next
request when its answer is complete. Open loop: requests start at a fixed rate whatever the answers do. Any answer that is not the
expected one ends the run with exit status 1 and one line.
"""

import asyncio
import ssl
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from time import perf_counter, perf_counter_ns
from typing import TypeVar, cast

import msgspec
import uvloop

from bench import cpu, sockets
from bench.workload import Requests, Workload, WrongAnswer, whole_answer, whole_refusal

DRAIN_SECONDS = 20
AT_A_TURN = 64  # requests of the open loop that are overdue


class Plan(msgspec.Struct, frozen=True):
    """One measurement. `rate` 0 is the closed loop; `pids` are the processes whose CPU time counts.

    An answer is good when it has this `status` and, with 200, exactly this `body`.
    """

    port: int
    body: str
    warm_up: Workload
    measured: Workload
    pids: list[int] = []
    connections: int = 32
    seconds: float = 1.0
    warm_up_seconds: float = 0.3
    most: int = 1_000_000
    rate: float = 0.0
    ca_file: str | None = None
    status: int = 200
    split: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What was seen: good answers, wall time, CPU time of `pids`.

    Only in the open loop: latencies, and when each of these requests was due, by CLOCK_MONOTONIC. `split`, where it was asked for:
    how many of the connections each process holds.
    """

    answers: int
    seconds: float
    cpu_ns: int
    system_share: float
    resident_kb: int
    latencies_ns: list[int] = []
    due_ns: list[int] = []
    split: list[int] = []


class Failure(Exception):
    """The measurement cannot be used."""


def expectation(plan: Plan) -> Callable[[bytes], bool]:
    """Tells whether a good answer is there in full; raises WrongAnswer."""
    if plan.status == 200:
        return partial(whole_answer, body=plan.body.encode())
    return partial(whole_refusal, status=plan.status)


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request outstanding."""

    __slots__ = ("load", "received", "requests", "started", "transport")

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.received = b""
        self.requests: Iterator[bytes] = iter(())
        self.started = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self.received:
            data = self.received + data
        try:
            whole = self.load.is_whole(data)
        except WrongAnswer as wrong:
            self.load.fail(str(wrong))
            return
        if whole:
            self.received = b""
            self.load.answered(self)
        else:
            self.received = data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.load.closing:
            self.load.fail(f"the connection was closed: {exc or 'end of stream'}")

    def send(self) -> bool:
        """Send the next request; False when there is none left."""
        request = next(self.requests, None)
        if request is None:
            return False
        self.transport.write(request)
        return True


class Load:
    """The connections of one measurement and what they still have to do."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.is_whole = expectation(plan)
        self.host = f"localhost:{plan.port}"
        self.connections: list[Connection] = []
        self.free: deque[Connection] = deque()
        self.waiting: deque[int] = deque()
        self.latencies: list[int] = []
        self.due_times: list[int] = []
        self.left = 0
        self.outstanding = 0
        self.count = 0
        self.closing = False
        self.open_loop = False
        self.quiet: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        """Open all connections."""
        context = ssl.create_default_context(cafile=self.plan.ca_file) if self.plan.ca_file else None
        for _ in range(self.plan.connections):
            self.connections.append(await connected(lambda: Connection(self), self.plan.port, context))

    def close(self) -> None:
        """Drop all connections."""
        self.closing = True
        for connection in self.connections:
            connection.transport.abort()

    def fail(self, reason: str) -> None:
        """End the measurement."""
        if not self.quiet.done():
            self.quiet.set_exception(Failure(reason))

    def begin(self, workload: Workload) -> None:
        """Give each connection its requests and start counting."""
        requests = Requests.of(workload, self.host)
        once = requests.once()
        for number, connection in enumerate(self.connections):
            connection.requests = once if workload.once else requests.in_turn(number)
        self.count = 0
        self.left = self.plan.most
        self.quiet = asyncio.get_running_loop().create_future()

    def answered(self, connection: Connection) -> None:
        """A good answer is complete: go on, or notice that the last one came."""
        self.count += 1
        if not self.open_loop and self.left > 0 and connection.send():
            self.left -= 1
            return
        self.outstanding -= 1
        if self.open_loop:
            self.latencies.append(perf_counter_ns() - connection.started)
            self.due_times.append(connection.started)
            self.set_free(connection)
        if not self.outstanding and not (self.open_loop and self.left):
            self.finish()

    async def closed(self, workload: Workload, seconds: float) -> None:
        """As many requests as the peer answers, for so long or until there are none left."""
        self.begin(workload)
        for connection in self.connections:
            if self.left > 0 and connection.send():
                self.left -= 1
                self.outstanding += 1
        timer = None if workload.once else asyncio.get_running_loop().call_later(seconds, self.stop)
        await self.drained(DRAIN_SECONDS + seconds)
        if timer:
            timer.cancel()

    async def open(self, workload: Workload, seconds: float) -> None:
        """Requests at a fixed rate, each on a connection that has nothing outstanding; they wait, and age, while there is none."""
        self.begin(workload)
        self.open_loop = True
        self.free.extend(self.connections)
        start = perf_counter()  # the loop's own time is that of its last turn
        wanted = int(self.plan.rate * seconds)
        for number in range(wanted):
            early = start + number / self.plan.rate - perf_counter()
            if early > 0 or not number % AT_A_TURN:
                await asyncio.sleep(max(0.0, early))
            self.due(perf_counter_ns())
            if self.quiet.done():
                break
        self.stop()
        await self.drained(DRAIN_SECONDS)

    def due(self, now: int) -> None:
        """A request of the open loop is due: its latency counts from here."""
        self.outstanding += 1
        if self.free:
            self.launch(self.free.popleft(), now)
        elif len(self.waiting) < self.plan.rate:
            self.waiting.append(now)
        else:
            self.fail("no answer for a second: the rate is too high")

    def set_free(self, connection: Connection) -> None:
        """An open-loop connection has nothing outstanding: the request that waits longest takes it."""
        if self.waiting:
            self.launch(connection, self.waiting.popleft())
        else:
            self.free.append(connection)

    def launch(self, connection: Connection, started: int) -> None:
        """Send one request of the open loop."""
        connection.started = started
        connection.send()

    def stop(self) -> None:
        """Send nothing more."""
        self.left = 0
        if not self.outstanding:
            self.finish()

    def finish(self) -> None:
        """The last answer has come."""
        if not self.quiet.done():
            self.quiet.set_result(None)

    async def drained(self, seconds: float) -> None:
        """Wait for the answers of what was sent; raises Failure when one was wrong or did not come."""
        try:
            async with asyncio.timeout(seconds):
                await self.quiet
        except TimeoutError:
            raise Failure(f"{self.outstanding} answers did not come") from None


Made = TypeVar("Made", bound=asyncio.BaseProtocol)
Answered = TypeVar("Answered")


async def connected(make: Callable[[], Made], port: int, context: ssl.SSLContext | None) -> Made:
    """Open one connection to a port of loopback."""
    name = "localhost" if context else None
    _, protocol = await asyncio.get_running_loop().create_connection(make, "127.0.0.1", port, ssl=context, server_hostname=name)
    return protocol


async def measure(plan: Plan) -> Outcome:
    """Warm up, then measure; counters are read while nothing is outstanding, so each request counts whole. Raises Failure, OSError."""
    load = Load(plan)
    try:
        await load.connect()
        await load.closed(plan.warm_up, plan.warm_up_seconds)
        pids = [child for pid in plan.pids for child in cpu.tree(pid)]
        split = sockets.accepted(pids, plan.port) if plan.split else []
        before, began = cpu.read(pids), perf_counter()
        await (load.open if plan.rate else load.closed)(plan.measured, plan.seconds)
        used, took = cpu.read(pids) - before, perf_counter() - began
        resident = cpu.resident_kb(pids)
        return Outcome(load.count, took, used.total_ns, used.system_share, resident, load.latencies, load.due_times, split)
    finally:
        load.close()


def main(measure: Callable[[Answered], Coroutine[None, None, msgspec.Struct]], kind: type[Answered]) -> int:
    """Standard input to standard output; exit status 1 with one line when the measurement cannot be used."""
    try:
        outcome = uvloop.run(measure(msgspec.json.decode(sys.stdin.buffer.read(), type=kind)))
    except (Failure, OSError) as failure:
        print(str(failure) or type(failure).__name__, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main(measure, Plan))

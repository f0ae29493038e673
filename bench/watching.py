"""Many idle watches through one peer: memory, an event to all, other requests meanwhile, all closed and opened again."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import msgspec

from bench import cpu, streams
from bench.client import Outcome, Plan
from bench.figures import DIRECT, WatchSample, outside_and_inside, p99_ms
from bench.peers import Running
from bench.processes import BODY, Unusable, run_client, started_client
from bench.rounds import Bench, listener, unproxied
from bench.scenarios import BOTH, PROD, STREAMS, USUAL_ROLES, Scenario, one
from bench.watchers import Order, Stage, WatchPlan

DESCRIPTORS_BESIDE = 100  # of a proxy: files, listeners, other connections
OTHERS_RATE = 500.0
START_SECONDS = 1.0  # of a load client
QUIET_SECONDS = 2.0
BETWEEN_SECONDS = 0.7  # events
EVENT_SECONDS = 1.0  # each, about


class Watchers:
    """The process that holds all watches of one peer."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self.process = process
        self.name = name

    def obey(self, order: Order) -> Stage:
        """Do it and say what was seen; raises Unusable."""
        self.say(msgspec.json.encode(order))
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr
            raise Unusable(f"{self.name}: {self.process.stderr.read().decode(errors='replace').strip()[-600:]}")
        return msgspec.json.decode(line, type=Stage)

    def say(self, line: bytes) -> None:
        """Send a line; that it does not arrive is noticed when its answer is read."""
        assert self.process.stdin
        try:
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return


@contextmanager
def watchers(plan: WatchPlan, name: str) -> Iterator[Watchers]:
    """A process that is ready to open watches."""
    with started_client("bench.watchers") as process:
        try:
            found = Watchers(process, name)
            found.say(msgspec.json.encode(plan))
            yield found
        finally:
            process.terminate()
            process.communicate()  # reads on until its end, so that no pipe is full


def bearable(wanted: int, descriptors: int) -> int:
    """How many watches a proxy can hold that may open so many files: each needs one towards either side."""
    return max(0, min(wanted, (descriptors - DESCRIPTORS_BESIDE) // 2))


def measure_watches(bench: Bench, scenario: Scenario, watches: int, *, tls: bool) -> list[WatchSample]:
    """Each peer alone, in turn; those that are no rivals in the first round only."""
    names = [*bench.taking_part(scenario), *((DIRECT,) if scenario.beside_direct else ())]
    samples: list[WatchSample] = []
    for number in range(bench.effort.watch_rounds):
        for name in (name for name in names if not number or name in BOTH):
            bench.told(f"{scenario.name} {listener(tls=tls)} {name}")
            sample = measure_one(bench, name, scenario, number, watches, tls=tls)
            samples += [sample] if sample else []
    broken = {name for name in names if f"{name} in {scenario.name} ({listener(tls=tls)})" in bench.missing}
    return [sample for sample in samples if sample.peer not in broken]


def measure_one(bench: Bench, name: str, scenario: Scenario, number: int, watches: int, *, tls: bool) -> WatchSample | None:
    """One peer from its start to its end; None, with the reason in `missing`, when it cannot be measured."""
    with bench.site(scenario.clusters) as site, ExitStack() as stack:
        if name == DIRECT:
            peer: Running | None = Running(DIRECT, bench.upstreams.small, 0, prefixed=False)
        else:
            peer = bench.start(name, site, scenario, stack, tls=tls)
        if not peer:
            return None
        try:
            return watched(bench, peer, number, watches, tls=tls)
        except Unusable as wrong:
            bench.missing[f"{name} in {scenario.name} ({listener(tls=tls)})"] = str(wrong)
            return None


def watched(bench: Bench, peer: Running, number: int, watches: int, *, tls: bool) -> WatchSample:
    """All stages of a peer that runs; raises Unusable."""
    run_client(others(bench, peer, 1.0), peer.name)
    before_kb = cpu.resident_kb(pid for parent in peer.pids for pid in cpu.tree(parent))
    with watchers(plan_of(bench, peer, watches), peer.name) as held:
        opened = held.obey(Order.OPEN)
        events, seen = event_to_all(bench, peer, held)
        closed = held.obey(Order.CLOSE)
        again = held.obey(Order.OPEN)
        events.append(held.obey(Order.EVENT))
    windows = [(event.began_ns, event.ended_ns) for event in events]
    quiet, busy = outside_and_inside(seen.due_ns, seen.latencies_ns, windows)
    return WatchSample(
        tls=tls,
        round=number,
        peer=peer.name,
        watches=watches,
        before_kb=before_kb,
        open_kb=opened.resident_kb,
        closed_kb=closed.resident_kb,
        again_kb=again.resident_kb,
        open_seconds=(opened.ended_ns - opened.began_ns) / 1e9,
        event_seconds=[(end - begin) / 1e9 for begin, end in windows],
        quiet_p99_ms=p99_ms(quiet),
        busy_p99_ms=p99_ms(busy),
    )


def event_to_all(bench: Bench, peer: Running, held: Watchers) -> tuple[list[Stage], Outcome]:
    """Events to all watches while other requests go on; raises Unusable."""
    seconds = QUIET_SECONDS + bench.effort.events * (BETWEEN_SECONDS + EVENT_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(run_client, others(bench, peer, seconds), peer.name)
        time.sleep(START_SECONDS + QUIET_SECONDS)
        events = []
        for _ in range(bench.effort.events):
            events.append(held.obey(Order.EVENT))
            time.sleep(BETWEEN_SECONDS)
        return events, asked.result()


def plan_of(bench: Bench, peer: Running, watches: int, *, users: int = 100, settle_seconds: float = 1.0) -> WatchPlan:
    """Watches of so many users in turn."""
    roles = [*USUAL_ROLES, STREAMS.role]
    return WatchPlan(
        port=peer.port if peer.pid else bench.upstreams.streams,
        stream_port=bench.upstreams.streams,
        path=peer.path(STREAMS.prefix, streams.WATCH),
        tokens=[bench.issuer.token(f"user-{number:03}", roles) for number in range(users)],
        watches=watches,
        pids=peer.pids,
        settle_seconds=settle_seconds,
        ca_file=peer.ca,
    )


def others(bench: Bench, peer: Running, seconds: float) -> Plan:
    """Requests to another cluster, with an upstream of its own, at a fixed rate."""
    workload = one(bench.issuer, (PROD,))
    asked = workload if peer.prefixed else unproxied(workload)
    return Plan(
        port=peer.port,
        body=BODY.decode(),
        warm_up=asked,
        measured=asked,
        connections=8,
        seconds=seconds,
        rate=OTHERS_RATE,
        ca_file=peer.ca,
    )

"""Mixed load for a long time: does the proxy's memory grow?

All that the other scenarios do, in turn and in small portions, again and again; after each turn the resident memory is read. The
first fifth warms up and does not count: until then the proxy's memories of tokens and paths have filled.
"""

import time
from contextlib import ExitStack

import msgspec

from bench import cpu
from bench.client import Outcome, Plan
from bench.figures import MemorySample
from bench.peers import Running
from bench.processes import BODY, Unusable, answer_of, run_client, started_client
from bench.rounds import Bench, listener
from bench.scenarios import (
    DOWNLOAD,
    LIST,
    PROD,
    STREAMS,
    TUNNEL,
    UPLOAD,
    Scenario,
    forged,
    many,
    never_seen,
    without_role,
)
from bench.watchers import Order
from bench.watching import plan_of, watchers
from bench.workload import Workload

PORTION_SECONDS = 0.4
NEW_TOKENS = 1000  # a turn: 10,000 are remembered, so that a few turns fill that
NEW_CONNECTIONS = 100
WATCHES = 200
WARM_UP_SHARE = 0.2


def measure_soak(bench: Bench, scenario: Scenario, *, tls: bool) -> list[MemorySample]:
    """Each peer alone, one after the other, for `soak_seconds` after the warm-up."""
    samples: list[MemorySample] = []
    for name in bench.taking_part(scenario):
        with bench.site(scenario.clusters) as site, ExitStack() as stack:
            peer = bench.start(name, site, scenario, stack, tls=tls)
            if not peer:
                continue
            try:
                samples += soaked(bench, peer, tls=tls)
            except Unusable as wrong:
                bench.missing[f"{name} in {scenario.name} ({listener(tls=tls)})"] = str(wrong)
    return samples


def soaked(bench: Bench, peer: Running, *, tls: bool) -> list[MemorySample]:
    """One sample after each turn; raises Unusable."""
    measured = bench.effort.soak_seconds
    mix = Mix(bench)
    start = time.monotonic() + WARM_UP_SHARE * measured
    samples: list[MemorySample] = []
    answers = 0
    while (seconds := time.monotonic() - start) < measured:
        bench.told(f"soak {listener(tls=tls)} {peer.name} {max(0.0, seconds):.0f} s")
        answers += mix.turn(peer)
        resident = cpu.resident_kb(pid for parent in peer.pids for pid in cpu.tree(parent))
        samples.append(MemorySample(tls, peer.name, time.monotonic() - start, resident, answers))
    return samples


class Mix:
    """All kinds of load, with users that stay the same in all turns."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        prod = (PROD,)
        self.many = many(bench.issuer, prod)
        self.distinct = msgspec.structs.replace(self.many, distinct=True)
        self.forged = forged(bench.issuer, prod)
        self.without_role = without_role(bench.issuer, prod)

    def turn(self, peer: Running) -> int:
        """A portion of everything; returns how many answers there were. Raises Unusable."""
        return sum(
            (
                asked(peer, self.many),
                asked(peer, self.distinct),
                asked(peer, never_seen(self.bench.issuer, (PROD,), NEW_TOKENS)),
                asked(peer, self.forged, status=401),
                asked(peer, self.without_role, status=403),
                connected(peer, self.many),
                *(self.bench.carry(peer, carried, STREAMS).answers for carried in (LIST, DOWNLOAD, UPLOAD, TUNNEL)),
                self.watched(peer),
            )
        )

    def watched(self, peer: Running) -> int:
        """Watches opened, an event to all, and closed; raises Unusable."""
        with watchers(plan_of(self.bench, peer, WATCHES, users=1, settle_seconds=0.1), peer.name) as held:
            for order in (Order.OPEN, Order.EVENT, Order.CLOSE):
                held.obey(order)
        return WATCHES


def asked(peer: Running, workload: Workload, status: int = 200) -> int:
    """Requests over kept connections; raises Unusable."""
    return run_client(plan(peer, workload, status), peer.name).answers


def connected(peer: Running, workload: Workload) -> int:
    """New connections; raises Unusable."""
    limited = msgspec.structs.replace(plan(peer, workload, 200), most=NEW_CONNECTIONS)
    return answer_of(started_client("bench.new_connections"), limited, peer.name, Outcome).answers


def plan(peer: Running, workload: Workload, status: int) -> Plan:
    """A portion, without warm-up."""
    nothing = Workload(workload.users[:1], workload.path_lists[:1])
    return Plan(
        port=peer.port,
        body=BODY.decode(),
        warm_up=nothing,
        measured=workload,
        pids=peer.pids,
        connections=16,
        seconds=PORTION_SECONDS,
        warm_up_seconds=0,
        ca_file=peer.ca,
        status=status,
    )

"""Plain counts kept on the byte path; folded into the exposition format only when somebody asks.

A prometheus-client counter costs a lock and a label look-up at each request; a dictionary entry costs neither.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TypeAlias

# Seconds; an answer from a neighbouring API server lies near the lower end, a large list near the upper one.
DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Durations:
    """A histogram: `buckets[i]` counts what took at most DURATION_BOUNDS[i], the last one the rest; `sum` in seconds."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(DURATION_BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.buckets[bisect_left(DURATION_BOUNDS, seconds)] += 1
        self.sum += seconds

    def merge(self, other: "Durations") -> None:
        """Add another histogram's counts."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.sum += other.sum

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.buckets)


# Target kind, verb, status, decision.
Outcome: TypeAlias = tuple[str, str | None, int | None, str]


class Counters:
    """What the edge counts. Kinds of target are `kaas`, `k8s`, `sl`, `own` and `none`; `turned_away` are connections, by cause.

    A request is one entry in one histogram, keyed by all that is asked about it, or one of `finished_streams`, which have no duration
    worth knowing; the metrics' views are added up when they are read.
    """

    def __init__(self) -> None:
        self.finished: dict[Outcome, Durations] = {}
        self.finished_streams: defaultdict[Outcome, int] = defaultdict(int)
        self.malformed: defaultdict[str, int] = defaultdict(int)
        self.turned_away: defaultdict[str, int] = defaultdict(int)
        self.streams: defaultdict[str, int] = defaultdict(int)
        self.in_flight = 0
        self.connections = 0
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def requests(self) -> dict[tuple[str, str, int], int]:
        """Requests by kind, verb (`none` without one) and status (0: the client left before one)."""
        counts: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        for (kind, verb, status, _), count in self._all_finished():
            counts[kind, verb or "none", status or 0] += count
        return dict(counts)

    @property
    def decisions(self) -> dict[tuple[str, str], int]:
        """Requests by kind and decision."""
        counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        for (kind, _, _, decision), count in self._all_finished():
            counts[kind, decision] += count
        return dict(counts)

    @property
    def durations(self) -> dict[str, Durations]:
        """Durations by kind."""
        merged: defaultdict[str, Durations] = defaultdict(Durations)
        for (kind, _, _, _), durations in self.finished.items():
            merged[kind].merge(durations)
        return dict(merged)

    def _all_finished(self) -> Iterator[tuple[Outcome, int]]:
        yield from ((outcome, durations.count) for outcome, durations in self.finished.items())
        yield from self.finished_streams.items()

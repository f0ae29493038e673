"""Plain counts kept on the byte path; folded into the exposition format only when somebody asks.

A prometheus-client counter costs a lock and a label look-up at each request; a dictionary entry costs neither.
"""

from bisect import bisect_left
from collections import defaultdict
from typing import Final

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


class Counters:
    """What the edge counts. Kinds of target are `kaas`, `k8s`, `sl`, `own` and `none`."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.durations: defaultdict[str, Durations] = defaultdict(Durations)
        self.decisions: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.malformed: defaultdict[str, int] = defaultdict(int)
        self.streams: defaultdict[str, int] = defaultdict(int)
        self.in_flight = 0
        self.connections = 0
        self.bytes_in = 0
        self.bytes_out = 0

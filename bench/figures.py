"""From samples to figures: percentiles, spreads over rounds, ratios within a round. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import linear_regression, median
from typing import TypeAlias

import msgspec

DIRECT = "direct"
FEWEST = 20  # samples of a slope


class Sample(msgspec.Struct, frozen=True):
    """One measurement of one peer. Times are microseconds of CPU per good answer, latencies milliseconds.

    `answer_bytes` counts what each answer carried, where bytes are what matters; `split` the connections that each process held.
    """

    scenario: str
    tls: bool
    round: int
    peer: str
    answers: int
    seconds: float
    cpu_us: float
    system_share: float
    resident_kb: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    answer_bytes: int = 0
    split: list[int] = []

    @property
    def busy(self) -> float:
        """Part of one core that the peer used."""
        return self.cpu_us * self.answers / self.seconds / 1e6

    @property
    def megabytes_per_core_second(self) -> float | None:
        """What it carries for a second of CPU time; None where bytes are not what matters."""
        return self.answer_bytes / self.cpu_us if self.answer_bytes and self.cpu_us else None


class WatchSample(msgspec.Struct, frozen=True):
    """One measurement of many idle watches. Resident memory in KB: before, with all open, all closed, and open again.

    `event_seconds` is, for each event, the time until the last watch had it; the percentiles are of other requests, without and
    with events under way.
    """

    tls: bool
    round: int
    peer: str
    watches: int
    before_kb: int
    open_kb: int
    closed_kb: int
    again_kb: int
    open_seconds: float
    event_seconds: list[float]
    quiet_p99_ms: float | None = None
    busy_p99_ms: float | None = None

    @property
    def kb_each(self) -> float | None:
        """Resident memory of the proxy for each watch; None without a proxy."""
        return (self.open_kb - self.before_kb) / self.watches if self.open_kb else None

    @property
    def kept_share(self) -> float | None:
        """Part of the watches' memory that is still resident when all are closed."""
        taken = self.open_kb - self.before_kb
        return (self.closed_kb - self.before_kb) / taken if taken > 0 else None

    @property
    def second_wave(self) -> float | None:
        """Memory with all open again, over that of the first time."""
        return self.again_kb / self.open_kb if self.open_kb else None

    @property
    def slower(self) -> float | None:
        """How much longer the slowest of 100 other requests take while an event is under way."""
        return self.busy_p99_ms / self.quiet_p99_ms if self.busy_p99_ms and self.quiet_p99_ms else None


class MemorySample(msgspec.Struct, frozen=True):
    """Resident memory of a proxy under mixed load, so many seconds after the warm-up (before it: negative)."""

    tls: bool
    peer: str
    seconds: float
    resident_kb: int
    answers: int


@dataclass(frozen=True, slots=True)
class Slope:
    """KB a minute, by least squares, and its standard error."""

    kb_per_minute: float
    error: float

    @classmethod
    def of(cls, samples: Sequence[MemorySample]) -> "Slope | None":
        """None when there are too few samples after the warm-up to tell noise from growth."""
        points = [(sample.seconds / 60, sample.resident_kb) for sample in samples if sample.seconds >= 0]
        if len(points) < FEWEST:
            return None
        slope, cut = linear_regression(*zip(*points, strict=True))
        left = sum((y - cut - slope * x) ** 2 for x, y in points)
        mean = sum(x for x, _ in points) / len(points)
        return cls(slope, sqrt(left / (len(points) - 2) / sum((x - mean) ** 2 for x, _ in points)))

    @property
    def is_flat(self) -> bool:
        """Whether it cannot be told from zero: within two standard errors."""
        return abs(self.kb_per_minute) <= 2 * self.error


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """None when there is no value."""
        ordered = sorted(values)
        return cls(median(ordered), ordered[0], ordered[-1]) if ordered else None


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` (0 to 1) of the ordered values do not exceed."""
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


Series: TypeAlias = dict[int, float]  # a figure by round


def series(samples: Iterable[Sample], peer: str, figure: Callable[[Sample], float | None]) -> Series:
    """A figure of one peer in each round that has it."""
    found = ((sample.round, figure(sample)) for sample in samples if sample.peer == peer)
    return {number: value for number, value in found if value is not None}


def over(mine: Series, base: Series) -> Series:
    """How often `base` fits into `mine`: only figures of the same round are compared."""
    return {number: value / base[number] for number, value in mine.items() if base.get(number, 0.0) > 0}


def minus(mine: Series, base: Series) -> Series:
    """What `mine` adds to `base` in the same round."""
    return {number: value - base[number] for number, value in mine.items() if number in base}


Window: TypeAlias = tuple[int, int]  # nanoseconds of CLOCK_MONOTONIC


def outside_and_inside(due: Sequence[int], latencies: Sequence[int], windows: Sequence[Window]) -> tuple[list[int], list[int]]:
    """Latencies of the requests that were over before the first window, and of those under way in any."""
    before: list[int] = []
    inside: list[int] = []
    for start, latency in zip(due, latencies, strict=True):
        if start + latency < windows[0][0]:
            before.append(latency)
        elif any(start < end and start + latency > begin for begin, end in windows):
            inside.append(latency)
    return before, inside


def p99_ms(latencies_ns: Sequence[int]) -> float | None:
    """99th percentile in milliseconds; None without any."""
    return percentile(sorted(latencies_ns), 0.99) / 1e6 if latencies_ns else None

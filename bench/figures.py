"""From samples to figures: percentiles, spreads over rounds, ratios within a round. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

import msgspec

DIRECT = "direct"


class Sample(msgspec.Struct, frozen=True):
    """One measurement of one peer. Times are microseconds of CPU per good answer, latencies milliseconds."""

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

    @property
    def busy(self) -> float:
        """Part of one core that the peer used."""
        return self.cpu_us * self.answers / self.seconds / 1e6


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
    return {number: value / base[number] for number, value in mine.items() if base.get(number)}


def minus(mine: Series, base: Series) -> Series:
    """What `mine` adds to `base` in the same round."""
    return {number: value - base[number] for number, value in mine.items() if number in base}

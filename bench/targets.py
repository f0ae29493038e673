"""What is to be reached, and whether a run reached it. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, le
from statistics import median
from typing import TypeAlias

from bench.figures import MemorySample, Sample, Slope, WatchSample, over
from bench.tables import BULK, CPU, OURS, P50, P99, Column, Table, grouped, listener

ENVOY, OAUTH2_PROXY, KUBE_OIDC_PROXY, TWO_WORKERS = "envoy", "oauth2-proxy", "kube-oidc-proxy", f"{OURS} x2"
PLAIN, TLS = False, True


@dataclass(frozen=True, slots=True)
class Measured:
    """All samples of a run."""

    samples: Sequence[Sample]
    watches: Sequence[WatchSample]
    memory: Sequence[MemorySample]

    def ratio(self, scenario: str, column: Column, peer: str, *, tls: bool, to: str = OURS) -> float | None:
        """Median over rounds of the figure of `to` over that of a peer."""
        group = grouped(self.samples).get((scenario, tls), [])
        ratios = over(column.of(group, to), column.of(group, peer))
        return median(ratios.values()) if ratios else None

    def watched(self, figure: Callable[[WatchSample], float | None], *, tls: bool) -> float | None:
        """Median of a figure of our watches."""
        found = [figure(sample) for sample in self.watches if sample.peer == OURS and sample.tls == tls]
        values = [value for value in found if value is not None]
        return median(values) if values else None


Reading: TypeAlias = Callable[[Measured, bool], float | None]


@dataclass(frozen=True, slots=True)
class Target:
    """`reading` must not be above the limit, or with `least` not below it; the limits are of the plain listener and of TLS."""

    what: str
    reading: Reading
    unit: str
    plain: float | None
    behind_tls: float | None
    least: bool = False

    def limit(self, *, tls: bool) -> float | None:
        """None: nothing is asked for behind this listener."""
        return self.behind_tls if tls else self.plain

    def row(self, measured: Measured, *, tls: bool) -> tuple[str, ...] | None:
        """Its line of the table; None without a limit or without a figure."""
        limit, value = self.limit(tls=tls), self.reading(measured, tls)
        if limit is None or value is None:
            return None
        wanted = f"{'≥' if self.least else '≤'} {limit:g} {self.unit}".rstrip()
        holds = le(limit, value) if self.least else le(value, limit)
        return (listener(tls=tls), self.what, wanted, f"{value:.2f}", "yes" if holds else "no")


def cpu(scenario: str) -> Reading:
    """Our CPU time per request over Envoy's."""
    return lambda measured, tls: measured.ratio(scenario, CPU, ENVOY, tls=tls)


def requests_per_core(peer: str) -> Reading:
    """Our requests per core second over a peer's: its CPU time per request over ours."""
    return lambda measured, tls: measured.ratio("one", CPU, OURS, tls=tls, to=peer)


def latency(column: Column) -> Reading:
    """What we add over what Envoy adds."""
    return lambda measured, tls: measured.ratio("latency", column, ENVOY, tls=tls)


def bulk(scenario: str) -> Reading:
    """Our bytes per core second over Envoy's."""
    return lambda measured, tls: measured.ratio(scenario, BULK, ENVOY, tls=tls)


def watched(figure: Callable[[WatchSample], float | None]) -> Reading:
    """A figure of our watches."""
    return lambda measured, tls: measured.watched(figure, tls=tls)


def smaller_share(measured: Measured, tls: bool) -> float | None:
    """Part of the connections that the worker with fewer has, median over rounds."""
    splits = [sample.split for sample in measured.samples if sample.peer == TWO_WORKERS and sample.tls == tls and sample.split]
    return median(min(split) / sum(split) if len(split) > 1 else 0.0 for split in splits) if splits else None


def slope_in_errors(measured: Measured, tls: bool) -> float | None:
    """How many standard errors our memory's slope is from zero."""
    slope = Slope.of([sample for sample in measured.memory if sample.peer == OURS and sample.tls == tls])
    return abs(slope.kb_per_minute) / slope.error if slope and slope.error else None


def two_workers(measured: Measured, tls: bool) -> float | None:
    """CPU time per request of two workers over one."""
    return measured.ratio("workers", CPU, OURS, tls=tls, to=TWO_WORKERS)


TARGETS = (
    Target("CPU per GET, one user and path", cpu("one"), "x envoy", 0.5, 0.65),
    Target("CPU per GET, 100 users, 1,000 paths", cpu("many"), "x envoy", 0.5, 0.65),
    Target("CPU per GET, token of 1,000 roles", cpu("roles"), "x envoy", 0.2, 0.2),
    Target("CPU per GET, 1,000 clusters", cpu("clusters"), "x envoy", 0.35, 0.35),
    Target("CPU per GET, never-seen tokens", cpu("unseen"), "x envoy", 0.7, 0.7),
    Target("requests per core second", requests_per_core(OAUTH2_PROXY), "x oauth2-proxy", 8, 5.5, least=True),
    Target("requests per core second", requests_per_core(KUBE_OIDC_PROXY), "x kube-oidc-proxy", None, 4.5, least=True),
    Target("added p50 at 500 requests/s", latency(P50), "x envoy", 0.7, 0.7),
    Target("added p99 at 500 requests/s", latency(P99), "x envoy", 1, 1),
    Target("bytes per core second, download", bulk("download"), "x envoy", 1.1, 0.8, least=True),
    Target("bytes per core second, upload", bulk("upload"), "x envoy", 1.1, 0.8, least=True),
    Target("memory of an idle watch", watched(attrgetter("kb_each")), "KB", 12, 32),
    Target("idle watches at once", watched(attrgetter("watches")), "", 9900, 9900, least=True),
    Target("memory of the second wave", watched(attrgetter("second_wave")), "x the first", 1.05, 1.05),
    Target("an event to all watches", watched(lambda sample: max(sample.event_seconds)), "s", 1, 1),
    Target("other requests' p99 meanwhile", watched(attrgetter("slower")), "x before", 2, 2),
    Target("CPU per GET, two workers", two_workers, "x one", 1.15, 1.15),
    Target("connections of the worker with fewer", smaller_share, "of all", 0.4, 0.4, least=True),
    Target("slope of memory under mixed load", slope_in_errors, "standard errors", 2, 2),
)


def table(samples: Sequence[Sample], watches: Sequence[WatchSample], memory: Sequence[MemorySample]) -> Table:
    """A line for each target that this run can tell."""
    measured = Measured(samples, watches, memory)
    rows = (target.row(measured, tls=tls) for tls in (PLAIN, TLS) for target in TARGETS)
    headings = ("listener", "target", "wanted", "measured", "holds")
    return Table("Targets", headings, tuple(row for row in rows if row), labels=2)

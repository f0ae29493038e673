"""Adds up the figures of several workers.

Counters and histograms are sums that never fall: what a worker counted stays when it is replaced, when it does not answer, and when one
of its own counters begins anew. A plain sum would fall then, and `rate()` would take the rest for new events. What a worker counted
between the last answer and its end is lost.

Gauges are sums of what was answered now, but for those where a sum would mean nothing: the largest or the smallest is shown.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec
from prometheus_client.core import Metric

# Each worker sees the same clusters and the same issuers; of ages, failures and open files the worst counts.
LARGEST: Final = frozenset({
    "mosk_proxy_build",
    "mosk_proxy_discovery_age_seconds",
    "mosk_proxy_discovery_clusters",
    "mosk_proxy_discovery_failing_seconds",
    "mosk_proxy_discovery_objects_skipped",
    "mosk_proxy_key_set_age_seconds",
    "mosk_proxy_upstream_circuit_open",
    "process_open_fds",
})  # fmt: skip
SMALLEST: Final = frozenset({
    "mosk_proxy_audit_accepting",
    "mosk_proxy_key_set_ready",
    "process_max_fds",
    "process_start_time_seconds",
})  # fmt: skip

_NEVER_FALLS: Final = frozenset({"counter", "histogram"})

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One figure: the series' name, its labels and its value."""

    name: str
    labels: dict[str, str]
    value: float

    @property
    def key(self) -> Key:
        """The series."""
        return self.name, tuple(self.labels.items())


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric and its samples, as workers send them."""

    name: str
    documentation: str
    kind: str
    samples: list[Sample]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[Family])


def packed(metrics: Iterable[Metric]) -> bytes:
    """Return metrics as they travel from a worker to its supervisor."""
    return _encoder.encode([
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [Sample(sample.name, sample.labels, float(sample.value)) for sample in metric.samples],
        )
        for metric in metrics
    ])  # fmt: skip


def unpacked(body: bytes) -> list[Family]:
    """Return what `packed` packed; raises msgspec.DecodeError."""
    return _decoder.decode(body)


class Totals:
    """The figures of all workers; a worker is known by a name of its own, which its successor does not get."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, str]] = {}
        self._counted: dict[str, dict[Key, float]] = {}
        self._seen: dict[str, dict[Key, float]] = {}

    def add_up(self, told: Mapping[str, list[Family]], missing: Iterable[str] = ()) -> Iterator[Metric]:
        """Yield each metric over all workers; `told` holds who answered, `missing` who is there and did not."""
        silent = [name for name in missing if name in self._seen]
        for worker, families in told.items():
            self._count(worker, families)
        self._seen = {worker: self._seen[worker] for worker in (*told, *silent)}
        self._forget_upstreams()
        gauges = _gauges(told.values())
        for name, (documentation, kind) in self._families.items():
            series = self._counted[name] if kind in _NEVER_FALLS else gauges.get(name, {})
            yield _metric(name, documentation, kind, series)

    def _count(self, worker: str, families: Iterable[Family]) -> None:
        before, now = self._seen.get(worker, {}), dict[Key, float]()
        for family in families:
            self._families[family.name] = family.documentation, family.kind
            if family.kind in _NEVER_FALLS:
                counted = self._counted.setdefault(family.name, {})
                for sample in family.samples:
                    key, value = sample.key, sample.value
                    now[key] = value
                    last = before.get(key, 0.0)
                    counted[key] = counted.get(key, 0.0) + (value - last if value >= last else value)
        self._seen[worker] = now

    def _forget_upstreams(self) -> None:
        """Drop series of upstreams that no worker knows any more: clusters come and go, and their names are not ours to bound."""
        for counted in self._counted.values():
            for key in [key for key in counted if _names_upstream(key)]:
                if not any(key in seen for seen in self._seen.values()):
                    del counted[key]


def _names_upstream(key: Key) -> bool:
    return any(label == "upstream" for label, _ in key[1])


def _gauges(told: Iterable[Iterable[Family]]) -> dict[str, dict[Key, float]]:
    gauges: dict[str, dict[Key, float]] = {}
    for families in told:
        for family in families:
            if family.kind not in _NEVER_FALLS:
                joined, series = _rule(family.name), gauges.setdefault(family.name, {})
                for sample in family.samples:
                    value = series.get(sample.key)
                    series[sample.key] = sample.value if value is None else joined(value, sample.value)
    return gauges


def _rule(name: str) -> Callable[[float, float], float]:
    if name in LARGEST:
        return max
    if name in SMALLEST:
        return min
    return _plus


def _plus(one: float, other: float) -> float:
    return one + other


def _metric(name: str, documentation: str, kind: str, series: Mapping[Key, float]) -> Metric:
    metric = Metric(name, documentation, kind)
    for (sample, labels), value in series.items():
        metric.add_sample(sample, dict(labels), value)
    return metric

"""Figures that others keep, in Prometheus' text format.

Nothing here runs in the byte path: counters are plain attributes of their owners, read when somebody asks. Every label has few
values: a target's kind and not its name, an upstream's name out of the configuration, words that stand in the code.
"""

import asyncio
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from proxy.operations.metric_totals import packed


class DurationFigures(Protocol):
    """How long requests took: one count per bound and a last one for all above, each request in one of them; `sum` in seconds."""

    @property
    def buckets(self) -> Sequence[int]: ...
    @property
    def sum(self) -> float: ...


class EdgeFigures(Protocol):
    """What the public listener counts. Keys of `requests`: target kind, verb, status; of `decisions`: target kind, decision."""

    @property
    def requests(self) -> Mapping[tuple[str, str, int], int]: ...
    @property
    def durations(self) -> Mapping[str, DurationFigures]: ...
    @property
    def decisions(self) -> Mapping[tuple[str, str], int]: ...
    @property
    def malformed(self) -> Mapping[str, int]: ...
    @property
    def turned_away(self) -> Mapping[str, int]: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def connections(self) -> int: ...
    @property
    def streams(self) -> Mapping[str, int]: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...


class PoolFigures(Protocol):
    """One upstream's connections."""

    @property
    def name(self) -> str: ...
    @property
    def idle(self) -> int: ...
    @property
    def active(self) -> int: ...
    @property
    def opened(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def circuit_open(self) -> bool: ...


class AuthenticatorFigures(Protocol):
    """The cache of verified tokens, and the tokens refused, by cause."""

    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def refused(self) -> Mapping[str, int]: ...


class KeySetFigures(Protocol):
    """One issuer's keys; `age_seconds` is None before the first fetch, `fetches` counts by outcome."""

    @property
    def issuer(self) -> str: ...
    @property
    def ready(self) -> bool: ...
    @property
    def age_seconds(self) -> float | None: ...
    @property
    def fetches(self) -> Mapping[str, int]: ...


class AuditFigures(Protocol):
    """The audit sink."""

    @property
    def written(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def queued(self) -> int: ...
    @property
    def accepting(self) -> bool: ...


class DiscoveryFigures(Protocol):
    """The reading of Cluster objects; `outcomes` counts lists and watches by how they ended, `age_seconds` is None before the first."""

    @property
    def outcomes(self) -> Mapping[str, int]: ...
    @property
    def clusters(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def age_seconds(self) -> float | None: ...
    @property
    def failing_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures are. What a reload may replace is asked for each time; `reloads` counts by outcome.

    `duration_bounds` are the upper bounds, in seconds and in order, of the buckets of `edge.durations`. `discovery` is None without it.
    """

    version: str
    edge: EdgeFigures
    duration_bounds: Sequence[float]
    audit: AuditFigures
    authenticator: Callable[[], AuthenticatorFigures]
    key_sets: Callable[[], Iterable[KeySetFigures]]
    pools: Callable[[], Iterable[PoolFigures]]
    reloads: Callable[[], Mapping[str, int]]
    discovery: Callable[[], DiscoveryFigures | None] = lambda: None


class Metrics:
    """Makes the text of `/metrics` out of `sources` and of what the system knows of this process."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def text(self, executor: Executor) -> bytes:
        """Return the metrics in the text format 0.0.4.

        Figures are read on the event loop, where they change; the rest is done by `executor`: with thousands of upstreams the text
        takes tens of milliseconds, and so does counting as many descriptors.
        """
        return await self._made_by(executor, exposition)

    async def packed(self, executor: Executor) -> bytes:
        """Return the metrics as a worker sends them to its supervisor."""
        return await self._made_by(executor, packed)

    async def _made_by(self, executor: Executor, encode: Callable[[Iterable[Metric]], bytes]) -> bytes:
        metrics = list(_families(self._sources))
        return await asyncio.get_running_loop().run_in_executor(executor, lambda: encode([*metrics, *own_process()]))


class _Collected:
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposition(metrics: Iterable[Metric]) -> bytes:
    """Return metrics in the text format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    return generate_latest(registry)


def own_process() -> Iterable[Metric]:
    """Return what the system knows of this process."""
    return ProcessCollector(registry=CollectorRegistry()).collect()


def _families(sources: Sources) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "mosk_proxy_build",
        "The running version.",
        value={"version": sources.version, "python": platform.python_version()},
    )
    yield from _requests(sources.edge, sources.duration_bounds)
    yield from _traffic(sources.edge)
    yield from _upstreams(_by_name(sources.pools()))
    yield from _tokens(sources.authenticator())
    yield from _key_sets(tuple(sources.key_sets()))
    yield from _audit(sources.audit)
    yield _counter(
        "reloads", "Reloads of configuration, permissions and key files, by outcome.", ("outcome",), _rows(sources.reloads())
    )
    discovery = sources.discovery()
    if discovery is not None:
        yield from _discovery(discovery)


def _requests(edge: EdgeFigures, bounds: Sequence[float]) -> Iterator[Metric]:
    yield _counter(
        "requests",
        "Requests answered, by kind of target, verb and status.",
        ("target", "verb", "status"),
        (((target, verb, str(status)), count) for (target, verb, status), count in edge.requests.items()),
    )
    durations = HistogramMetricFamily(
        "mosk_proxy_request_duration_seconds",
        "Time from a request's first byte to its answer's last, long-running requests aside.",
        labels=("target",),
    )
    texts = [*map(floatToGoString, bounds), "+Inf"]
    for target, figures in edge.durations.items():
        durations.add_metric((target,), list(zip(texts, accumulate(figures.buckets), strict=True)), figures.sum)
    yield durations
    yield _counter(
        "decisions",
        "Decisions of the policy: allow or deny; refused where it was not asked.",
        ("target", "decision"),
        edge.decisions.items(),
    )
    yield _counter(
        "malformed_requests",
        "Requests refused before routing, without an audit line, by cause.",
        ("cause",),
        _rows(edge.malformed),
    )


def _traffic(edge: EdgeFigures) -> Iterator[Metric]:
    yield _gauge("requests_in_flight", "Requests being answered, long-running ones included.", (), [((), edge.in_flight)])
    yield _gauge("connections", "Open connections of clients.", (), [((), edge.connections)])
    yield _counter("connections_refused", "Connections that were not taken in, by cause.", ("cause",), _rows(edge.turned_away))
    yield _gauge("streams", "Long-running requests being carried, by kind.", ("kind",), _rows(edge.streams))
    yield _counter("received_bytes", "Bytes of request bodies and tunnels received from clients.", (), [((), edge.bytes_in)])
    yield _counter("sent_bytes", "Bytes of answer bodies and tunnels sent to clients.", (), [((), edge.bytes_out)])


def _by_name(pools: Iterable[PoolFigures]) -> Mapping[str, list[PoolFigures]]:
    # A reload leaves the old pool of an upstream beside the new one until its streams end; a series may come but once.
    named: dict[str, list[PoolFigures]] = {}
    for pool in pools:
        named.setdefault(pool.name, []).append(pool)
    return named


def _upstreams(named: Mapping[str, list[PoolFigures]]) -> Iterator[Metric]:
    def summed(figure: Callable[[PoolFigures], int]) -> Iterator[tuple[tuple[str], float]]:
        return (((name,), sum(map(figure, pools))) for name, pools in named.items())

    label = ("upstream",)
    yield _gauge("upstream_connections_idle", "Kept connections that wait for a request.", label, summed(lambda pool: pool.idle))
    yield _gauge("upstream_connections_active", "Connections that carry a request.", label, summed(lambda pool: pool.active))
    yield _counter("upstream_connections_opened", "Connections opened.", label, summed(lambda pool: pool.opened))
    yield _counter(
        "upstream_connections_failed", "Connections that could not be opened.", label, summed(lambda pool: pool.failed)
    )
    yield _gauge("upstream_requests_waiting", "Requests that wait for a connection.", label, summed(lambda pool: pool.waiting))
    yield _gauge(
        "upstream_circuit_open",
        "1 while no connection is tried after repeated failures.",
        label,
        (((name,), any(pool.circuit_open for pool in pools)) for name, pools in named.items()),
    )


def _tokens(authenticator: AuthenticatorFigures) -> Iterator[Metric]:
    yield _counter("token_cache_hits", "Tokens found verified.", (), [((), authenticator.hits)])
    yield _counter("token_cache_misses", "Tokens that had to be verified.", (), [((), authenticator.misses)])
    yield _counter("tokens_refused", "Tokens refused, by cause.", ("cause",), _rows(authenticator.refused))


def _key_sets(key_sets: Sequence[KeySetFigures]) -> Iterator[Metric]:
    label = ("issuer",)
    yield _gauge(
        "key_set_ready", "1 when keys of the issuer are at hand.", label, (((keys.issuer,), keys.ready) for keys in key_sets)
    )
    yield _gauge(
        "key_set_age_seconds",
        "Time since the keys were fetched.",
        label,
        (((keys.issuer,), keys.age_seconds) for keys in key_sets if keys.age_seconds is not None),
    )
    yield _counter(
        "key_set_fetches",
        "Fetches of the keys, by outcome.",
        ("issuer", "outcome"),
        (((keys.issuer, outcome), count) for keys in key_sets for outcome, count in keys.fetches.items()),
    )


def _audit(audit: AuditFigures) -> Iterator[Metric]:
    yield _counter("audit_lines_written", "Audit lines written.", (), [((), audit.written)])
    yield _counter("audit_lines_dropped", "Audit lines lost.", (), [((), audit.dropped)])
    yield _counter("audit_failures", "Attempts to write or open the audit file that failed.", (), [((), audit.failed)])
    yield _gauge("audit_lines_queued", "Audit lines that wait to be written.", (), [((), audit.queued)])
    yield _gauge("audit_accepting", "0 while requests are refused because the queue is full.", (), [((), audit.accepting)])


def _discovery(figures: DiscoveryFigures) -> Iterator[Metric]:
    yield _gauge("discovery_clusters", "Clusters known from Cluster objects.", (), [((), figures.clusters)])
    yield _gauge("discovery_objects_skipped", "Cluster objects that gave nothing to reach.", (), [((), figures.skipped)])
    if figures.age_seconds is not None:
        yield _gauge(
            "discovery_age_seconds",
            "Time since the management API last said something of its clusters.",
            (),
            [((), figures.age_seconds)],
        )
    yield _gauge(
        "discovery_failing_seconds",
        "Time since Cluster objects could last be read; 0 while they can.",
        (),
        [((), figures.failing_seconds)],
    )
    yield _counter("discovery_reads", "Lists and watches of Cluster objects, by outcome.", ("outcome",), _rows(figures.outcomes))


def _rows(counts: Mapping[str, int]) -> Iterator[tuple[tuple[str], int]]:
    return (((label,), count) for label, count in counts.items())


def _counter(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = CounterMetricFamily(f"mosk_proxy_{name}", text, labels=labels)
    for values, count in rows:
        family.add_metric(values, count)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = GaugeMetricFamily(f"mosk_proxy_{name}", text, labels=labels)
    for values, figure in rows:
        family.add_metric(values, figure)
    return family

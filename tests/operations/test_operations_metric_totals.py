"""Sums over workers, as a Prometheus server would see them from one scrape to the next."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from operations_figures import sources
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from proxy.operations.metric_totals import LARGEST, SMALLEST, Family, Totals, packed, unpacked
from proxy.operations.metrics import _families, own_process

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def counted(total: float, **labels: str) -> list[Family]:
    return families(CounterMetricFamily("c", "Counted.", labels=tuple(labels)), (tuple(labels.values()), total))


def measured(name: str, value: float) -> list[Family]:
    return families(GaugeMetricFamily(name, "Measured.", labels=()), ((), value))


def families(metric: Metric, *rows) -> list[Family]:
    for labels, value in rows:
        metric.add_metric(labels, value)
    return unpacked(packed([metric]))


def shown(totals: Totals, told: Mapping[str, list[Family]], missing: tuple[str, ...] = ()) -> dict:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in totals.add_up(told, missing)
        for sample in metric.samples
    }


def test_counters_of_workers_are_summed_by_label():
    told = {"a": counted(2, target="kaas") + counted(3, target="sl"), "b": counted(5, target="kaas")}
    assert shown(Totals(), told) == {("c_total", "kaas"): 7, ("c_total", "sl"): 3}


SCRAPES = [
    ("one goes on counting", [{"a": 3, "b": 4}, {"a": 5, "b": 4}], [7, 9]),
    ("one was replaced: what it counted stays", [{"a": 3, "b": 4}, {"b": 4, "c": 1}], [7, 8]),
    ("its successor counts further than it did", [{"a": 3, "b": 4}, {"b": 4, "c": 9}], [7, 16]),
    ("all were replaced", [{"a": 3, "b": 4}, {}, {"c": 1, "d": 2}], [7, 7, 10]),
    ("one began anew by itself, as an upstream's counters do after a reload", [{"a": 3}, {"a": 1}, {"a": 2}], [3, 4, 5]),
]


@pytest.mark.parametrize(("scrapes", "expected"), [row[1:] for row in SCRAPES], ids=[row[0] for row in SCRAPES])
def test_a_counter_never_falls(scrapes, expected):
    totals = Totals()
    seen = [shown(totals, {worker: counted(value) for worker, value in told.items()})["c_total",] for told in scrapes]
    assert seen == expected


def test_what_a_silent_worker_counted_stays_and_is_not_counted_again_when_it_answers():
    totals = Totals()
    assert shown(totals, {"a": counted(3), "b": counted(4)}) == {("c_total",): 7}
    assert shown(totals, {"b": counted(5)}, missing=("a", "never-answered")) == {("c_total",): 8}
    assert shown(totals, {"a": counted(6), "b": counted(5)}) == {("c_total",): 11}


def test_a_silent_worker_has_no_gauges():
    totals = Totals()
    shown(totals, {"a": measured("g", 3), "b": measured("g", 4)})
    assert shown(totals, {"b": measured("g", 4)}, missing=("a",)) == {("g",): 4}


def test_histograms_are_summed_bucket_by_bucket_and_stay_whole():
    def histogram(*counts: int) -> list[Family]:
        metric = HistogramMetricFamily("h", "Durations.", labels=("target",))
        metric.add_metric(("kaas",), list(zip(("0.1", "+Inf"), counts, strict=True)), float(counts[-1]))
        return unpacked(packed([metric]))

    totals = Totals()
    shown(totals, {"a": histogram(1, 2), "b": histogram(3, 4)})
    assert list(shown(totals, {"b": histogram(3, 5)}).items()) == [
        (("h_bucket", "kaas", "0.1"), 4),
        (("h_bucket", "kaas", "+Inf"), 7),
        (("h_count", "kaas"), 7),
        (("h_sum", "kaas"), 7),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mosk_proxy_connections", 7),
        ("mosk_proxy_upstream_circuit_open", 4),
        ("mosk_proxy_discovery_clusters", 4),
        ("mosk_proxy_key_set_ready", 3),
        ("process_open_fds", 4),
        ("process_max_fds", 3),
        ("process_resident_memory_bytes", 7),
    ],
)
def test_gauges_are_summed_where_a_sum_means_something(name, expected):
    assert shown(Totals(), {"a": measured(name, 3), "b": measured(name, 4)}) == {(name,): expected}


def test_an_upstream_that_no_worker_knows_any_more_is_forgotten():
    totals = Totals()
    shown(totals, {"a": counted(3, upstream="k8s/a/gone"), "b": counted(4, upstream="k8s/a/here")})
    assert shown(totals, {"b": counted(4, upstream="k8s/a/here")}, missing=("a",)) == {
        ("c_total", "k8s/a/gone"): 3,
        ("c_total", "k8s/a/here"): 4,
    }
    assert shown(totals, {"a": [], "b": counted(4, upstream="k8s/a/here")}) == {("c_total", "k8s/a/here"): 4}


def test_the_gauges_that_are_not_summed_are_gauges_of_ours():
    kinds = {metric.name: metric.type for metric in (*_families(sources()), *own_process())}
    assert {name for name in LARGEST | SMALLEST if kinds.get(name) not in {"gauge", "info"}} == set()


def test_the_document_says_how_each_gauge_is_added_up():
    text = DOCUMENT.read_text()
    for names, word in ((LARGEST, "largest"), (SMALLEST, "smallest")):
        told = re.search(rf"^- the {word}:(.*?)(?=^- |^$)", text, re.MULTILINE | re.DOTALL)
        assert told is not None
        assert set(re.findall(r"`(\w+)`", told[1])) == {name.replace("proxy_build", "proxy_build_info") for name in names}

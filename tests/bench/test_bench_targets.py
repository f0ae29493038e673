"""What is to be reached is read from the right figures."""

import msgspec
import pytest

from bench.figures import MemorySample, Sample, WatchSample
from bench.targets import TARGETS, table


def sample(scenario: str, peer: str, cpu_us: float, **more: object) -> Sample:
    usual = Sample(scenario, False, 0, peer, 1000, 0.5, cpu_us, 0.4, 2048)
    return msgspec.structs.replace(usual, **more)


def lines(samples: list[Sample], watches: list[WatchSample] | None = None, memory: list[MemorySample] | None = None):
    return {(what, wanted): (value, holds) for _, what, wanted, value, holds in table(samples, watches or [], memory or []).rows}


@pytest.mark.parametrize(("ours", "holds"), [(50, "yes"), (51, "no")])
def test_a_cost_must_not_be_above_its_limit(ours: float, holds: str) -> None:
    found = lines([sample("one", "mosk-proxy", ours), sample("one", "envoy", 100)])
    assert found == {("CPU per GET, one user and path", "≤ 0.5 x envoy"): (f"{ours / 100:.2f}", holds)}


@pytest.mark.parametrize(("theirs", "holds"), [(800, "yes"), (790, "no")])
def test_requests_per_core_second_are_their_cost_over_ours(theirs: float, holds: str) -> None:
    found = lines([sample("one", "mosk-proxy", 100), sample("one", "oauth2-proxy", theirs)])
    assert found == {("requests per core second", "≥ 8 x oauth2-proxy"): (f"{theirs / 100:.2f}", holds)}


def test_bytes_per_core_second_must_not_be_below_their_limit() -> None:
    found = lines([sample("download", "mosk-proxy", 100, answer_bytes=1000), sample("download", "envoy", 120, answer_bytes=1000)])
    assert found == {("bytes per core second, download", "≥ 1.1 x envoy"): ("1.20", "yes")}


def test_latency_is_compared_by_what_is_added() -> None:
    found = lines(
        [
            sample("latency", peer, 200, p50_ms=p50, p99_ms=1.0)
            for peer, p50 in (("mosk-proxy", 0.3), ("envoy", 0.5), ("direct", 0.1))
        ]
    )
    assert found["added p50 at 500 requests/s", "≤ 0.7 x envoy"] == ("0.50", "yes")


@pytest.mark.parametrize(
    ("split", "value", "holds"), [([103, 153], "0.40", "yes"), ([64, 192], "0.25", "no"), ([256], "0.00", "no")]
)
def test_connections_fall_to_both_workers(split: list[int], value: str, holds: str) -> None:
    two = sample("workers", "mosk-proxy x2", 110, split=split)
    found = lines([sample("workers", "mosk-proxy", 100, split=[256]), two])
    assert found["CPU per GET, two workers", "≤ 1.15 x one"] == ("1.10", "yes")
    assert found["connections of the worker with fewer", "≥ 0.4 of all"] == (value, holds)


def test_watches_are_judged_by_the_slowest_event() -> None:
    watches = WatchSample(False, 0, "mosk-proxy", 9900, 100_000, 199_000, 110_000, 199_000, 2.0, [0.2, 1.1], 1.0, 3.0)
    found = lines([], [watches])
    assert found["memory of an idle watch", "≤ 12 KB"] == ("10.00", "yes")
    assert found["idle watches at once", "≥ 9900"] == ("9900.00", "yes")
    assert found["an event to all watches", "≤ 1 s"] == ("1.10", "no")
    assert found["other requests' p99 meanwhile", "≤ 2 x before"] == ("3.00", "no")


def test_memory_must_not_grow() -> None:
    wavering = [MemorySample(False, "mosk-proxy", 6.0 * number, 90_000 + 100 * (number % 3), 0) for number in range(99)]
    [(_, (_, holds))] = lines([], [], wavering).items()
    assert holds == "yes"
    growing = [
        msgspec.structs.replace(found, resident_kb=found.resident_kb + 5 * number) for number, found in enumerate(wavering)
    ]
    [(_, (_, holds))] = lines([], [], growing).items()
    assert holds == "no"


def test_a_run_says_nothing_of_what_it_did_not_measure() -> None:
    assert lines([sample("one", "mosk-proxy", 40)]) == {}
    assert len({(target.what, target.unit) for target in TARGETS}) == len(TARGETS)

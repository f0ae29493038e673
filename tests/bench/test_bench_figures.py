"""Only figures of the same round are compared."""

from operator import attrgetter

import pytest

from bench.figures import MemorySample, Sample, Slope, Spread, minus, outside_and_inside, over, p99_ms, percentile, series


def sample(number: int, peer: str, cpu_us: float, p50_ms: float | None = None) -> Sample:
    return Sample("one", False, number, peer, 1000, 0.5, cpu_us, 0.4, 1024, p50_ms)


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [
        ([5.0], 0.99, 5.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.5, 50.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 101)], 0.999, 100.0),
        ([float(n) for n in range(1, 101)], 1.0, 100.0),
    ],
)
def test_a_percentile_is_one_of_the_values(values: list[float], part: float, expected: float) -> None:
    assert percentile(values, part) == expected


def test_a_spread_is_median_and_extremes() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)
    assert Spread.of([]) is None


def test_ratios_are_taken_within_a_round() -> None:
    """The machine ran at half speed in round 1: both peers took twice as long, the ratio stays."""
    samples = [sample(0, "a", 50), sample(0, "b", 100), sample(1, "a", 100), sample(1, "b", 200)]
    mine, base = series(samples, "a", attrgetter("cpu_us")), series(samples, "b", attrgetter("cpu_us"))
    assert over(mine, base) == {0: 0.5, 1: 0.5}


def test_a_round_that_one_peer_lacks_is_left_out() -> None:
    mine, base = {0: 1.0, 1: 2.0, 2: 3.0}, {0: 2.0, 2: 0.0}
    assert over(mine, base) == {0: 0.5}
    assert minus(mine, base) == {0: -1.0, 2: 3.0}


def test_a_figure_that_was_not_taken_is_no_zero() -> None:
    assert series([sample(0, "a", 50), sample(1, "a", 50, 0.2)], "a", attrgetter("p50_ms")) == {1: 0.2}


def test_busy_is_the_part_of_one_core() -> None:
    assert sample(0, "a", 400).busy == pytest.approx(0.8)


def test_bytes_of_a_core_second_need_bytes() -> None:
    assert sample(0, "a", 400).megabytes_per_core_second is None
    carried = Sample("download", False, 0, "a", 10, 1.0, 20_000, 0.5, 1, answer_bytes=20_000_000)
    assert carried.megabytes_per_core_second == pytest.approx(1000)


def test_requests_are_told_apart_by_the_events_under_way() -> None:
    """Two events, at 100-200 and 300-400: what ended before the first, what was under way in either, and neither."""
    due = [0, 90, 150, 250, 290, 350, 500]
    latencies = [50, 20, 10, 10, 20, 10, 10]
    before, inside = outside_and_inside(due, latencies, [(100, 200), (300, 400)])
    assert before == [50]
    assert inside == [20, 10, 20, 10]


def test_a_percentile_of_nothing_is_nothing() -> None:
    assert p99_ms([]) is None
    assert p99_ms([2_000_000] * 100) == 2.0


def memory(points: list[float]) -> list[MemorySample]:
    return [MemorySample(True, "a", 30.0 * number, int(kb), 0) for number, kb in enumerate(points)]


def test_a_slope_is_kilobytes_a_minute_with_its_error() -> None:
    growing = Slope.of(memory([1000 + 10 * number for number in range(20)]))
    assert growing is not None
    assert growing.kb_per_minute == pytest.approx(20)
    assert growing.error == pytest.approx(0, abs=1e-6)
    assert not growing.is_flat


def test_memory_that_goes_up_and_down_is_flat() -> None:
    wavering = Slope.of(memory([1000 + 100 * (number % 2) for number in range(40)]))
    assert wavering is not None
    assert wavering.is_flat
    assert wavering.error > 0


def test_the_warm_up_and_a_handful_of_samples_tell_no_slope() -> None:
    warm_up = [MemorySample(True, "a", -1.0 - number, 1, 0) for number in range(40)]
    assert Slope.of(warm_up + memory([1.0] * 19)) is None
    assert Slope.of(warm_up + memory([1.0] * 20)) == Slope(0.0, 0.0)


def test_what_is_below_nothing_is_no_base() -> None:
    """Added latency may come out negative: the direct way happened to be slower."""
    assert over({0: 1.0, 1: 1.0, 2: 1.0}, {0: -0.1, 1: 0.0, 2: 0.5}) == {2: 2.0}

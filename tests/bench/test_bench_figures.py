"""Only figures of the same round are compared."""

from operator import attrgetter

import pytest

from bench.figures import Sample, Spread, minus, over, percentile, series


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

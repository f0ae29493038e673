"""Figures get into the documentation, and nothing else there is touched."""

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from bench import documents, plots
from bench.figures import MemorySample, Sample, WatchSample
from bench.report import Results

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def sample(scenario: str, peer: str, cpu_us: float, *, tls: bool = False, answer_bytes: int = 0) -> Sample:
    usual = Sample(scenario, tls, 0, peer, 1000, 0.5, cpu_us, 0.4, 2048)
    return msgspec.structs.replace(usual, answer_bytes=answer_bytes)


RESULTS = Results(
    "2026-01-02T00:00:00+00:00",
    "abc",
    {"processor": "P", "cores": "2", "kernel": "6", "python": "3.11", "load_before": "0.1"},
    {"envoy": "1.40.0"},
    {"nginx": "it is not installed"},
    {"rounds": 5},
    [
        sample("one", "mosk-proxy", 40),
        sample("one", "envoy", 80),
        *(
            sample(f"roles-{count}", peer, cost)
            for count in (1, 10, 100)
            for peer, cost in (("mosk-proxy", 40), ("envoy", count))
        ),
        sample("download", "mosk-proxy", 100, tls=True, answer_bytes=200_000),
    ],
    [WatchSample(False, 0, "mosk-proxy", 100, 50_000, 51_000, 50_000, 51_000, 1.0, [0.1])],
    [MemorySample(True, "mosk-proxy", 60.0 * minute, 90_000 + minute, 1) for minute in range(-1, 5)],
)
PAGE = f"# Title\n\nbefore\n\n{documents.BEGIN}\nof yesterday\n{documents.END}\n\nafter\n"


def test_the_page_keeps_what_is_around_the_figures(tmp_path: Path) -> None:
    (tmp_path / documents.PAGE).write_text(PAGE)
    written = documents.write(RESULTS, tmp_path)
    page = (tmp_path / documents.PAGE).read_text()
    before, after = PAGE.split("of yesterday\n")
    assert page.startswith(before)
    assert page.endswith(after)
    assert "yesterday" not in page
    for text in (
        "2026-01-02, commit abc, P with 2 virtual cores, Linux 6",
        "envoy 1.40.0",
        "not measured: nginx: it is not",
        "0.50",
    ):
        assert text in page
    assert {file.name for file in written[1:]} == {
        "cpu-plain.svg",
        "growth-roles-plain.svg",
        "watches-plain.svg",
        "bytes-tls.svg",
        "memory-tls.svg",
    }
    for file in written[1:]:
        assert f"(plots/{file.name})" in page
        assert ET.parse(file).getroot().tag == f"{SVG}svg"


@pytest.mark.parametrize("page", ["", PAGE.replace(documents.END, ""), PAGE + PAGE, f"{documents.END}{documents.BEGIN}"])
def test_a_page_without_one_place_for_figures_stays_as_it_is(tmp_path: Path, page: str) -> None:
    (tmp_path / documents.PAGE).write_text(page)
    with pytest.raises(documents.NoPlace):
        documents.write(RESULTS, tmp_path)
    assert (tmp_path / documents.PAGE).read_text() == page
    assert not (tmp_path / documents.FOLDER).exists()


def test_our_page_has_one_place_for_figures() -> None:
    page = (ROOT / "docs" / documents.PAGE).read_text()
    assert documents.replaced(page, "x").count("\nx\n") == 1


def test_bars_are_as_long_as_their_values() -> None:
    drawn = ET.fromstring(plots.bars("A & B", "<µs>", {"one": {"a": 50, "b": 100}, "two": {"a": 25}}))
    bars = [float(bar.get("width", "0")) for bar in drawn.iter(f"{SVG}rect") if bar.get("x") == str(plots.LEFT)]
    assert bars == [pytest.approx(bars[1] / 2), bars[1], pytest.approx(bars[1] / 4)]
    assert "A & B, <µs>" in [text.text for text in drawn.iter(f"{SVG}text")]


def test_lines_go_through_their_points() -> None:
    drawn = ET.fromstring(plots.lines("t", "µs", "roles", {"a": [(1, 0), (10, 50), (100, 100)]}, logarithmic=True))
    [line] = drawn.iter(f"{SVG}polyline")
    places = [tuple(map(float, place.split(","))) for place in line.get("points", "").split()]
    assert places[1][0] - places[0][0] == pytest.approx(places[2][0] - places[1][0], abs=0.2), "decades are equally wide"
    assert places[0][1] - places[1][1] == pytest.approx(places[1][1] - places[2][1], abs=0.2)
    assert places[0][1] > places[2][1], "more is higher"


@pytest.mark.parametrize("most", [0.07, 1.0, 9.9, 10.0, 123.0, 99_999.0])
def test_axes_have_round_values(most: float) -> None:
    ticks = plots.Scale(most, 100).ticks()
    assert 4 <= len(ticks) <= 12
    assert ticks[0] == 0
    assert ticks[-1] <= most * 1.0001


def test_one_point_and_no_value_are_drawn_too() -> None:
    ET.fromstring(plots.lines("t", "MB", "minutes", {"a": [(0.0, 0.0)]}))
    ET.fromstring(plots.bars("t", "µs", {"one": {"a": 0.0}}))

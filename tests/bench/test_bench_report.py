"""Tables say what the samples say."""

import io
from pathlib import Path

import msgspec
from rich.console import Console

from bench.figures import DIRECT, Sample
from bench.report import HEADINGS, Results, markdown, read, rows, show, write


def sample(
    number: int, peer: str, cpu_us: float, *, tls: bool = False, scenario: str = "one", p50: float | None = None
) -> Sample:
    return Sample(scenario, tls, number, peer, 1000, 0.5, cpu_us, 0.4, 2048, p50, p50)


SAMPLES = [
    sample(0, "mosk-proxy", 40),
    sample(0, "envoy", 80),
    sample(1, "mosk-proxy", 90),
    sample(1, "envoy", 100),
    sample(2, "mosk-proxy", 50),
    sample(2, "envoy", 100),
    sample(0, "envoy", 120, tls=True),
    sample(0, "mosk-proxy", 200, scenario="latency", p50=0.3),
    sample(0, "envoy", 300, scenario="latency", p50=0.5),
    sample(0, DIRECT, 0, scenario="latency", p50=0.1),
]


def results(samples: list[Sample]) -> Results:
    return Results("2026-01-01T00:00:00+00:00", "abc", {"processor": "P"}, {}, {"other": "cannot be had [here]"}, {}, samples)


def test_a_row_for_each_scenario_listener_and_peer() -> None:
    assert [(row.scenario, row.tls, row.peer) for row in rows(SAMPLES)] == [
        ("one", False, "mosk-proxy"),
        ("one", False, "envoy"),
        ("one", True, "envoy"),
        ("latency", False, "mosk-proxy"),
        ("latency", False, "envoy"),
        ("latency", False, DIRECT),
    ]


def test_ratios_are_medians_of_rounds_and_not_ratios_of_medians() -> None:
    first = next(rows(SAMPLES)).cells()
    assert first[HEADINGS.index("CPU µs/request")] == "50.0 (40.0\N{EN DASH}90.0)"
    assert first[HEADINGS.index("/ envoy")] == "0.50 (0.50\N{EN DASH}0.90)"


def test_latency_is_what_is_added_to_the_direct_way() -> None:
    cells = {row.peer: row.cells() for row in rows(SAMPLES) if row.scenario == "latency"}
    assert cells["mosk-proxy"][HEADINGS.index("added p50 ms")].startswith("0.200 ")
    assert cells["mosk-proxy"][HEADINGS.index("p50 / envoy")].startswith("0.50 ")
    assert cells[DIRECT][HEADINGS.index("added p50 ms")] == ""
    assert cells[DIRECT][HEADINGS.index("CPU µs/request")] == ""


def test_without_envoy_there_is_no_ratio() -> None:
    [row] = rows([sample(0, "mosk-proxy", 40)])
    assert row.cpu_ratio is None


def test_the_terminal_shows_the_table_and_what_is_missing() -> None:
    said = io.StringIO()
    show(results(SAMPLES), Console(file=said, width=300))
    assert "not measured: other: cannot be had [here]" in said.getvalue()
    assert "0.50 (0.50\N{EN DASH}0.90)" in said.getvalue()


def test_a_busy_machine_is_named() -> None:
    for load, named in (("0.3", False), ("2.0", True)):
        said = io.StringIO()
        busy = msgspec.structs.replace(results(SAMPLES), machine={"processor": "P", "load_before": load})
        show(busy, Console(file=said, width=300))
        assert ("busy before the run (load average 2.0)" in said.getvalue()) is named


def test_empty_columns_are_not_shown() -> None:
    said = io.StringIO()
    show(results(SAMPLES[:6]), Console(file=said, width=300))
    assert "CPU µs/request" in said.getvalue()
    assert "added p50" not in said.getvalue()


def test_markdown_has_a_line_for_each_row() -> None:
    lines = markdown(results(SAMPLES)).splitlines()
    assert len(lines) == 2 + 6
    assert {line.count("|") for line in lines} == {len(HEADINGS) + 1}


def test_a_run_is_kept(tmp_path: Path) -> None:
    kept = results(SAMPLES)
    assert read(write(kept, tmp_path / "results")) == kept

"""Tables say what the samples say."""

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bench.figures import DIRECT, MemorySample, Sample, WatchSample
from bench.report import Results, markdown, read, show, together, write
from bench.tables import Table, tables


def sample(number: int, peer: str, cpu_us: float, *, tls: bool = False, scenario: str = "one", **more: object) -> Sample:
    usual = Sample(scenario, tls, number, peer, 1000, 0.5, cpu_us, 0.4, 2048)
    return msgspec.structs.replace(usual, **more)


def latency(peer: str, milliseconds: float) -> Sample:
    more = {"p50_ms": milliseconds, "p99_ms": 10 * milliseconds, "p999_ms": 100 * milliseconds}
    return sample(0, peer, 200, scenario="latency", **more)


SAMPLES = [
    sample(0, "mosk-proxy", 40),
    sample(0, "envoy", 80),
    sample(1, "mosk-proxy", 90),
    sample(1, "envoy", 100),
    sample(2, "mosk-proxy", 50),
    sample(2, "envoy", 100),
    sample(0, "envoy", 120, tls=True),
    latency("mosk-proxy", 0.3),
    latency("envoy", 0.5),
    latency(DIRECT, 0.1),
    sample(0, "mosk-proxy", 100, scenario="download", answer_bytes=200_000),
    sample(0, "envoy", 200, scenario="download", answer_bytes=200_000),
    sample(0, "mosk-proxy", 50, scenario="workers", split=[256]),
    sample(0, "mosk-proxy x2", 55, scenario="workers", split=[100, 156]),
]
WATCHES = [
    WatchSample(True, 0, "mosk-proxy", 1000, 50_000, 70_000, 52_000, 70_700, 2.0, [0.2, 0.4, 0.3], 1.0, 3.0),
    WatchSample(True, 0, DIRECT, 1000, 0, 0, 0, 0, 1.0, [0.1], 0.5, 0.5),
]
MEMORY = [MemorySample(True, "mosk-proxy", 60.0 * minute, 90_000 + 10 * minute, 100 * minute) for minute in range(-2, 21)]


def results(samples: list[Sample] = SAMPLES) -> Results:
    return Results("2026-01-01T00:00:00+00:00", "abc", {"processor": "P"}, {}, {"other": "cannot be had [here]"}, {}, samples)


def table(title: str) -> Table:
    [found] = [found for found in tables(SAMPLES, WATCHES, MEMORY) if found.title.startswith(title)]
    return found


def lines(found: Table) -> Iterator[dict[str, str]]:
    for row in found.rows:
        assert len(row) == len(found.headings)
        yield dict(zip(found.headings, row, strict=True))


def test_a_row_for_each_scenario_listener_and_peer() -> None:
    assert [row[:3] for row in table("CPU time").rows] == [
        ("one", "plain", "mosk-proxy"),
        ("one", "plain", "envoy"),
        ("one", "TLS", "envoy"),
    ]


def test_ratios_are_medians_of_rounds_and_not_ratios_of_medians() -> None:
    ours, envoy, _ = lines(table("CPU time"))
    assert ours["CPU µs/request"] == "50.0 (40.0\N{EN DASH}90.0)"
    assert ours["mosk-proxy / it"] == ""
    assert ours["per core second"] == "20,000 (11,111\N{EN DASH}25,000)"
    assert envoy["mosk-proxy / it"] == "0.50 (0.50\N{EN DASH}0.90)"


def test_latency_is_what_is_added_to_the_direct_way() -> None:
    ours, envoy = lines(table("Added latency"))
    assert (ours["added p50 ms"], ours["added p99 ms"], ours["added p99.9 ms"]) == ("0.200", "2.000", "20.000")
    assert envoy["p50 mosk-proxy / it"] == envoy["p99.9 mosk-proxy / it"] == "0.50"


def test_bytes_are_counted_for_each_second_of_cpu_time() -> None:
    ours, envoy = lines(table("Bytes"))
    assert (ours["MB per core second"], envoy["MB per core second"], envoy["mosk-proxy / it"]) == ("2,000", "1,000", "2.00")
    assert ours["MB/s"] == "400"


def test_workers_are_compared_with_one_and_their_connections_named() -> None:
    one, two = lines(table("Workers"))
    assert (one["/ one worker"], one["connections of each process"]) == ("", "256")
    assert (two["/ one worker"], two["connections of each process"]) == ("1.10", "100/156")


def test_memory_of_a_watch_is_what_was_added_by_all() -> None:
    ours, direct = lines(table("Idle watches"))
    assert ours["KB each"] == "20.0"
    assert ours["event to all s"] == "0.300 (0.200\N{EN DASH}0.400)"
    assert (ours["times"], ours["kept when closed %"], ours["second wave / first"]) == ("3.0", "10", "1.010")
    assert (direct["KB each"], direct["kept when closed %"], direct["second wave / first"]) == ("", "", "")


def test_memory_under_load_is_counted_from_the_end_of_the_warm_up() -> None:
    [row] = lines(table("Memory"))
    assert (row["minutes"], row["answers"]) == ("20.0", "2,000")
    assert row["KB a minute"] == "+10 ± 0, not flat"


def test_without_us_there_is_no_ratio() -> None:
    [found] = tables([sample(0, "envoy", 40)], [], [])
    assert [row["mosk-proxy / it"] for row in lines(found)] == [""]


def test_the_terminal_shows_the_tables_and_what_is_missing() -> None:
    said = io.StringIO()
    noted = msgspec.structs.replace(results(), notes={"floor": "judges nothing"})
    show(noted, Console(file=said, width=300))
    assert "not measured: other: cannot be had [here]" in said.getvalue()
    assert "note: floor: judges nothing" in said.getvalue()
    assert "0.50 (0.50\N{EN DASH}0.90)" in said.getvalue()


@pytest.mark.parametrize(("load", "named"), [("0.3", False), ("2.0", True)])
def test_a_busy_machine_is_named(load: str, *, named: bool) -> None:
    busy = msgspec.structs.replace(results(), machine={"processor": "P", "load_before": load})
    assert any("busy before the run (load average 2.0)" in remark for remark in busy.remarks()) is named


def test_empty_columns_are_not_shown() -> None:
    found = Table("t", ("a", "b", "c", "d"), (("1", "2", "3", ""), ("4", "5", "6", "")))
    assert found.without_empty_columns().headings == ("a", "b", "c")
    assert found.without_empty_columns().rows == (("1", "2", "3"), ("4", "5", "6"))


def test_markdown_has_a_line_for_each_row() -> None:
    [cpu_time, targets] = markdown(results(SAMPLES[:7])).split("\n\n### ")
    assert cpu_time.startswith("### CPU time per request\n\n| scenario |")
    assert len(cpu_time.splitlines()) == 4 + 3
    assert targets.startswith("Targets")


def test_a_run_is_kept(tmp_path: Path) -> None:
    kept = msgspec.structs.replace(results(), watches=WATCHES, memory=MEMORY)
    assert read(write(kept, tmp_path / "results")) == kept


def test_runs_of_before_can_still_be_read(tmp_path: Path) -> None:
    """Those kept before watches, memory and notes were."""
    old = msgspec.to_builtins(results(SAMPLES[:7]))
    for name in ("watches", "memory", "notes"):
        del old[name]
    (tmp_path / "old.json").write_bytes(msgspec.json.encode(old))
    assert read(tmp_path / "old.json") == results(SAMPLES[:7])


def test_figures_of_two_runs_are_not_compared() -> None:
    """Ours of one run, Envoy's of another: both are shown, no ratio is."""
    both = together([results([sample(0, "mosk-proxy", 40)]), results([sample(0, "envoy", 80)])])
    [found, *_] = tables(both.samples, [], [])
    ours, envoy = lines(found)
    assert (ours["CPU µs/request"], envoy["CPU µs/request"], envoy["mosk-proxy / it"]) == ("40.0", "80.0", "")

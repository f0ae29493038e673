"""Command line of the bench."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.status import Status

from bench import cpu, documents, edge, machine, report, scenarios
from bench.processes import ROOT, all_descriptors, upstream
from bench.rounds import PEERS, Bench, Effort, Upstreams
from bench.scenarios import BOTH, Scenario, Way
from bench.soaking import measure_soak
from bench.watching import bearable, measure_watches

RESULTS = ROOT / "bench" / "results"
DOCS = ROOT / "docs"
QUICK = ("one",)
USUAL = ("one", "many", "distinct", "latency")
EFFORTS = {
    "quick": Effort(rounds=3, seconds=0.8, warm_up_seconds=0.3, latency_rounds=3, latency_seconds=1.0),
    "usual": Effort(rounds=5, seconds=1.2, warm_up_seconds=0.3, latency_rounds=5, latency_seconds=2.0),
    "full": Effort(
        rounds=5, seconds=1.2, warm_up_seconds=0.4, latency_rounds=10, latency_seconds=4.0, watch_rounds=3, soak_seconds=600.0
    ),
}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog="Example:  python -m bench --scenario one --scenario many --rounds 10")
def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One scenario, three rounds, under half a minute.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All scenarios and peers, about an hour and a quarter.")] = False,
    scenario: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(s.name for s in scenarios.SCENARIOS)}.")
    ] = None,
    peer: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(PEERS)}.")] = None,
    listener: Annotated[list[str] | None, typer.Option(help="Only these: plain, tls.")] = None,
    rounds: Annotated[int, typer.Option(min=0, max=100, help="How often each peer is measured; 0: as the mode says.")] = 0,
    seconds: Annotated[float, typer.Option(min=0, max=60, help="Length of each measurement; 0: as the mode says.")] = 0,
    watches: Annotated[int, typer.Option(min=1, max=20_000, help="How many idle watches.")] = 9900,
    soak_seconds: Annotated[float, typer.Option(min=0, max=86_400, help="Length of soak; 0: as the mode says.")] = 0,
    show: Annotated[
        list[Path] | None, typer.Option(exists=True, dir_okay=False, help="Measure nothing: show these runs, as one.")
    ] = None,
    folder: Annotated[Path, typer.Option("--results", file_okay=False, help="Where samples are kept.")] = RESULTS,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="Replace the figures of docs/performance.md and the plots beside it.")
    ] = False,
) -> None:
    """CPU time, latency, memory and bytes of mosk-proxy beside other proxies, in turn, over loopback only.

    The proxies are pinned to one core, load and upstreams to another. Without --full, and
    without --peer, only Envoy stands beside mosk-proxy. What cannot be had is named; the exit status is 1 only when mosk-proxy itself
    could not be measured.
    """
    mode = "quick" if quick else "full" if full else "usual"
    effort = adjusted(EFFORTS[mode], rounds, seconds, watches, soak_seconds)
    try:
        chosen = scenarios.named(
            scenario or {"quick": QUICK, "usual": USUAL, "full": [s.name for s in scenarios.SCENARIOS]}[mode]
        )
        wanted = named(peer, PEERS) if peer or full else BOTH
        listeners = [kind == "tls" for kind in named(listener, ("plain", "tls"))]
    except KeyError as unknown:
        raise SystemExit(f"bench: there is no {unknown}; see --help") from None
    results = kept(show) if show else run(chosen, effort, wanted, listeners, folder)
    print(report.markdown(results)) if markdown else report.show(results, Console(width=None if sys.stdout.isatty() else 230))
    if not show:
        print(f"samples: {os.path.relpath(report.write(results, folder))}")
    if write_docs:
        document(results)
    if any(name.partition(" in ")[0] == edge.NAME for name in results.missing):
        raise SystemExit(1)


def adjusted(effort: Effort, rounds: int, seconds: float, watches: int, soak_seconds: float) -> Effort:
    """An effort with what was asked for on the command line; 0 changes nothing."""
    effort = replace(effort, watches=watches, soak_seconds=soak_seconds or effort.soak_seconds)
    if rounds:
        effort = replace(effort, rounds=rounds, latency_rounds=rounds, watch_rounds=rounds)
    if seconds:
        effort = replace(effort, seconds=seconds, latency_seconds=seconds, warm_up_seconds=min(seconds, effort.warm_up_seconds))
    return effort


def named(chosen: list[str] | None, known: tuple[str, ...]) -> list[str]:
    """The chosen names, all of them by default; raises KeyError naming one that does not exist."""
    for name in chosen or ():
        if name not in known:
            raise KeyError(name)
    return [name for name in known if not chosen or name in chosen]


def kept(files: Sequence[Path]) -> report.Results:
    """Runs that were kept, as one; a file that holds none ends the program."""
    try:
        return report.together([report.read(file) for file in files])
    except msgspec.MsgspecError as failure:
        raise SystemExit(f"bench: not the result of a run: {failure}") from None


def document(results: report.Results) -> None:
    """Put a run into docs; says what was written."""
    try:
        for file in documents.write(results, DOCS):
            print(f"written: {os.path.relpath(file)}")
    except (OSError, documents.NoPlace) as failure:
        raise SystemExit(f"bench: {failure}") from None


class Run:
    """What has been measured so far."""

    def __init__(self, bench: Bench, effort: Effort, folder: Path) -> None:
        self.folder = folder
        self.bench = bench
        self.effort = effort
        self.results = report.Results(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=machine.commit(),
            machine=machine.description(),
            versions=machine.versions(),
            missing=bench.missing,
            settings={"rounds": effort.rounds, "seconds of each": effort.seconds},
            samples=[],
            notes=bench.notes,
        )

    def measure(self, scenario: Scenario, *, tls: bool) -> None:
        """One scenario behind one kind of listener; what there is then is kept, should the run be ended."""
        match scenario.way:
            case Way.WATCHES:
                self.results.watches.extend(measure_watches(self.bench, scenario, self.watches(), tls=tls))
            case Way.SOAK:
                self.results.memory.extend(measure_soak(self.bench, scenario, tls=tls))
            case _:
                self.results.samples.extend(self.bench.measure(scenario, tls=tls))
        self.results.versions.update(self.bench.versions)
        report.write(self.results, self.folder)

    def watches(self) -> int:
        """As many as were asked for, or as the descriptors allow, with a note."""
        descriptors = all_descriptors()
        found = bearable(self.effort.watches, descriptors)
        if found < self.effort.watches:
            self.bench.notes["watches"] = (
                f"{found:,} instead of {self.effort.watches:,}: a process may have {descriptors:,} files open"
            )
        return found


def run(
    chosen: Sequence[Scenario], effort: Effort, wanted: Sequence[str], listeners: Sequence[bool], folder: Path
) -> report.Results:
    """Measure; what there is so far is kept in the folder after each scenario."""
    all_descriptors()  # before anything is started that inherits the limit
    console = Console(stderr=True)
    with (
        upstream() as small,
        upstream("bench.stream_upstream") as streams,
        console.status("starting") if console.is_terminal else nothing() as status,
    ):
        told = status.update if status else lambda _: None
        bench = Bench(effort, Upstreams(small, streams), wanted, told)
        measured = Run(bench, effort, folder)
        if cpu.core(cpu.PROXY_CORE) == cpu.core(cpu.LOAD_CORE):
            bench.missing["a second core"] = "proxies, load and upstream shared one; latencies and requests/s say little"
        with bench.with_issuer():
            for scenario in chosen:
                for tls in listeners:
                    measured.measure(scenario, tls=tls)
    return measured.results


@contextmanager
def nothing() -> Iterator[Status | None]:
    """Where nobody looks, nothing is shown."""
    yield None


if __name__ == "__main__":
    app()

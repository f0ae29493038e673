"""Samples as a table on a terminal, as Markdown and as JSON."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench.figures import DIRECT, Sample, Series, Spread, minus, over, series

BASE = "envoy"
QUIET = 0.5  # load average that a measurement bears
HEADINGS = (
    "scenario",
    "listener",
    "peer",
    "CPU µs/request",
    f"/ {BASE}",
    "kernel",
    "requests/s",
    "core busy",
    "MB resident",
    "added p50 ms",
    f"p50 / {BASE}",
    "added p99 ms",
    f"p99 / {BASE}",
)


class Results(msgspec.Struct, frozen=True):
    """A whole run, as kept in the results folder."""

    started: str
    commit: str
    machine: dict[str, str]
    versions: dict[str, str]
    missing: dict[str, str]
    settings: dict[str, float]
    samples: list[Sample]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a peer in a scenario behind one kind of listener."""

    scenario: str
    tls: bool
    peer: str
    cpu: Spread | None
    cpu_ratio: Spread | None
    kernel: Spread | None
    per_second: Spread | None
    busy: Spread | None
    resident: Spread | None
    p50: Spread | None
    p50_ratio: Spread | None
    p99: Spread | None
    p99_ratio: Spread | None

    def cells(self) -> list[str]:
        """Its texts, under HEADINGS."""
        return [
            self.scenario,
            "TLS" if self.tls else "plain",
            self.peer,
            text(self.cpu, 1),
            text(self.cpu_ratio, 2),
            f"{self.kernel.median:.0%}" if self.kernel else "",
            f"{self.per_second.median:,.0f}" if self.per_second else "",
            f"{self.busy.median:.0%}" if self.busy else "",
            f"{self.resident.median:,.0f}" if self.resident else "",
            text(self.p50, 3),
            text(self.p50_ratio, 2),
            text(self.p99, 3),
            text(self.p99_ratio, 2),
        ]


def rows(samples: Iterable[Sample]) -> Iterator[Row]:
    """Lines in the order in which the samples came."""
    for (scenario, tls), group in groupby(samples, key=attrgetter("scenario", "tls")):
        together = list(group)
        for peer in dict.fromkeys(sample.peer for sample in together):
            yield row(scenario, tls, peer, together)


def row(scenario: str, tls: bool, peer: str, together: Sequence[Sample]) -> Row:
    """What the samples of one scenario and listener say about one peer."""
    proxied = [sample for sample in together if sample.peer != DIRECT]
    cpu = series(proxied, peer, attrgetter("cpu_us"))
    p50, p99 = latency(together, peer, "p50_ms"), latency(together, peer, "p99_ms")
    return Row(
        scenario,
        tls,
        peer,
        Spread.of(cpu.values()),
        Spread.of(over(cpu, series(proxied, BASE, attrgetter("cpu_us"))).values()),
        Spread.of(series(proxied, peer, attrgetter("system_share")).values()),
        Spread.of(series(together, peer, lambda sample: sample.answers / sample.seconds).values()),
        Spread.of(series(proxied, peer, attrgetter("busy")).values()),
        Spread.of(series(proxied, peer, lambda sample: sample.resident_kb / 1024).values()),
        Spread.of(p50.values()),
        Spread.of(over(p50, latency(together, BASE, "p50_ms")).values()),
        Spread.of(p99.values()),
        Spread.of(over(p99, latency(together, BASE, "p99_ms")).values()),
    )


def latency(together: Sequence[Sample], peer: str, figure: str) -> Series:
    """A percentile of the latency that a peer adds to the direct way."""
    if peer == DIRECT:
        return {}
    return minus(series(together, peer, attrgetter(figure)), series(together, DIRECT, attrgetter(figure)))


def text(spread: Spread | None, digits: int) -> str:
    """Median, then lowest and highest round."""
    if spread is None:
        return ""
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f}\N{EN DASH}{spread.high:.{digits}f})"


def show(results: Results, console: Console) -> None:
    """Print the table and what has to be known with it."""
    table = Table(title=f"mosk-proxy {results.commit} on {results.machine['processor']}, {results.started}", title_justify="left")
    lines = list(rows(results.samples))
    cells = [line.cells() for line in lines]
    filled = [number for number in range(len(HEADINGS)) if any(line[number] for line in cells)]
    for number in filled:
        table.add_column(HEADINGS[number], justify="left" if number < 3 else "right")
    for number, line in enumerate(lines):
        last = number + 1 == len(lines) or (lines[number + 1].scenario, lines[number + 1].tls) != (line.scenario, line.tls)
        table.add_row(*(cells[number][column] for column in filled), end_section=last)
    console.print(table)
    console.print(
        "Median (lowest and highest round). Ratios compare figures of the same round; absolute figures move with the machine."
    )
    if (load := float(results.machine.get("load_before", 0))) > QUIET:
        console.print(
            f"The machine was busy before the run (load average {load}): expect wider spreads, and do not quote latencies."
        )
    for peer, reason in results.missing.items():
        console.print(f"not measured: {peer}: {reason}", markup=False)


def markdown(results: Results) -> str:
    """The table for documents."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(line.cells() for line in rows(results.samples))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(results: Results, folder: Path) -> Path:
    """Keep a run as JSON; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{results.started.replace(':', '')}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    return file


def read(file: Path) -> Results:
    """A run that was kept."""
    return msgspec.json.decode(file.read_bytes(), type=Results)

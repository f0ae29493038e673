"""A run on a terminal, as Markdown and as JSON."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import rich.table
from rich.console import Console

from bench import targets
from bench.figures import MemorySample, Sample, WatchSample
from bench.tables import Table, tables

QUIET = 0.5  # load average that a measurement bears
ROUNDS_OF_A_RUN = 1000  # more than a run can have: figures of two runs are never compared


class Results(msgspec.Struct, frozen=True):
    """A whole run, as kept in the results folder."""

    started: str
    commit: str
    machine: dict[str, str]
    versions: dict[str, str]
    missing: dict[str, str]
    settings: dict[str, float]
    samples: list[Sample]
    watches: list[WatchSample] = []
    memory: list[MemorySample] = []
    notes: dict[str, str] = {}

    def tables(self) -> list[Table]:
        """What it says, the targets last."""
        found = list(tables(self.samples, self.watches, self.memory))
        reached = targets.table(self.samples, self.watches, self.memory)
        return [table.without_empty_columns() for table in [*found, reached] if table.rows]

    def remarks(self) -> list[str]:
        """What has to be known with the figures."""
        said = [
            "Median (lowest and highest round). Ratios compare figures of the same round; absolute figures move with the machine."
        ]
        if (load := float(self.machine.get("load_before", 0))) > QUIET:
            said.append(
                f"The machine was busy before the run (load average {load}): expect wider spreads, and do not quote latencies."
            )
        said += [f"note: {subject}: {note}" for subject, note in self.notes.items()]
        return said + [f"not measured: {peer}: {reason}" for peer, reason in self.missing.items()]


def show(results: Results, console: Console) -> None:
    """Print the tables and what has to be known with them."""
    console.print(f"mosk-proxy {results.commit} on {results.machine['processor']}, {results.started}", markup=False)
    for table in results.tables():
        console.print(on_terminal(table))
    for remark in results.remarks():
        console.print(remark, markup=False, highlight=False)


def on_terminal(table: Table) -> rich.table.Table:
    """A table with lines between its groups."""
    shown = rich.table.Table(title=table.title, title_justify="left")
    for number, heading in enumerate(table.headings):
        shown.add_column(heading, justify="left" if number < table.labels else "right")
    groups = table.groups()
    for number, row in enumerate(table.rows):
        shown.add_row(*row, end_section=groups[number + 1 : number + 2] != [groups[number]])
    return shown


def markdown(results: Results) -> str:
    """The tables for documents."""
    return "\n\n".join(f"### {table.title}\n\n{in_markdown(table)}" for table in results.tables())


def in_markdown(table: Table) -> str:
    """One table."""
    lines = [table.headings, ["---"] * len(table.headings), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(results: Results, folder: Path) -> Path:
    """Keep a run as JSON; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{results.started.replace(':', '')}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    return file


def read(file: Path) -> Results:
    """A run that was kept; raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode(file.read_bytes(), type=Results)


def together(runs: Sequence[Results]) -> Results:
    """Several runs as one, so that parts of a long measurement can be taken apart; the first run's machine and commit are named."""
    first, *others = runs
    samples = [
        msgspec.structs.replace(sample, round=sample.round + ROUNDS_OF_A_RUN * number)
        for number, run in enumerate(runs)
        for sample in run.samples
    ]
    return msgspec.structs.replace(
        first,
        samples=samples,
        watches=[sample for run in runs for sample in run.watches],
        memory=[sample for run in runs for sample in run.memory],
        missing={subject: reason for run in runs for subject, reason in run.missing.items()},
        notes={subject: note for run in runs for subject, note in run.notes.items()}
        | {f"run of {run.started}": f"commit {run.commit}" for run in others},
        versions={name: version for run in runs for name, version in run.versions.items()},
    )

"""From the samples of a run to tables of text. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeAlias

from bench.figures import DIRECT, MemorySample, Sample, Series, Slope, Spread, WatchSample, minus, over, series

OURS = "mosk-proxy"
RATIO = f"{OURS} / it"
Figure: TypeAlias = Callable[[Sample], float | None]
Group: TypeAlias = tuple[str, bool]  # scenario, behind TLS


@dataclass(frozen=True, slots=True)
class Table:
    """Texts in rows under headings; the first `labels` columns name the row, `groups` tells which rows belong together."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 3

    def groups(self) -> list[tuple[str, ...]]:
        """What the rows of one group have in common: all labels but the last, the peer."""
        return [row[: self.labels - 1] for row in self.rows]

    def without_empty_columns(self) -> "Table":
        """The same without columns that have no text in any row."""
        filled = [number for number in range(len(self.headings)) if any(row[number] for row in self.rows)]
        rows = tuple(tuple(row[number] for number in filled) for row in self.rows)
        return Table(self.title, tuple(self.headings[number] for number in filled), rows, self.labels)


@dataclass(frozen=True, slots=True)
class Column:
    """A figure as median, lowest and highest round, and, when `compared`, ours over this peer's in the same rounds."""

    heading: str
    figure: Figure
    digits: int
    compared: bool = False
    added: bool = False

    def headings(self) -> tuple[str, ...]:
        """One or two headings."""
        return (self.heading, f"{self.heading.split()[1]} {RATIO}" if self.added else RATIO) if self.compared else (self.heading,)

    def of(self, group: Sequence[Sample], peer: str) -> Series:
        """The figure by round; an added one is what is beyond the direct way."""
        mine = series(group, peer, self.figure)
        return minus(mine, series(group, DIRECT, self.figure)) if self.added else mine

    def cells(self, group: Sequence[Sample], peer: str) -> tuple[str, ...]:
        """The texts under `headings`."""
        if peer == DIRECT:
            return ("",) * len(self.headings())
        mine = self.of(group, peer)
        shown = text(Spread.of(mine.values()), self.digits)
        if not self.compared:
            return (shown,)
        return (shown, "" if peer == OURS else text(Spread.of(over(self.of(group, OURS), mine).values()), 2))


CPU = Column("CPU µs/request", attrgetter("cpu_us"), 1, compared=True)
PER_CORE = Column("per core second", lambda sample: 1e6 / sample.cpu_us if sample.cpu_us else None, 0)
KERNEL = Column("kernel %", lambda sample: 100 * sample.system_share, 0)
PER_SECOND = Column("requests/s", lambda sample: sample.answers / sample.seconds, 0)
BUSY = Column("core busy %", lambda sample: 100 * sample.busy, 0)
RESIDENT = Column("MB resident", lambda sample: sample.resident_kb / 1024, 0)
P50 = Column("added p50 ms", attrgetter("p50_ms"), 3, compared=True, added=True)
P99 = Column("added p99 ms", attrgetter("p99_ms"), 3, compared=True, added=True)
P999 = Column("added p99.9 ms", attrgetter("p999_ms"), 3, compared=True, added=True)
BULK = Column("MB per core second", attrgetter("megabytes_per_core_second"), 0, compared=True)
MEGABYTES = Column("MB/s", lambda sample: sample.answer_bytes * sample.answers / sample.seconds / 1e6, 0)
SAMPLE_TABLES: tuple[tuple[str, Callable[[Sample], bool], tuple[Column, ...]], ...] = (
    (
        "CPU time per request",
        lambda sample: sample.p50_ms is None and not sample.answer_bytes and not sample.split,
        (CPU, PER_CORE, KERNEL, PER_SECOND, BUSY, RESIDENT),
    ),
    ("Added latency at 500 requests/s", lambda sample: sample.p50_ms is not None, (P50, P99, P999, CPU, RESIDENT)),
    ("Bytes carried", lambda sample: bool(sample.answer_bytes), (BULK, MEGABYTES, BUSY, RESIDENT)),
)


def tables(samples: Sequence[Sample], watches: Sequence[WatchSample], memory: Sequence[MemorySample]) -> Iterator[Table]:
    """All tables that have rows."""
    for title, belongs, columns in SAMPLE_TABLES:
        chosen = [sample for sample in samples if belongs(sample)]
        if chosen:
            yield of_samples(title, chosen, columns)
    if split := [sample for sample in samples if sample.split]:
        yield of_workers(split)
    if watches:
        yield of_watches(watches)
    if memory:
        yield of_memory(memory)


def grouped(samples: Iterable[Sample]) -> dict[Group, list[Sample]]:
    """Samples of one scenario behind one kind of listener, in the order in which they first came."""
    found: dict[Group, list[Sample]] = {}
    for sample in samples:
        found.setdefault((sample.scenario, sample.tls), []).append(sample)
    return found


def peers(group: Iterable[Sample]) -> list[str]:
    """Names of the peers, in the order of their samples."""
    return list(dict.fromkeys(sample.peer for sample in group))


def of_samples(title: str, samples: Sequence[Sample], columns: Sequence[Column]) -> Table:
    """A row for each scenario, listener and peer."""
    rows = (
        (scenario, listener(tls=tls), peer, *(cell for column in columns for cell in column.cells(group, peer)))
        for (scenario, tls), group in grouped(samples).items()
        for peer in peers(group)
        if peer != DIRECT
    )
    headings = (heading for column in columns for heading in column.headings())
    return Table(title, ("scenario", "listener", "peer", *headings), tuple(rows))


def of_workers(samples: Sequence[Sample]) -> Table:
    """CPU time per request over all processes, and how connections fell to the workers."""
    rows = []
    for (scenario, tls), group in grouped(samples).items():
        for peer in peers(group):
            splits = " ".join("/".join(map(str, sample.split)) for sample in group if sample.peer == peer)
            cost = text(Spread.of(series(group, peer, attrgetter("cpu_us")).values()), 1)
            rows.append((scenario, listener(tls=tls), peer, cost, over_one(group, peer), splits))
    title = "Workers on one core, 256 connections"
    return Table(
        title, ("scenario", "listener", "peer", "CPU µs/request", "/ one worker", "connections of each process"), tuple(rows)
    )


def over_one(group: Sequence[Sample], peer: str) -> str:
    """Cost of several workers over that of one, in the same rounds."""
    if peer == OURS:
        return ""
    ratios = over(series(group, peer, attrgetter("cpu_us")), series(group, OURS, attrgetter("cpu_us")))
    return text(Spread.of(ratios.values()), 2)


def of_watches(samples: Sequence[WatchSample]) -> Table:
    """A row for each listener and peer."""
    rows = []
    for tls, peer in dict.fromkeys((sample.tls, sample.peer) for sample in samples):
        mine = [sample for sample in samples if (sample.tls, sample.peer) == (tls, peer)]
        rows.append((listener(tls=tls), peer, *watch_cells(mine)))
    headings = ("watches", "KB each", "all open s", "event to all s", "others' p99 ms", "with events ms", "times")
    return Table(
        "Idle watches", ("listener", "peer", *headings, "kept when closed %", "second wave / first"), tuple(rows), labels=2
    )


def watch_cells(mine: Sequence[WatchSample]) -> tuple[str, ...]:
    """The figures of one peer."""
    return (
        f"{mine[0].watches:,}",
        text(spread(mine, attrgetter("kb_each")), 1),
        text(spread(mine, attrgetter("open_seconds")), 1),
        text(Spread.of(seconds for sample in mine for seconds in sample.event_seconds), 3),
        text(spread(mine, attrgetter("quiet_p99_ms")), 2),
        text(spread(mine, attrgetter("busy_p99_ms")), 2),
        text(spread(mine, attrgetter("slower")), 1),
        text(spread(mine, lambda sample: None if sample.kept_share is None else 100 * sample.kept_share), 0),
        text(spread(mine, attrgetter("second_wave")), 3),
    )


def spread(mine: Sequence[WatchSample], figure: Callable[[WatchSample], float | None]) -> Spread | None:
    """A figure over all rounds that have it."""
    return Spread.of(value for value in map(figure, mine) if value is not None)


def of_memory(samples: Sequence[MemorySample]) -> Table:
    """A row for each listener and peer."""
    rows = []
    for tls, peer in dict.fromkeys((sample.tls, sample.peer) for sample in samples):
        mine = [sample for sample in samples if (sample.tls, sample.peer) == (tls, peer) and sample.seconds >= 0]
        if not mine:
            continue
        slope = Slope.of(mine)
        told = f"{slope.kb_per_minute:+.0f} ± {slope.error:.0f}, {'flat' if slope.is_flat else 'not flat'}" if slope else ""
        ends = (f"{mine[0].resident_kb / 1024:.1f}", f"{mine[-1].resident_kb / 1024:.1f}")
        rows.append((listener(tls=tls), peer, f"{mine[-1].seconds / 60:.1f}", f"{mine[-1].answers:,}", *ends, told))
    headings = ("listener", "peer", "minutes", "answers", "MB at first", "MB at last", "KB a minute")
    return Table("Memory under mixed load, after warm-up", headings, tuple(rows), labels=2)


def listener(*, tls: bool) -> str:
    """Name of a kind of listener."""
    return "TLS" if tls else "plain"


def text(spread: Spread | None, digits: int) -> str:
    """Median, then lowest and highest round where there are several."""
    if spread is None:
        return ""
    if spread.low == spread.high:
        return f"{spread.median:,.{digits}f}"
    return f"{spread.median:,.{digits}f} ({spread.low:,.{digits}f}\N{EN DASH}{spread.high:,.{digits}f})"

"""Puts a run into docs: the tables between two marks of performance.md, the plots as SVG files beside it."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from statistics import median

from bench import plots, tables
from bench.figures import DIRECT, Sample, series
from bench.report import Results, markdown
from bench.scenarios import SCENARIOS

PAGE = "performance.md"
FOLDER = "plots"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
COMPARED = ("one", "many", "distinct", "unseen", "connections", "refused-401", "refused-403")
CARRIED = ("list", "download", "upload", "exec")
GROWTH = {scenario.name: scenario.growth for scenario in SCENARIOS if scenario.growth}


class NoPlace(Exception):
    """The page has not exactly one place for figures."""


def write(results: Results, docs: Path) -> list[Path]:
    """Replace the figures; returns the files written. Raises NoPlace before anything is changed, OSError."""
    page = docs / PAGE
    found = dict(drawn(results))
    new = replaced(page.read_text(), section(results, list(found)))
    (docs / FOLDER).mkdir(exist_ok=True)
    for name, plot in found.items():
        (docs / FOLDER / name).write_text(plot)
    page.write_text(new)
    return [page, *(docs / FOLDER / name for name in found)]


def replaced(page: str, figures: str) -> str:
    """The page with other figures between its marks; raises NoPlace."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise NoPlace(f"{PAGE} must have exactly one {BEGIN} and one {END} after it")
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def section(results: Results, names: Sequence[str]) -> str:
    """When, on what, with which versions; tables; plots; what has to be known."""
    machine, settings = results.machine, results.settings
    where = f"{machine['processor']} with {machine.get('cores', '?')} virtual cores, Linux {machine.get('kernel', '?')}"
    versions = {"Python": machine.get("python", "?")} | results.versions
    told = "\n".join(
        (
            f"{results.started[:10]}, commit {results.commit}, {where};",
            f"{', '.join(f'{name} {version}' for name, version in versions.items())};",
            f"{', '.join(f'{name} {value:g}' for name, value in settings.items())};",
            f"load average {machine.get('load_before', '?')} before the run.",
        )
    )
    remarks = "\n".join(f"- {remark}" for remark in results.remarks())
    pictures = "\n".join(f"![{name.removesuffix('.svg').replace('-', ' ')}]({FOLDER}/{name})" for name in names)
    return "\n\n".join(part for part in (told, remarks, markdown(results), pictures) if part)


def drawn(results: Results) -> Iterator[tuple[str, str]]:
    """Names and contents of the plots that a run has figures for."""
    for tls in (False, True):
        behind = tables.listener(tls=tls)
        mine = [sample for sample in results.samples if sample.tls == tls and sample.peer != DIRECT]
        yield from bar_plots(mine, behind)
        yield from growth_plots(mine, behind)
        kept = [sample for sample in results.watches if sample.tls == tls and sample.kb_each is not None]
        if kept:
            each = {sample.peer: median(other.kb_each or 0.0 for other in kept if other.peer == sample.peer) for sample in kept}
            yield f"watches-{behind}.svg".lower(), plots.bars(f"Memory of an idle watch, {behind}", "KB", {"watch": each})
        held = [sample for sample in results.memory if sample.tls == tls]
        if held:
            points = {
                peer: [(sample.seconds / 60, sample.resident_kb / 1024) for sample in held if sample.peer == peer]
                for peer in dict.fromkeys(sample.peer for sample in held)
            }
            title = f"Resident memory under mixed load, {behind}"
            yield f"memory-{behind}.svg".lower(), plots.lines(title, "MB", "minutes after warm-up", points)


def bar_plots(mine: Sequence[Sample], behind: str) -> Iterator[tuple[str, str]]:
    """CPU time by scenario, and bytes carried."""
    for name, title, unit, wanted, figure in (
        ("cpu", f"CPU time per request, {behind}", "µs", COMPARED, "cpu_us"),
        ("bytes", f"Bytes carried, {behind}", "MB per core second", CARRIED, "megabytes_per_core_second"),
    ):
        groups = {
            scenario: {peer: median(series(group, peer, attrgetter(figure)).values()) for peer in tables.peers(group)}
            for (scenario, _), group in tables.grouped(mine).items()
            if scenario in wanted
        }
        if groups:
            yield f"{name}-{behind}.svg".lower(), plots.bars(title, unit, groups)


def growth_plots(mine: Sequence[Sample], behind: str) -> Iterator[tuple[str, str]]:
    """CPU time over what grows."""
    for along in dict.fromkeys(name for name, _ in GROWTH.values()):
        grown = [sample for sample in mine if GROWTH.get(sample.scenario, ("", 0))[0] == along]
        found: dict[str, list[tuple[float, float]]] = {}
        for (scenario, _), group in tables.grouped(grown).items():
            for peer in tables.peers(group):
                place = float(GROWTH[scenario][1])
                found.setdefault(peer, []).append((place, median(series(group, peer, attrgetter("cpu_us")).values())))
        if any(len(points) > 1 for points in found.values()):
            title = f"CPU time per request over {along}, {behind}"
            yield f"growth-{along.split()[0]}-{behind}.svg".lower(), plots.lines(title, "µs", along, found, logarithmic=True)

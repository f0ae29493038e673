"""Command line of the bench."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import cpu, edge, envoy, report, scenarios
from bench.figures import Sample
from bench.rounds import MAKERS, Bench, Effort, Unusable, upstream

RESULTS = Path(__file__).resolve().parent / "results"
QUICK = ("one",)
USUAL = ("one", "many", "latency")
EFFORTS = {"quick": Effort(3, 0.8, 0.3), "usual": Effort(5, 1.2, 0.3), "full": Effort(10, 2.0, 0.5)}

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog="Example:  python -m bench --scenario one --scenario many --rounds 10")
def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One scenario, three rounds, under half a minute.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All scenarios, ten rounds.")] = False,
    scenario: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(s.name for s in scenarios.SCENARIOS)}.")
    ] = None,
    peer: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(MAKERS)}.")] = None,
    listener: Annotated[list[str] | None, typer.Option(help="Only these: plain, tls.")] = None,
    rounds: Annotated[int, typer.Option(min=0, max=100, help="How often each peer is measured; 0: as the mode says.")] = 0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """CPU time per proxied GET, and added latency, of mosk-proxy beside Envoy, in turn, over loopback only.

    The proxies are pinned to one core, load and upstream to another. Samples are kept as JSON in bench/results.
    """
    names = scenario or (QUICK if quick else [s.name for s in scenarios.SCENARIOS] if full else USUAL)
    effort = EFFORTS["quick" if quick else "full" if full else "usual"]
    if rounds:
        effort = Effort(rounds, effort.seconds, effort.warm_up_seconds)
    try:
        chosen = scenarios.named(names)
        results = run(chosen, effort, named(peer, tuple(MAKERS)), [kind == "tls" for kind in named(listener, ("plain", "tls"))])
    except KeyError as unknown:
        raise SystemExit(f"bench: there is no {unknown}; see --help") from None
    except Unusable as reason:
        raise SystemExit(f"bench: wrong answer, no figure of this run is shown: {reason}") from None
    print(report.markdown(results)) if markdown else report.show(results, Console(width=None if sys.stdout.isatty() else 230))
    print(f"samples: {os.path.relpath(report.write(results, RESULTS))}")
    if edge.NAME in results.missing:
        raise SystemExit(1)


def named(chosen: list[str] | None, known: tuple[str, ...]) -> list[str]:
    """The chosen names, all of them by default; raises KeyError naming one that does not exist."""
    for name in chosen or ():
        if name not in known:
            raise KeyError(name)
    return [name for name in known if not chosen or name in chosen]


def run(chosen: list[scenarios.Scenario], effort: Effort, peers: list[str], listeners: list[bool]) -> report.Results:
    """Measure; raises Unusable."""
    started, before = datetime.now(UTC).isoformat(timespec="seconds"), machine()
    samples: list[Sample] = []
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with upstream() as port, Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=sum(effort.rounds * (len(peers) + s.beside_direct) for s in chosen) * len(listeners))

        def told(sample: Sample) -> None:
            samples.append(sample)
            progress.update(task, advance=1, description=f"{sample.scenario} {'TLS' if sample.tls else 'plain'} {sample.peer}")

        bench = Bench(effort, port, peers, told)
        for scenario in chosen:
            for tls in listeners:
                bench.measure(scenario, tls=tls)
    if cpu.core(cpu.PROXY_CORE) == cpu.core(cpu.LOAD_CORE):
        bench.missing["a second core"] = "proxies, load and upstream shared one; latencies and requests/s say little"
    settings = {"rounds": effort.rounds, "seconds": effort.seconds, "connections": effort.connections}
    return report.Results(started, commit(), before, versions(), bench.missing, settings, samples)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "processor": cpu.model(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": f"{os.getloadavg()[0]:.1f}",
    }


def versions() -> dict[str, str]:
    """Versions of the peers and of what carries mosk-proxy's bytes."""
    carried = {name: version(name) for name in ("uvloop", "httptools")}
    return {edge.NAME: edge.installed_version(), "envoy": envoy.VERSION} | carried


def commit() -> str:
    """The working tree's commit, with `+` when files differ from it."""
    git = ["git", "-C", str(edge.ROOT)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changed else "")


if __name__ == "__main__":
    app()

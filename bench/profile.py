"""What one proxied GET costs mosk-proxy, counted instead of timed: the same on a busy machine.

    python -m bench.profile instructions          by shared object and C function (needs valgrind)
    python -m bench.profile calls                 Python and C functions called, by cProfile
    python -m bench.profile system-calls --tls    by name (needs strace)

Each figure is the difference between a long and a short run, divided by the difference of their requests: start-up, connections and
the first requests cancel out.
"""

import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from bench import edge, scenarios
from bench.client import Plan
from bench.identities import Issuer, write_certificate
from bench.peers import Broken, Peer, Running, running
from bench.rounds import BODY, Unusable, run_client, upstream
from bench.site import Site
from bench.workload import Workload

Counts: TypeAlias = dict[str, float]
SHORT, LONG = 500, 3000


class Kind(StrEnum):
    """What is counted."""

    INSTRUCTIONS = "instructions"
    CALLS = "calls"
    SYSTEM_CALLS = "system-calls"


class Subject:
    """A site and a workload to profile mosk-proxy with."""

    def __init__(self, folder: Path, scenario: scenarios.Scenario, upstream_port: int, *, tls: bool) -> None:
        issuer = Issuer()
        key_set_file = folder / "keys.json"
        key_set_file.write_text(issuer.key_set())
        self.site = Site(folder, scenario.clusters, upstream_port, key_set_file, *write_certificate(folder))
        self.workload: Workload = scenario.workload(issuer, scenario.clusters)
        self.tls = tls

    @contextmanager
    def proxy(self, wrap: Callable[[list[str]], Sequence[str]] = list) -> Iterator[Running]:
        """mosk-proxy running, its command line wrapped."""
        peer = Peer(edge.NAME, "", lambda port, tls: wrap(edge.command(self.site, port, tls=tls)))
        with running(peer, self.site.folder / "errors", self.site.certificate_file if self.tls else None, patience=300) as found:
            yield found

    def load(self, proxy: Running, requests: int) -> None:
        """Send so many requests over 32 connections."""
        ca_file = str(proxy.ca_file) if proxy.ca_file else None
        plan = Plan(
            proxy.port,
            BODY.decode(),
            self.workload,
            self.workload,
            seconds=600,
            warm_up_seconds=0,
            most=requests,
            ca_file=ca_file,
        )
        run_client(plan, edge.NAME)


def instructions(subject: Subject) -> Counts:
    """Instructions in user space by shared object and function, by callgrind."""
    out = subject.site.folder / "callgrind"
    valgrind = [tool("valgrind"), "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", "--"]
    with subject.proxy(lambda command: [*valgrind, *command]) as proxy:
        subject.load(proxy, SHORT)
        control("-i", "on", str(proxy.pid))
        dumps = []
        for number, requests in enumerate((SHORT, LONG), 1):
            subject.load(proxy, requests)
            control("-d", str(proxy.pid))
            dumps.append(costs(Path(f"{out}.{number}").read_text(errors="replace").splitlines()))
    return difference(*dumps)


def control(*orders: str) -> None:
    """Tell a running callgrind what to do."""
    subprocess.run([tool("callgrind_control"), *orders], check=True, capture_output=True)


def costs(lines: Iterable[str]) -> Counts:
    """Own cost of each function of a callgrind file, as `object function`. The format is in valgrind's manual, cl-format."""
    names: dict[tuple[str, str], str] = {}
    current = {"ob": "", "fn": ""}
    found: Counts = {}
    skip = False
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and key in ("ob", "fn", "cob", "cfn"):
            name = decompressed(names, key.removeprefix("c"), value)
            if key in current:
                current[key] = name
        elif key == "calls":
            skip = True
        elif line[:1] in "+-*0123456789" and line:
            if not skip:
                where = f"{Path(current['ob']).name} {current['fn']}"
                found[where] = found.get(where, 0) + float(line.split()[1])
            skip = False
    return found


def decompressed(names: dict[tuple[str, str], str], kind: str, value: str) -> str:
    """Resolve callgrind's name compression: `(7) name` defines, `(7)` refers."""
    number, _, name = value.partition(" ")
    if name:
        names[kind, number] = name
    return names.get((kind, number), value)


def calls(subject: Subject) -> Counts:
    """Calls of Python and C functions, by cProfile."""
    counted = []
    for requests in (SHORT, LONG):
        out = subject.site.folder / f"profile-{requests}"
        with subject.proxy(partial(under_cprofile, out)) as proxy:
            subject.load(proxy, requests)
        if not out.exists():
            raise Broken("mosk-proxy did not end by itself: no profile")
        stats = pstats.Stats(str(out)).stats  # type: ignore[attr-defined]  # typeshed leaves it out
        counted.append({f"{Path(file).name}:{line} {name}": float(figures[1]) for (file, line, name), figures in stats.items()})
    return difference(*counted)


def under_cprofile(out: Path, command: Sequence[str]) -> list[str]:
    """The same Python program, profiled from its first line to its last."""
    return [command[0], "-m", "cProfile", "-o", str(out), *command[1:]]


def system_calls(subject: Subject) -> Counts:
    """System calls by name, by strace."""
    counted = []
    with subject.proxy() as proxy:
        subject.load(proxy, SHORT)
        for requests in (SHORT, LONG):
            out = subject.site.folder / f"strace-{requests}"
            tracer = subprocess.Popen(
                [tool("strace"), "-f", "-c", "-p", str(proxy.pid), "-o", str(out)], stderr=subprocess.PIPE, text=True
            )
            try:
                time.sleep(0.5)
                subject.load(proxy, requests)
            finally:
                tracer.send_signal(2)
                tracer.wait()
            counted.append(strace_counts(out.read_text().splitlines()))
    return difference(*counted)


def strace_counts(lines: Iterable[str]) -> Counts:
    """The columns `calls` and `syscall` of strace's summary."""
    rows = (line.split() for line in lines)
    return {row[-1]: float(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}


def difference(short: Counts, long: Counts) -> Counts:
    """Per request."""
    return {name: (count - short.get(name, 0)) / (LONG - SHORT) for name, count in long.items()}


def tool(name: str) -> str:
    """Path of a program; raises Broken when it is not installed."""
    found = shutil.which(name)
    if not found:
        raise Broken(f"{name} is not installed")
    return found


COUNTERS: dict[Kind, Callable[[Subject], Counts]] = {
    Kind.INSTRUCTIONS: instructions,
    Kind.CALLS: calls,
    Kind.SYSTEM_CALLS: system_calls,
}
app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog="Example:  python -m bench.profile instructions --scenario many --top 40")
def profile(
    kind: Annotated[Kind, typer.Argument(help="What to count.")],
    *,
    tls: Annotated[bool, typer.Option("--tls", help="Behind a TLS listener.")] = False,
    scenario: Annotated[str, typer.Option(help="Whose requests to send.")] = "one",
    top: Annotated[int, typer.Option(help="How many lines to show.")] = 25,
) -> None:
    """What one proxied GET costs mosk-proxy in instructions, function calls or system calls."""
    try:
        [chosen] = scenarios.named([scenario])
        with upstream() as port, tempfile.TemporaryDirectory(prefix="mosk-proxy-bench-") as folder:
            show(kind, COUNTERS[kind](Subject(Path(folder), chosen, port, tls=tls)), top)
    except KeyError as unknown:
        raise SystemExit(f"bench: there is no scenario {unknown}") from None
    except (Broken, Unusable) as reason:
        raise SystemExit(f"bench: {reason}") from None


def show(kind: Kind, counts: Counts, top: int) -> None:
    """Print the total, for instructions the shared objects, and the dearest entries."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(f"{sum(counts.values()):,.1f} {kind.value} per request")
    if kind is Kind.INSTRUCTIONS:
        objects: Counts = {}
        for name, count in counts.items():
            place = name.partition(" ")[0]
            objects[place] = objects.get(place, 0) + count
        console.print(table("shared object", objects, 12))
    console.print(table("name", counts, top))


def table(heading: str, counts: Counts, top: int) -> Table:
    """The largest counts."""
    shown = Table(heading, "per request")
    shown.columns[1].justify = "right"
    for name, count in sorted(counts.items(), key=lambda item: -item[1])[:top]:
        shown.add_row(name, f"{count:,.2f}")
    return shown


if __name__ == "__main__":
    app()

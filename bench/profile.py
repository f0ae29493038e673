"""What one proxied GET costs mosk-proxy, counted instead of timed: the same on a busy machine.

    python -m bench.profile instructions          by shared object and C function (needs valgrind)
    python -m bench.profile calls                 Python and C functions called, by cProfile
    python -m bench.profile system-calls --tls    by name (needs strace)
    python -m bench.profile samples               where the time goes, by line and function (installs py-spy in the cache folder)

Samples are shares of the time; every other figure is the difference between a long and a short run, divided by the difference of their requests: start-up, connections and
the first requests cancel out.
"""

import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench import edge, scenarios, wheels
from bench.client import Plan
from bench.counts import Counts, costs, difference, own, strace_counts, within
from bench.identities import Issuer, write_certificate
from bench.peers import Broken, Missing, Peer, Running, running
from bench.processes import BODY, Unusable, run_client, upstream
from bench.site import Site
from bench.workload import User, Workload

SHORT, LONG = 500, 3000
BATCHES = 5  # of LONG requests, for samples
PY_SPY = "0.4.3"


class Kind(StrEnum):
    """What is counted."""

    INSTRUCTIONS = "instructions"
    CALLS = "calls"
    SYSTEM_CALLS = "system-calls"
    SAMPLES = "samples"


class Subject:
    """A site and a scenario to profile mosk-proxy with."""

    def __init__(self, folder: Path, scenario: scenarios.Scenario, upstream_port: int, *, tls: bool) -> None:
        self.issuer = Issuer()
        self.scenario = scenario
        self.tls = tls
        key_set_file = self.issuer.write_keys(folder)
        self.site = Site(folder, scenario.clusters, upstream_port, key_set_file, *write_certificate(folder))
        self.known = scenarios.one(self.issuer, scenario.clusters)
        self.workload = scenario.workload(self.issuer, scenario.clusters)

    @contextmanager
    def proxy(self, wrap: Callable[[list[str]], Sequence[str]] = list) -> Iterator[Running]:
        """mosk-proxy running, its command line wrapped."""
        peer = Peer(edge.NAME, "", lambda port, tls: wrap(edge.command(self.site, port, tls=tls)))
        with running(peer, self.site.folder / "errors", self.site.certificate_file if self.tls else None, patience=300) as found:
            yield found

    def load(self, proxy: Running, requests: int, workload: Workload | None = None) -> None:
        """Send so many requests over 32 connections, and one more on each before."""
        plan = Plan(
            port=proxy.port,
            body=BODY.decode(),
            warm_up=self.known,
            measured=workload or self.prepared(requests),
            seconds=600,
            warm_up_seconds=0,
            most=requests,
            ca_file=str(proxy.ca_file) if proxy.ca_file else None,
        )
        run_client(plan, edge.NAME)

    def prepared(self, requests: int) -> Workload:
        """The scenario's workload; where tokens must be new, one for each request."""
        if not self.scenario.fresh:
            return self.workload
        users: list[User] = []
        while len(users) < requests:
            users += self.scenario.workload(self.issuer, self.scenario.clusters).users
        return Workload(users[:requests], self.workload.path_lists, once=True)


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
    return difference(dumps[0], dumps[1], LONG - SHORT)


def control(*orders: str) -> None:
    """Tell a running callgrind what to do."""
    subprocess.run([tool("callgrind_control"), *orders], check=True, capture_output=True)


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
    return difference(counted[0], counted[1], LONG - SHORT)


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
    return difference(counted[0], counted[1], LONG - SHORT)


def samples(subject: Subject) -> list[str]:
    """Stacks of the main thread while it answers, by py-spy."""
    sampler = wheels.program("py-spy", PY_SPY, "bin/py-spy")
    out = subject.site.folder / "stacks"
    with subject.proxy() as proxy:
        batches = [subject.prepared(LONG) for _ in range(BATCHES)]
        subject.load(proxy, LONG)
        command = [
            str(sampler),
            "record",
            "--pid",
            str(proxy.pid),
            "--rate",
            "500",
            "--duration",
            "4",
            "--format",
            "raw",
            "--output",
            str(out),
        ]
        recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with recorder:
            while recorder.poll() is None and batches:
                subject.load(proxy, LONG, batches.pop())
            if recorder.returncode and recorder.stderr:
                raise Broken(f"py-spy: {recorder.stderr.read().strip()}")
    return out.read_text().splitlines()


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
    """What one proxied GET costs mosk-proxy in instructions, function calls or system calls, or where its time goes."""
    try:
        chosen = of_gets(scenario)
        with upstream() as port, tempfile.TemporaryDirectory(prefix="mosk-proxy-bench-") as folder:
            subject = Subject(Path(folder), chosen, port, tls=tls)
            tables = sampled(samples(subject)) if kind is Kind.SAMPLES else counted(kind, COUNTERS[kind](subject))
    except KeyError as unknown:
        raise SystemExit(f"bench: there is no scenario {unknown}") from None
    except (Broken, Missing, Unusable) as reason:
        raise SystemExit(f"bench: {reason}") from None
    console = Console(width=None if sys.stdout.isatty() else 160)
    for heading, counts in tables.items():
        console.print(table(heading, counts, top))


def of_gets(name: str) -> scenarios.Scenario:
    """A scenario by name; raises KeyError, and Broken for one that is not made of requests which this module can send."""
    [chosen] = scenarios.named([name])
    if chosen.way is not scenarios.Way.REQUESTS or chosen.status != 200:
        raise Broken(f"{name} is not made of GETs that are let through")
    return chosen


def sampled(stacks: Sequence[str]) -> dict[str, Counts]:
    """Shares of the time, own and within."""
    return {"% of the time in this line": own(stacks), "% of the time in or below this function": within(stacks)}


def counted(kind: Kind, counts: Counts) -> dict[str, Counts]:
    """Counts per request, instructions by shared object as well."""
    heading = f"{sum(counts.values()):,.1f} {kind.value} per request"
    if kind is not Kind.INSTRUCTIONS:
        return {heading: counts}
    objects: Counts = {}
    for name, count in counts.items():
        place = name.partition(" ")[0]
        objects[place] = objects.get(place, 0) + count
    return {heading: objects, "by function": counts}


def table(heading: str, counts: Counts, top: int) -> Table:
    """The largest counts."""
    shown = Table(heading, "")
    shown.columns[1].justify = "right"
    for name, count in sorted(counts.items(), key=lambda item: -item[1])[:top]:
        shown.add_row(escape(name), f"{count:,.2f}")
    return shown


if __name__ == "__main__":
    app()

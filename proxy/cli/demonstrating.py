"""What `demo` does: the surroundings, the proxy between them and the users, and the tour through its answers."""

import asyncio
import os
import shlex
import signal
from collections.abc import Sequence

import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy import app, settings
from proxy.cli.main import INTERRUPTED
from proxy.demo.people import PEOPLE
from proxy.demo.run import Demonstration, demonstration
from proxy.demo.tour import Answer, answers_table, questions_table, surprises, take

_WIDE = 120  # the longest row of any table fits
_PIPE_WIDTH = 160  # no cell of a table is folded where nobody can widen the window


def run_demo(port: int, *, stay: bool) -> int:
    """Run the demonstration with the proxy on a port of 127.0.0.1; with `stay` until SIGINT or SIGTERM, else for one tour.

    Returns the exit status; raises OSError if the port is taken.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signalled(port, stay=stay))


async def _until_signalled(port: int, *, stay: bool) -> int:
    async with asyncio.TaskGroup() as group:
        work = group.create_task(_demonstrate(_console(), port, stay=stay), name="demonstration")
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    if work.cancelled():
        return 0 if stay else INTERRUPTED
    return work.result()


async def _demonstrate(console: Console, port: int, *, stay: bool) -> int:
    async with demonstration(port) as running, app.running(settings.load(running.config_file)) as proxy:
        if stay:
            _introduce(console, running, proxy.admin_url)
        with Console(stderr=True).status("taking the tour"):
            answers = await take(running.proxy_url, running.trust(), running.tokens)
        is_as_expected = _show_tour(console, answers)
        if not stay:
            return 0 if is_as_expected else 1
        _say(console, f"\nready: {running.proxy_url}/ (Ctrl-C ends the demonstration and removes its files)")
        await asyncio.Event().wait()
    return 0


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _say(console: Console, line: str) -> None:
    # Never folded: lines are copied from the terminal to a shell.
    console.print(line, soft_wrap=True, markup=False)


def _introduce(console: Console, running: Demonstration, admin_url: str) -> None:
    for name, value in (
        ("portal", f"{running.proxy_url}/"),
        ("provider", running.issuer),
        ("metrics", f"{admin_url}/metrics"),
        ("configuration", str(running.config_file)),
        ("audit lines", str(running.audit_file)),
    ):
        _say(console, f"{name:<14}{value}")
    console.print("\n[bold]Sample users[/], whose password is their name\n")
    console.print(_users_table(is_wide=console.width >= _WIDE))
    console.print("\n[bold]Try[/], in another terminal\n")
    for line in _examples(running):
        _say(console, f"  {line}")


def _examples(running: Demonstration) -> Sequence[str]:
    return (
        f"export KUBECONFIG={shlex.quote(os.fspath(running.kubeconfig_file))}",
        "kubectl --context team-a-writer@kaas get clusters,machines",
        "kubectl --context team-a-writer@team-a/prod get pods -A",
        "kubectl --context team-b-writer@team-a/prod get pods -A          # refused: another project's cluster",
        "kubectl --context team-a-reader@kaas -n team-a get secrets       # refused, with the roles that would help",
    )


def _users_table(*, is_wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("user", "roles", "may") if is_wide else ("user", "may, by its roles"):
        table.add_column(heading)
    for person in PEOPLE:
        roles = Text("\n".join(person.roles) or "-", style="dim")
        cells = (roles, person.can) if is_wide else (Text(f"{person.can}\n").append_text(roles),)
        table.add_row(person.username, *cells)
    return table


def _show_tour(console: Console, answers: Sequence[Answer]) -> bool:
    """Whether every answer was the expected one."""
    console.print("\n[bold]Tour[/]: what the running proxy answers, all writes being dry runs\n")
    console.print(questions_table(is_wide=console.width >= _WIDE))
    console.print()
    console.print(answers_table(answers))
    console.print("\n[green]2xx[/] allowed   [red]403[/] refused   [red]401[/] not signed in   ! not what the policy says")
    unexpected = surprises(answers)
    for line in unexpected:
        _say(console, line)
    total = len(answers)
    _say(console, f"{total} answers, {len(unexpected) or 'none'} not as expected")
    return not unexpected

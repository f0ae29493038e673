"""Joins the commands. The module of the called command is imported, and those of all for `--help` alone."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Annotated

import typer

from proxy import __version__
from proxy.client.errors import ClientError

PROGRAM = "mosk-proxy"
INTERRUPTED = 130

_COMMANDS = {
    "demo": "proxy.cli.demo:demo",
    "serve": "proxy.cli.serve:serve",
    "check": "proxy.cli.check:check",
    "explain": "proxy.cli.explain:explain",
    "login": "proxy.cli.login:login",
    "token": "proxy.cli.token:token",
    "logout": "proxy.cli.logout:logout",
    "kubeconfig": "proxy.cli.kubeconfig:kubeconfig",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; whatever fails is told in one line each on standard error."""
    given = list(arguments) or ["--help"]
    called = next((argument for argument in given if not argument.startswith("-")), "")
    try:
        outcome = _application(called)(given, prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        _complain(_usage(error))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (ClientError, OSError, ImportError, ExceptionGroup) as error:
        for line in _causes(error):
            _complain(line)
        return 1
    return outcome if isinstance(outcome, int) else 0


def _application(called: str) -> typer.Typer:
    application = typer.Typer(
        name=PROGRAM,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        epilog=f"Example: {PROGRAM} demo",
    )
    application.callback()(_options)
    for name in [called] if called in _COMMANDS else _COMMANDS:
        module, _, function = _COMMANDS[name].partition(":")
        if find_spec(module) is not None:
            application.command(name)(getattr(importlib.import_module(module), function))
    return application


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The one door to a MOSK installation: who asks, what is asked, and whether MOSK's roles allow it."""


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = PROGRAM if context is None else context.command_path
    return f"{' '.join(error.format_message().split())} (see {command} --help)"


def _causes(error: Exception) -> Iterator[str]:
    match error:
        case ExceptionGroup():
            for cause in error.exceptions:
                yield from _causes(cause)
        case OSError(filename=str(filename), strerror=str(reason)):
            yield f"{filename}: {reason}"
        case _:
            yield str(error) or type(error).__name__


def _complain(line: str) -> None:
    print(f"{PROGRAM}: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201 - what a command line is for

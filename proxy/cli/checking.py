"""What `check` prints, and how any command tells that a configuration is unusable."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import typer

from proxy.cli.online import ask
from proxy.settings import Problem, Settings, SettingsError, load
from proxy.settings.risks import risks
from proxy.settings.rooms import directory, discovery_watch


def load_or_complain(config: Path) -> Settings | None:
    """Return the settings, or None once every problem was printed, one a line."""
    try:
        return load(config)
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(problem.shown(config), err=True)
        return None


def warn(config: Path, settings: Settings) -> None:
    """Print what is legal and yet worth a second thought, one a line."""
    for problem in risks(settings, datetime.now(UTC)):
        typer.echo(Problem(problem.path, f"warning: {problem.message}").shown(config), err=True)


def report(config: Path, *, online: bool) -> int:
    """Print all that is wrong and return 1, or what the file amounts to and return 0."""
    settings = load_or_complain(config)
    if settings is None:
        return 1
    problems = ask(settings) if online else []
    for problem in problems:
        typer.echo(problem.shown(config), err=True)
    if problems:
        return 1
    typer.echo(f"{config}: ok")
    for line in _summary(settings):
        typer.echo(f"  {line}")
    return 0


def _summary(settings: Settings) -> Iterator[str]:
    listen = settings.listen
    known = directory(settings)
    yield f"entry: {settings.public_url}, listening on {listen.address} port {listen.port}, {'TLS' if listen.tls else 'plain HTTP'}"
    yield f"issuers: {', '.join(issuer.issuer for issuer in settings.issuers)}"
    yield (
        f"targets: {'management API' if known.management else 'no management API'}, "
        f"{len(known.cluster_apis)} child cluster APIs, {len(known.applications)} StackLight applications"
    )
    watch = discovery_watch(settings)
    if watch is not None:
        yield f"discovery: Cluster objects of {watch.url}, servers in {', '.join(settings.discovery.allowed_hosts) or 'no network'}"
    for problem in risks(settings, datetime.now(UTC)):
        yield f"warning: {problem.path}: {problem.message}"

"""`mosk-proxy kubeconfig`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PluginName(StrEnum):
    """Who gets the tokens for kubectl."""

    OWN = "mosk-proxy"
    KUBELOGIN = "kubelogin"


def kubeconfig(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="The entry; may be left out when there is only one.")] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="NS/NAME", help="A cluster, or kaas for the management API; repeat it."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that your roles reach.")] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="With --all: remove this entry's contexts whose cluster is gone or not yours any more."),
    ] = False,
    plugin: Annotated[PluginName, typer.Option("--plugin", help="Who gets the tokens for kubectl.")] = PluginName.OWN,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="The entry's authority, if not as given at the sign-in.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--kubeconfig", metavar="FILE", help="Another file than the first of KUBECONFIG, or ~/.kube/config."),
    ] = None,
) -> int:
    """Write contexts for this entry into a kubeconfig; what others have put there stays, and the file before is kept as .bak.

    \b
    Example:
      mosk-proxy kubeconfig --all --prune
      mosk-proxy kubeconfig --cluster team-a/prod --cluster kaas
    """
    if every == bool(cluster):
        raise typer.BadParameter("give one of them", param_hint="--cluster, --all")
    if prune and not every:
        raise typer.BadParameter("needs --all, which alone knows what is gone", param_hint="--prune")
    from proxy.cli.writing_kubeconfig import Selection, write_kubeconfig  # noqa: PLC0415 - the help must not wait for it
    from proxy.client.user import User  # noqa: PLC0415

    return write_kubeconfig(
        User.of_this_process(), url, Selection(every, tuple(cluster or ()), prune, plugin.value, ca_file, file)
    )

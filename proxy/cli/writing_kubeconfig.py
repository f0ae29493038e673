"""What `kubeconfig` does: which targets are wanted, and the file brought up to date."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from ruamel.yaml.comments import CommentedMap

from proxy.client.authority import read_authority
from proxy.client.cluster_list import Listing, list_clusters
from proxy.client.credential import current_login
from proxy.client.id_token import roles_of, unverified_claims
from proxy.client.kubeconfig_document import Wanted, present_targets, prune, update
from proxy.client.kubeconfig_file import edit, kubeconfig_file
from proxy.client.kubeconfig_user import Plugin, exec_plugin
from proxy.client.logins import Login, Tokens
from proxy.client.refreshing import refreshed
from proxy.client.targets import Reach, parse_target
from proxy.client.user import User
from proxy.client.web import web
from proxy.routing.target import ClusterRef


@dataclass(frozen=True, slots=True)
class Selection:
    """Which contexts are written, and how; `file` and `ca_file` are None for what is usual."""

    every: bool
    clusters: tuple[str, ...] = ()
    prunes: bool = False
    plugin: Plugin = "mosk-proxy"
    ca_file: Path | None = None
    file: Path | None = None


def write_kubeconfig(user: User, url: str | None, selection: Selection) -> int:
    """Write contexts and return the exit status, 1 when something could not be listed; raises ClientError and OSError."""
    logins = user.logins
    entry = logins.entry(url)
    asked = tuple(map(parse_target, selection.clusters))
    login, tokens = current_login(logins, entry, refreshed)
    reach = Reach(roles_of(unverified_claims(tokens.id_token)))
    listing = _list(login, tokens, reach) if selection.every else Listing()
    targets = _everything(reach, listing) if selection.every else asked
    _warn(reach, listing, asked)
    wanted = Wanted(entry, targets, exec_plugin(login, selection.plugin), _authority(login, selection), reach.only_project())
    path = selection.file or kubeconfig_file(user.environment, user.home)

    def change(document: CommentedMap) -> tuple[tuple[str, ...], tuple[str, ...]]:
        names = update(document, wanted)
        unknown = (ref for ref in present_targets(document, entry) if ref is not None and not listing.covers(ref))
        return names, prune(document, entry, (*targets, *unknown)) if selection.prunes else ()

    (names, gone), is_changed = edit(path, change)
    _tell(path, names, gone, is_changed=is_changed)
    _propose(names, targets)
    return 1 if listing.unknown else 0


def _list(login: Login, tokens: Tokens, reach: Reach) -> Listing:
    async def listed() -> Listing:
        async with web(login.authority) as client:
            return await list_clusters(client, login.entry.url, tokens.id_token, reach)

    with Console(stderr=True).status("asking which clusters there are"):
        return asyncio.run(listed())


def _everything(reach: Reach, listing: Listing) -> tuple[ClusterRef | None, ...]:
    clusters = {*reach.named_clusters(), *reach.of_listed(listing.clusters)}
    ordered = sorted(clusters, key=lambda ref: (ref.namespace, ref.name))
    return (*ordered, None) if reach.has_management_api() else tuple(ordered)


def _authority(login: Login, selection: Selection) -> str | None:
    pem = login.authority if selection.ca_file is None else read_authority(selection.ca_file)
    return None if pem is None else base64.b64encode(pem.encode()).decode()


def _warn(reach: Reach, listing: Listing, asked: Sequence[ClusterRef | None]) -> None:
    for project, reason in listing.unknown:
        typer.echo(f"mosk-proxy: the clusters of {project or 'all projects'} could not be listed: {reason}", err=True)
    for ref in asked:
        if ref is not None and not reach.cluster(ref):
            typer.echo(f"mosk-proxy: your roles do not reach {ref}, by the permissions that are shipped", err=True)


def _tell(path: Path, names: Sequence[str], gone: Sequence[str], *, is_changed: bool) -> None:
    typer.echo(f"{path}: {'written' if is_changed else 'nothing to change'}")
    for name in names:
        typer.echo(f"  {name}")
    for name in gone:
        typer.echo(f"  {name} (removed)")


def _propose(names: Sequence[str], targets: Sequence[ClusterRef | None]) -> None:
    if names:
        typer.echo(f"try: kubectl --context {names[0]} get {'namespaces' if targets[0] is None else 'pods -A'}")
    else:
        typer.echo("your roles reach no Kubernetes API here; mosk-proxy explain says which would")

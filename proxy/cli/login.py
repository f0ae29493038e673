"""`mosk-proxy login`."""

from pathlib import Path
from typing import Annotated

import typer


def login(
    url: Annotated[str | None, typer.Argument(metavar="URL", help="The entry; may be left out when there is only one.")] = None,
    issuer: Annotated[
        str | None, typer.Option("--issuer", metavar="URL", help="The OpenID issuer; needed once, remembered from then on.")
    ] = None,
    client_id: Annotated[
        str | None,
        typer.Option("--client-id", metavar="ID", help="The public client to sign in with, remembered; kaas when never given."),
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="NAME", help="A scope beside openid and profile; repeat it.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", metavar="FILE", help="Authorities of the entry and the issuer that the system does not know."),
    ] = None,
    device: Annotated[bool, typer.Option("--device", help="Sign in with a browser on another machine.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address and open nothing.")] = False,
    redirect_uri: Annotated[
        str | None,
        typer.Option(
            "--redirect-uri", metavar="URI", help="Where the browser comes back to, if the issuer insists: http://localhost:8000/"
        ),
    ] = None,
    no_kubeconfig: Annotated[
        bool, typer.Option("--no-kubeconfig", help="Do not write contexts for what your roles reach into the kubeconfig.")
    ] = False,
) -> int:
    """Sign in to an entry, keep the tokens, and write a kubeconfig context for each cluster that your roles reach.

    \b
    Example:
      mosk-proxy login https://entry.example --issuer https://keycloak.example/auth/realms/iam
    """
    from proxy.cli.logging_in import Wishes, log_in  # noqa: PLC0415 - the help must not wait for it
    from proxy.client.user import User  # noqa: PLC0415

    wishes = Wishes(
        url=url,
        issuer=issuer,
        client_id=client_id,
        scopes=None if scope is None else tuple(scope),
        ca_file=ca_file,
        by_device=device,
        opens_browser=not no_browser,
        redirect_uri=redirect_uri,
        writes_kubeconfig=not no_kubeconfig,
    )
    return log_in(User.of_this_process(), wishes)

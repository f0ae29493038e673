"""`mosk-proxy demo`."""

from typing import Annotated

import typer

DEFAULT_PORT = 8443


def demo(
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help=f"Port of the proxy on 127.0.0.1, 0 for a free one. Without it {DEFAULT_PORT}, with --tour a free one.",
        ),
    ] = None,
    tour: Annotated[
        bool,
        typer.Option(
            "--tour", help="Print what the proxy answers to every sample user, and end: 0 if all as the policy says, else 1."
        ),
    ] = False,
) -> int:
    """Run everything embedded on loopback: an OpenID provider with sample users, Kubernetes APIs, StackLight, and the proxy.

    \b
    Example:
      mosk-proxy demo
    """
    from proxy.cli.demonstrating import run_demo  # noqa: PLC0415 - the help must not wait for the whole proxy

    free_with_tour = 0 if tour else DEFAULT_PORT
    return run_demo(free_with_tour if port is None else port, stay=not tour)

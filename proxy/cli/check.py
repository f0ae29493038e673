"""`mosk-proxy check`."""

from pathlib import Path
from typing import Annotated

import typer


def check(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration file.")],
    online: Annotated[bool, typer.Option("--online", help="Also ask issuers and upstreams, five seconds each.")] = False,
) -> int:
    """Validate a configuration and print every problem with its path.

    \b
    Example:
      mosk-proxy check --config /etc/mosk-proxy/mosk-proxy.yaml --online
    """
    from proxy.cli.checking import report  # noqa: PLC0415 - the help must not wait for the settings model

    return report(config, online=online)

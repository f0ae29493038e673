"""`mosk-proxy serve`."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration file.")],
) -> int:
    """Serve what a configuration says; SIGTERM drains, SIGHUP reloads.

    \b
    Example:
      mosk-proxy serve --config /etc/mosk-proxy/mosk-proxy.yaml
    """
    from proxy.cli.checking import load_or_complain, warn  # noqa: PLC0415 - the help must not wait for the settings model

    settings = load_or_complain(config)
    if settings is None:
        return 1
    warn(config, settings)
    from proxy import app  # noqa: PLC0415 - the whole proxy is imported only when it is going to run

    return app.serve(settings, config)

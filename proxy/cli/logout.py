"""`mosk-proxy logout`."""

from typing import Annotated

import typer


def logout(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="The entry; may be left out when there is only one.")] = None,
) -> int:
    """Remove the tokens of a sign-in from this machine, and end the session at the issuer where it offers that.

    \b
    Example:
      mosk-proxy logout https://entry.example
    """
    from proxy.cli.logging_out import log_out  # noqa: PLC0415 - the help must not wait for it
    from proxy.client.user import User  # noqa: PLC0415

    return log_out(User.of_this_process(), url)

"""`mosk-proxy token`."""

from typing import Annotated

import typer


def token(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="The entry; may be left out when there is only one.")] = None,
) -> int:
    """Print the token of a sign-in as an ExecCredential for kubectl, refreshed if need be; never asks anything.

    \b
    Example:
      mosk-proxy token https://entry.example
    """
    from proxy.cli.printing_token import print_token  # noqa: PLC0415 - the help must not wait for it

    return print_token(url)

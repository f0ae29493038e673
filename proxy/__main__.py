"""`python -m proxy`, and the entry point of `mosk-proxy`."""

import sys
from collections.abc import Sequence

_INTERRUPTED = 130
_WITH_URL = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["token"] and len(given) <= _WITH_URL and not any(argument.startswith("-") for argument in given):
        # kubectl runs it at each call: typer alone would take longer than the rest.
        return _token(*given[1:])
    from proxy.cli.main import run  # noqa: PLC0415

    return run(given)


def _token(url: str | None = None) -> int:
    try:
        from proxy.cli.printing_token import print_token  # noqa: PLC0415

        return print_token(url)
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

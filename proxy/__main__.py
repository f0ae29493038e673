"""`python -m proxy`, and the entry point of `mosk-proxy`."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    match given:
        case ["token", *rest] if len(rest) <= 1 and not any(argument.startswith("-") for argument in rest):
            # kubectl runs it at each call: typer alone would take longer than the rest.
            from proxy.cli.printing_token import print_token  # noqa: PLC0415

            return print_token(rest[0] if rest else None)
        case _:
            from proxy.cli.main import run  # noqa: PLC0415

            return run(given)


if __name__ == "__main__":
    sys.exit(main())

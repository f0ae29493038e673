"""`python -m proxy`, and the entry point of `mosk-proxy`."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    from proxy.cli.main import run  # noqa: PLC0415 - what must start fast is dispatched here, before typer is imported

    return run(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())

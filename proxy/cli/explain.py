"""`mosk-proxy explain`."""

from pathlib import Path
from typing import Annotated

import typer


def explain(
    method: Annotated[str | None, typer.Argument(metavar="METHOD", help="The HTTP method, such as GET.")] = None,
    url: Annotated[str | None, typer.Argument(metavar="URL", help="A path with its query, or a whole URL.")] = None,
    role: Annotated[list[str] | None, typer.Option("--role", metavar="ROLE", help="A role of the token; repeat it.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", exists=True, dir_okay=False, help="The configuration file.")
    ] = None,
    permissions: Annotated[
        Path | None, typer.Option("--permissions", metavar="FILE", exists=True, dir_okay=False, help="Another permission table.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
    batch: Annotated[
        Path | None,
        typer.Option(
            "--batch",
            metavar="FILE",
            help='Questions, one JSON object a line: {"roles": [ROLE, ...], "method": METHOD, "url": URL}; - is standard input.',
        ),
    ] = None,
) -> int:
    """Say whether roles allow a request, and why, or which roles would; exit 0 allowed, 1 denied, 2 usage.

    Without --config every cluster of project `default` counts as the management cluster. Whether a cluster exists is never asked.

    \b
    Example:
      mosk-proxy explain --role m:kaas:team-a@reader GET /kaas/api/v1/namespaces/team-a/secrets
    """
    from proxy.cli.explaining import Questions, answer_batch, answer_one  # noqa: PLC0415 - the help must not wait for the table

    if batch is not None:
        if method is not None or url is not None or role:
            raise typer.BadParameter(
                "takes roles, methods and URLs from its lines, not from the command line", param_hint="--batch"
            )
        if str(batch) != "-" and (batch.is_dir() or not batch.exists()):
            raise typer.BadParameter(f"{batch} is not a file", param_hint="--batch")
    elif method is None or url is None:
        raise typer.BadParameter("both are needed, or --batch", param_hint="METHOD URL")
    questions = Questions.load(config, permissions)
    if questions is None:
        return 2
    if batch is not None:
        return answer_batch(questions, batch)
    return answer_one(questions, role or [], method or "", url or "", as_json=as_json)

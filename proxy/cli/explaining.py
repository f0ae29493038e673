"""What `explain` judges with, and how it answers one question or a batch of them."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import typer

from proxy.errors import Malformed, RequestError
from proxy.policy.explanation import Explanation, explain
from proxy.policy.permissions import Permissions, PermissionsError, load_permissions, shipped_permissions_text
from proxy.policy.policy import SYSTEM_NAMESPACES, Policy
from proxy.policy.roles import RoleSet
from proxy.routing.paths import split_target
from proxy.routing.routes import Routes
from proxy.routing.target import ClusterRef

_ROLE_SETS_KEPT = 4096


class _Question(msgspec.Struct):
    method: str
    url: str
    roles: list[Any] | None = None


@lru_cache(maxsize=_ROLE_SETS_KEPT)
def _role_set(strings: tuple[str, ...]) -> RoleSet:
    return RoleSet.from_strings(strings)


@dataclass(frozen=True, slots=True)
class Questions:
    """A policy to ask; `routes` are those of a configuration, whose hosts are checked, or None."""

    policy: Policy
    routes: Routes | None
    _any_host: Routes = field(default=Routes(frozenset(), None), repr=False)

    @classmethod
    def load(cls, config: Path | None, permissions: Path | None) -> "Questions | None":
        """Read the files that were named, or complain about them, one problem a line, and return None."""
        system, management, routes = frozenset(SYSTEM_NAMESPACES), None, None
        if config is not None:
            from proxy.cli.checking import load_or_complain  # noqa: PLC0415 - the settings model takes longer than the answer
            from proxy.settings.rooms import routes as routes_of  # noqa: PLC0415

            settings = load_or_complain(config)
            if settings is None:
                return None
            system, routes = frozenset(settings.policy.system_namespaces), routes_of(settings)
            named = settings.management.cluster if settings.management else None
            management = ClusterRef(*named.split("/", 1)) if named else None
            permissions = permissions or settings.policy.permissions_file
        table = _load_or_complain(permissions)
        return None if table is None else cls(Policy(table, system, management), routes)

    def answer(self, roles: RoleSet, method: str, url: str) -> Explanation:
        """Answer for any method and any URL."""
        target = url.encode("utf-8", "surrogatepass")
        try:
            if self.routes is None:
                asked = self._any_host.resolve(method, None, target)
            else:
                host = None if target.startswith(b"/") else split_target(target).authority
                asked = self.routes.resolve(method, host, target)
        except RequestError as error:
            return explain(self.policy, roles, error)
        return explain(self.policy, roles, asked)

    def answer_line(self, line: bytes) -> Explanation:
        """Answer one line of a batch; a line that is no question is a malformed request."""
        try:
            question = _read(line)
        except (ValueError, RecursionError):
            nobody = RoleSet.from_strings(())
            return explain(self.policy, nobody, Malformed('the line is not {"roles": [ROLE, ...], "method": METHOD, "url": URL}'))
        roles = _role_set(tuple(role for role in question.roles or () if isinstance(role, str)))
        return self.answer(roles, question.method, question.url)


def _read(line: bytes, decoder: msgspec.json.Decoder[_Question] = msgspec.json.Decoder(_Question)) -> _Question:  # noqa: B008 - made once
    try:
        return decoder.decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # A lone surrogate is legal JSON, which the faster parser refuses.
        return msgspec.convert(json.loads(line), _Question)


def _load_or_complain(file: Path | None) -> Permissions | None:
    try:
        if file is None:
            return load_permissions(shipped_permissions_text(), "the shipped permission table")
        return load_permissions(file.read_text(encoding="utf-8"), str(file))
    except UnicodeDecodeError:
        typer.echo(f"{file}: is not UTF-8", err=True)
    except PermissionsError as error:
        typer.echo(str(error), err=True)
    return None


def answer_one(questions: Questions, roles: list[str], method: str, url: str, *, as_json: bool) -> int:
    """Print one answer and return 0 when it is yes, 1 when it is no."""
    explanation = questions.answer(RoleSet.from_strings(roles), method, url)
    if as_json:
        typer.echo(msgspec.json.encode(explanation))
    else:
        for line in _in_words(explanation):
            typer.echo(line)
    return 0 if explanation.allowed else 1


def _in_words(explanation: Explanation) -> Iterator[str]:
    yield f"{'allowed' if explanation.allowed else 'denied'} ({explanation.status}): {explanation.reason}"
    if explanation.target is not None:
        yield f"  target       {explanation.target}"
    if explanation.surface is not None:
        yield f"  surface      {explanation.surface}, {explanation.verb}"
    if explanation.granted_by is not None:
        yield f"  granted by   {explanation.granted_by}"
    for role in explanation.through:
        yield f"  through      {role}"
    for role in explanation.would_grant:
        yield f"  would grant  {role}"


def answer_batch(questions: Questions, file: Path) -> int:
    """Answer every line in order, one JSON object a line; at a pipe each answer is written before the next line is read."""
    write, encode = sys.stdout.buffer.write, msgspec.json.Encoder().encode
    is_pipe = str(file) == "-"
    with _lines(file) as lines:
        for line in lines:
            write(encode(questions.answer_line(line)) + b"\n")
            if is_pipe:
                sys.stdout.buffer.flush()
    sys.stdout.buffer.flush()
    return 0


@contextmanager
def _lines(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
    else:
        with file.open("rb") as opened:
            yield opened

"""Reads a line of shell: words with their quoting, redirections, pipes, and what joins them.

No loops, no globs, no command substitution: enough for a demonstration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\\\n|(?<!\S)\#[^\n]*)
      | (?P<operator>&&|\|\||[;\n|])
      | (?P<redirect>[12]?>&[12]|[12]?>>|[12]?>|<)
      | (?P<single>'[^']*')
      | (?P<double>"(?:\\.|[^"\\])*")
      | (?P<escaped>\\.)
      | (?P<plain>[^\s;|&<>'"\\]+)""",
    re.VERBOSE | re.DOTALL,
)
_EXPANSION = re.compile(r"""\\([\\"$`])|\$(\w+|\{\w+\}|\?|\$|\#)""")


@dataclass(frozen=True, slots=True)
class Word:
    """Parts as (text, whether variables in it are replaced)."""

    parts: tuple[tuple[str, bool], ...]

    def expand(self, variables: Mapping[str, str]) -> str:
        """The word with variables replaced; unset ones are empty."""

        def replaced(found: re.Match[str]) -> str:
            return found[1] or variables.get(found[2].strip("{}"), "")

        return "".join(_EXPANSION.sub(replaced, text) if expands else text for text, expands in self.parts)


@dataclass(frozen=True, slots=True)
class Redirect:
    """`operator` as written (`>`, `2>>`, `<`, `>&2`); the last form has no target."""

    operator: str
    target: Word | None


@dataclass(slots=True)
class Simple:
    """One command of a pipeline."""

    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    """`joint` is what stands before it: `;`, `&&` or `||`."""

    joint: str
    commands: list[Simple] = field(default_factory=lambda: [Simple()])


class SyntaxProblem(Exception):
    """The text is no shell that is understood here."""


def parse(script: str) -> list[Pipeline]:
    """Raises SyntaxProblem."""
    pipelines = [Pipeline(";")]
    waiting: str | None = None
    for kind, value in _tokens(script):
        command = pipelines[-1].commands[-1]
        if isinstance(value, Word) and waiting is not None:
            command.redirects.append(Redirect(waiting, value))
            waiting = None
        elif isinstance(value, Word):
            command.words.append(value)
        elif kind == "redirect" and "&" in value:
            command.redirects.append(Redirect(value, None))
        elif kind == "redirect":
            waiting = value
        elif value == "|":
            pipelines[-1].commands.append(Simple())
        else:
            pipelines.append(Pipeline(value.replace("\n", ";")))
    if waiting is not None or any(
        not each.words for pipeline in pipelines if len(pipeline.commands) > 1 for each in pipeline.commands
    ):
        raise SyntaxProblem("syntax error: unexpected end of file")
    return [pipeline for pipeline in pipelines if pipeline.commands[0].words or pipeline.commands[0].redirects]


def _tokens(script: str) -> list[tuple[str, str | Word]]:
    tokens: list[tuple[str, str | Word]] = []
    parts: list[tuple[str, bool]] = []
    place = 0
    while place < len(script):
        found = _TOKEN.match(script, place)
        if found is None:
            raise SyntaxProblem(f"syntax error: unexpected {script[place]!r}")
        place = found.end()
        kind = found.lastgroup or ""
        if kind in ("single", "double", "escaped", "plain"):
            parts.append(_part(kind, found[0]))
            continue
        if parts:
            tokens.append(("word", Word(tuple(parts))))
            parts = []
        if kind != "space":
            tokens.append((kind, found[0]))
    return [*tokens, ("word", Word(tuple(parts)))] if parts else tokens


def _part(kind: str, text: str) -> tuple[str, bool]:
    match kind:
        case "single":
            return text[1:-1], False
        case "double":
            return text[1:-1], True
        case "escaped":
            return text[1:], False
        case _:
            return text, True

"""What is wrong with a configuration: every problem with its path and what to do about it."""

from typing import NamedTuple


class Problem(NamedTuple):
    """`path` as the file's author would write it: `clusters[2].api.ca_file`, empty for the whole file, `:12` for a line of it."""

    path: str
    message: str

    def shown(self, file: object) -> str:
        """Return the one line for the operator."""
        separator = "" if not self.path or self.path.startswith(":") else ": "
        return _one_line(f"{file}{separator}{self.path}: {self.message}")


class SettingsError(Exception):
    """The configuration cannot be used; `problems` holds all that was found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(problem.shown("configuration") for problem in problems))
        self.problems = problems


def join_key(path: str, key: str) -> str:
    """Append a mapping's key to a path."""
    return f"{path}.{key}" if path else key


def _one_line(text: str) -> str:
    # A key or a file's name may hold anything, also what would move a terminal's cursor.
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)

"""From a YAML file to plain values: YAML 1.2, no duplicate keys, `${ENV_NAME}` expanded."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

from proxy.settings.problems import Problem, SettingsError, join_key

_MAX_DEPTH = 24
_MAX_VALUES = 500_000
_MAX_BYTES = 8 * 1024 * 1024
_VARIABLE = re.compile(r"\$\{([^}]*)(\}|$)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def read_yaml(path: Path) -> Mapping[object, object]:
    """Return the file's one mapping; raises SettingsError, with the line where YAML is broken."""
    text = _read_text(path)
    try:
        with warnings.catch_warnings():
            # One name for two things is as doubtful as one key with two values.
            warnings.simplefilter("error", ReusedAnchorWarning)
            document = YAML(typ="safe", pure=True).load(text)
    except ReusedAnchorWarning:
        raise SettingsError([Problem("", "an anchor is given twice: give each a name of its own")]) from None
    except MarkedYAMLError as error:
        raise SettingsError([_yaml_problem(error)]) from None
    except RecursionError:
        raise SettingsError([Problem("", "is nested too deep")]) from None
    # Tags of YAML's own (timestamps, huge integers) fail in the constructors of Python's types.
    except (YAMLError, ValueError, OverflowError) as error:
        raise SettingsError([Problem("", f"is no readable YAML: {_first_line(error)}")]) from None
    if not isinstance(document, Mapping):
        raise SettingsError([Problem("", "must be a mapping of keys such as public_url")])
    return document


def expand(document: Mapping[object, object], environment: Mapping[str, str]) -> tuple[Mapping[object, object], list[Problem]]:
    """Replace `${ENV_NAME}` in every string value; a string that cannot be expanded stays as it is and is a problem."""
    expansion = _Expansion(environment)
    return expansion.mapping(document, "", 0), expansion.problems


class _Expansion:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._values = 0
        self.problems: list[Problem] = []

    def mapping(self, given: Mapping[object, object], path: str, depth: int) -> Mapping[object, object]:
        return {key: self.value(item, join_key(path, str(key)), depth + 1) for key, item in given.items()}

    def value(self, given: object, path: str, depth: int) -> object:
        # Aliases let a short file name itself, or a list many times over.
        self._values += 1
        if depth > _MAX_DEPTH or self._values > _MAX_VALUES:
            raise SettingsError([Problem(path, "is nested too deep or holds too many values")])
        if isinstance(given, str):
            return self._string(given, path)
        if isinstance(given, Mapping):
            return self.mapping(given, path, depth)
        if isinstance(given, list):
            return [self.value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(given)]
        return given

    def _string(self, given: str, path: str) -> str:
        missing = [problem for match in _VARIABLE.finditer(given) if (problem := self._refusal(match, path))]
        self.problems += missing
        return given if missing else _VARIABLE.sub(lambda match: self._environment[match[1]], given)

    def _refusal(self, match: re.Match[str], path: str) -> Problem | None:
        if not match[2] or _NAME.fullmatch(match[1]) is None:
            return Problem(path, "holds a ${…} that names no environment variable: write ${ENV_NAME}")
        if match[1] not in self._environment:
            return Problem(path, f"environment variable {match[1]} is not set")
        return None


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError([Problem("", "not found")]) from None
    except OSError as error:
        raise SettingsError([Problem("", f"cannot be read: {(error.strerror or 'unknown error').lower()}")]) from None
    if len(found) > _MAX_BYTES:
        raise SettingsError([Problem("", "is larger than 8 MiB")])
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError([Problem("", f"is not UTF-8: byte {error.start}")]) from None


def _yaml_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = _first_line(error.problem or error.context or "is no readable YAML")
    if isinstance(error, DuplicateKeyError):
        # The library's text repeats both values: a configuration's values are not for logs.
        message = message.partition(" with value ")[0]
    return Problem(f":{mark.line + 1}" if mark is not None else "", message)


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]

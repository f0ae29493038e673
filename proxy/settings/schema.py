"""One block's own rules, applied: plain values in, `Settings` or all that is wrong with them out."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.settings.credentials import KINDS
from proxy.settings.keys import names_below
from proxy.settings.model import Settings
from proxy.settings.problems import Problem, join_key

_CREDENTIALS = frozenset({"credential", "cluster_credential", "stacklight_credential"})
_MESSAGES = {
    "missing": "missing",
    "union_tag_not_found": f"missing: one of {', '.join(KINDS)}",
    "union_tag_invalid": f"unknown kind: one of {', '.join(KINDS)}",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a file's path",
    "tuple_type": "must be a list",
    "mapping_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}


def apply(document: Mapping[object, object], folder: Path) -> Settings | list[Problem]:
    """Validate plain values whose relative paths start at `folder`."""
    try:
        return Settings.model_validate(document, context={"folder": folder})
    except ValidationError as error:
        return list(dict.fromkeys(_problems(error.errors(include_url=False, include_input=False))))


def _problems(errors: Sequence[ErrorDetails]) -> Iterator[Problem]:
    for error in errors:
        location = tuple(_without_tags(error))
        path = _path(location)
        if error["type"].startswith("union_tag"):
            path = join_key(path, "kind")
        yield Problem(path, _message(error, location))


def _without_tags(error: ErrorDetails) -> Iterator[str | int]:
    # pydantic puts the chosen kind of a credential, and a marker for a mapping's keys, between the parts of the path.
    before: str | int | None = None
    for part in error["loc"]:
        is_tag = (before in _CREDENTIALS and part in KINDS) or (part == "[key]" and error["type"] == "literal_error")
        if not is_tag:
            yield str(part) if error["type"] == "invalid_key" else part
        before = None if is_tag else part


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location:
        path = f"{path}[{part}]" if isinstance(part, int) else join_key(path, part)
    return path


def _message(error: ErrorDetails, location: tuple[str | int, ...]) -> str:
    match error["type"]:
        case "value_error":
            return str(error["ctx"]["error"])
        case "missing" if location[-1] in _CREDENTIALS:
            return f"missing: a mapping with its kind: {', '.join(KINDS)}"
        case "literal_error":
            return f"must be one of {error['ctx']['expected']}"
        case "extra_forbidden" | "invalid_key":
            return f"unknown key{_suggestion(location)}"
        case kind if kind in _MESSAGES:
            return _MESSAGES[kind]
        case _:
            return error["msg"].replace("Input should be", "must be", 1)


def _suggestion(location: tuple[str | int, ...]) -> str:
    name, known = str(location[-1]), names_below(_pattern(location[:-1]))
    if name in known:
        return " for this kind"
    matches = get_close_matches(name, known, n=1)
    return f": did you mean {matches[0]}?" if matches else ""


def _pattern(location: tuple[str | int, ...]) -> str:
    pattern = ""
    for part in location:
        free = "<name>" if pattern.endswith(".stacklight") else str(part)
        pattern = f"{pattern}[]" if isinstance(part, int) else join_key(pattern, free)
    return pattern

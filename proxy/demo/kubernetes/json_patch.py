"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386)."""

import copy
from typing import Any

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import Refused, bad_request

_MISSING = object()


def merge_patch(target: Any, patch: Any) -> Any:
    """A new document; null removes a member (RFC 7386 section 2)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def json_patch(document: Document, operations: Any) -> Document:
    """A new document; raises Refused: 400 when an operation is malformed, 422 when it does not fit the document."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal the patch into a list of operations")
    patched: Any = copy.deepcopy(document)
    for operation in operations:
        patched = _operate(patched, operation)
    if not isinstance(patched, dict):
        raise _does_not_fit("the patched document is not an object")
    return patched


def _operate(document: Any, operation: Any) -> Any:
    try:
        name, path = str(operation["op"]), _pointer(operation["path"])
        match name:
            case "add":
                return _add(document, path, copy.deepcopy(operation["value"]))
            case "remove":
                return _remove(document, path)
            case "replace":
                return _add(_remove(document, path), path, copy.deepcopy(operation["value"]))
            case "move":
                source = _pointer(operation["from"])
                value = _get(document, source)
                return _add(_remove(document, source), path, value)
            case "copy":
                return _add(document, path, copy.deepcopy(_get(document, _pointer(operation["from"]))))
            case "test":
                return _test(document, path, operation["value"])
            case _:
                raise bad_request(f"unexpected JSON patch operation: {name!r}")
    except (KeyError, TypeError, AttributeError) as error:
        raise bad_request(f"malformed JSON patch operation: {operation!r}") from error


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise bad_request(f"malformed JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _get(document: Any, path: list[str]) -> Any:
    for step in path:
        document = _member(document, step)
    return document


def _member(container: Any, step: str) -> Any:
    found: Any = _MISSING
    if isinstance(container, dict):
        found = container.get(step, _MISSING)
    elif isinstance(container, list) and step.isdecimal() and int(step) < len(container):
        found = container[int(step)]
    if found is _MISSING:
        raise _does_not_fit(f"path not found: {step!r}")
    return found


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, step = _get(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list):
        parent.insert(_index(parent, step), value)
    else:
        raise _does_not_fit(f"path not found: {step!r}")
    return document


def _index(parent: list[Any], step: str) -> int:
    if step == "-":
        return len(parent)
    if not step.isdecimal() or int(step) > len(parent):
        raise _does_not_fit(f"index out of range: {step!r}")
    return int(step)


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent, step = _get(document, path[:-1]), path[-1]
    _member(parent, step)
    del parent[int(step) if isinstance(parent, list) else step]
    return document


def _test(document: Any, path: list[str], wanted: Any) -> Any:
    if _get(document, path) != wanted:
        raise _does_not_fit(f"testing value /{'/'.join(path)} failed")
    return document


def _does_not_fit(why: str) -> Refused:
    return Refused(422, "Invalid", f"the server rejected our request due to an error in our request: {why}", {})

"""A line-based language for OpenAPI schemas, and the check of a document against one.

    Kind What it is.
      name! type Description.

Two spaces of indent a level; `!` marks a required field. Types: string, integer, boolean, time, int-or-string, any,
`object` (its fields follow, no others are known), `object+` (others are kept unseen); `[type]` is a list, `{type}` a map.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.demo.kubernetes.documents import Document

_SCALARS: Mapping[str, Document] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
    "int-or-string": {"x-kubernetes-int-or-string": True},
    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "object": {"type": "object"},
    "object+": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def schemas(text: str) -> dict[str, Document]:
    """Kind → its schema."""
    root: Document = {"properties": {}}
    open_blocks: list[tuple[int, Document]] = [(-1, root)]
    for line in text.splitlines():
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        while open_blocks[-1][0] >= depth:
            open_blocks.pop()
        name, kind, description = _words(line.split(maxsplit=2) if depth else _kind_line(line))
        field = _type(kind)
        _innermost(open_blocks[-1][1]).setdefault("properties", {})[name.rstrip("!")] = field
        if name.endswith("!"):
            _innermost(open_blocks[-1][1]).setdefault("required", []).append(name.rstrip("!"))
        field["description"] = description
        open_blocks.append((depth, field))
    return dict(root["properties"])


def violations(schema: Document, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Wrong types and missing required fields, as (field path, message)."""
    if not _fits(schema, value):
        wanted = schema["type"]
        yield path or "<root>", f'Invalid value: "{type_name(value)}": must be of type {wanted}: "{type_name(value)}"'
        return
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if value.get(name) is None:
                yield f"{path}.{name}".lstrip("."), "Required value"
    for below, member, where in _members(schema, value, path):
        yield from violations(below, member, where)


def unknown_fields(schema: Document, value: Any, path: str = "") -> Iterator[str]:
    """Paths of fields that a closed object does not know."""
    properties = schema.get("properties")
    closed = properties is not None and not schema.get("x-kubernetes-preserve-unknown-fields")
    if closed and isinstance(value, dict) and properties is not None:
        yield from (f"{path}.{name}".lstrip(".") for name in value if name not in properties)
    for below, member, where in _members(schema, value, path):
        yield from unknown_fields(below, member, where)


def type_name(value: Any) -> str:
    """The JSON type of a value in OpenAPI's words."""
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", dict: "object", list: "array"}
    return names.get(type(value), "null")


def _fits(schema: Document, value: Any) -> bool:
    if value is None or "type" not in schema:
        return True
    wanted = schema["type"]
    return isinstance(value, _JSON_TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))


def _members(schema: Document, value: Any, path: str) -> Iterator[tuple[Document, Any, str]]:
    if isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties")
        for name, member in value.items():
            below = properties.get(name, rest)
            if isinstance(below, dict):
                yield below, member, f"{path}.{name}".lstrip(".")
    elif isinstance(value, list) and "items" in schema:
        for place, item in enumerate(value):
            yield schema["items"], item, f"{path}[{place}]"


def _kind_line(line: str) -> list[str]:
    name, _, description = line.partition(" ")
    return [name, "object", description]


def _words(parts: list[str]) -> tuple[str, str, str]:
    name, kind, *description = parts
    return name, kind, "".join(description)


def _type(kind: str) -> Document:
    if kind.startswith("["):
        return {"type": "array", "items": _type(kind[1:-1])}
    if kind.startswith("{"):
        return {"type": "object", "additionalProperties": _type(kind[1:-1])}
    return dict(_SCALARS[kind])


def _innermost(field: Document) -> Document:
    while "items" in field or "additionalProperties" in field:
        field = field.get("items") or field["additionalProperties"]
    return field

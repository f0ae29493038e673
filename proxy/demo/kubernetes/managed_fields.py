"""Server-side apply: who owns which field, and what an apply changes.

A field is a path of steps as metadata.managedFields writes them: `f:spec`, `k:{"name":"web"}`, and `.` for a list
item itself (sigs.k8s.io/structured-merge-diff, FieldsV1).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.demo.kubernetes.documents import Document, dig, timestamp
from proxy.demo.kubernetes.list_keys import identity, keys_of
from proxy.demo.kubernetes.refusals import field_conflicts
from proxy.demo.kubernetes.strategic_merge import strategic_merge, without_directives

FieldPath = tuple[str, ...]

_UNOWNED = frozenset(
    {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
        "name", "namespace", "resourceVersion", "selfLink", "uid",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: one entry of managedFields. The operation is `Apply` or `Update`."""

    manager: str
    operation: str
    subresource: str = ""

    def owns(self, entry: Document) -> bool:
        """Whether the entry is this writer's."""
        return (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == (
            self.manager,
            self.operation,
            self.subresource,
        )

    def entry(self, api_version: str, fields: Iterable[FieldPath]) -> Document:
        """The entry to store."""
        entry: Document = {"manager": self.manager, "operation": self.operation, "apiVersion": api_version, "time": timestamp()}
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": _nested(fields)}
        return {**entry, "subresource": self.subresource} if self.subresource else entry


def record_update(before: Document | None, after: Document, writer: Writer) -> Document:
    """`after` with managedFields that give the changed fields to the writer."""
    old, new = fields_of(before or {}), fields_of(after)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    lost = (set(old) - set(new)) | changed
    entries = list(dig(after, "metadata", "managedFields", default=[]))
    own = {path for entry in entries if writer.owns(entry) for path in _paths(entry)} & set(new)
    kept = _without([entry for entry in entries if not writer.owns(entry)], lost)
    fields = own | changed
    return _with_entries(after, [*kept, writer.entry(after["apiVersion"], fields)] if fields else kept)


def apply(live: Document, intent: Document, writer: Writer, *, force: bool) -> Document:
    """The merged object; raises Refused (409) when another manager owns a field that would change."""
    intent = without_directives(intent)
    wanted, present = fields_of(intent), fields_of(live)
    entries = list(dig(live, "metadata", "managedFields", default=[]))
    others = [entry for entry in entries if not writer.owns(entry)]
    taken = {path for path, value in wanted.items() if path[-1] != "." and path in present and present[path] != value}
    causes = [(_signature(entry), _dotted(path)) for entry in others for path in sorted(_paths(entry) & taken)]
    if causes and not force:
        raise field_conflicts(causes)
    others = _without(others, taken)
    dropped = {path for entry in entries if writer.owns(entry) for path in _paths(entry)} - set(wanted)
    dropped -= {path for entry in others for path in _paths(entry)}
    merged = strategic_merge(live, intent)
    # whole items first: without its key field an item could not be found any more
    for path in sorted(dropped, key=lambda path: (path[-1] != ".", -len(path))):
        merged = _removed(merged, path)
    return _with_entries(merged, [*others, writer.entry(intent["apiVersion"], wanted)])


def fields_of(document: Document) -> dict[FieldPath, Any]:
    """Each leaf that somebody may own, with its value."""
    metadata = {name: value for name, value in document.get("metadata", {}).items() if name not in _UNOWNED}
    owned = {name: value for name, value in document.items() if name not in ("apiVersion", "kind", "metadata")}
    owned |= {"metadata": metadata} if metadata else {}
    return dict(_leaves(owned, ())) if owned else {}


def _leaves(value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from _leaves(member, (*path, f"f:{name}"))
    elif isinstance(value, list) and (keys := keys_of(path[-1][2:], value)):
        for item in value:
            step = (*path, f"k:{json.dumps(dict(identity(item, keys)), separators=(',', ':'))}")
            yield (*step, "."), None
            yield from _leaves(item, step)
    else:
        yield path, value


def _nested(paths: Iterable[FieldPath]) -> Document:
    root: Document = {}
    for path in sorted(paths):
        branch = root
        for step in path:
            branch = branch.setdefault(step, {})
    return root


def _paths(entry: Document) -> set[FieldPath]:
    def walk(branch: Document, path: FieldPath) -> Iterator[FieldPath]:
        for step, below in branch.items():
            if below:
                yield from walk(below, (*path, step))
            else:
                yield (*path, step)

    return set(walk(entry.get("fieldsV1", {}), ()))


def _without(entries: list[Document], lost: set[FieldPath]) -> list[Document]:
    left = [(entry, _paths(entry) - lost) for entry in entries]
    return [{**entry, "fieldsV1": _nested(paths)} for entry, paths in left if paths]


def _with_entries(document: Document, entries: list[Document]) -> Document:
    metadata = {name: value for name, value in document["metadata"].items() if name != "managedFields"}
    return {**document, "metadata": {**metadata, **({"managedFields": entries} if entries else {})}}


def _removed(document: Any, path: FieldPath) -> Any:
    step, rest = path[0], path[1:]
    if step.startswith("f:") and isinstance(document, dict) and step[2:] in document:
        left = dict(document)
        if rest:
            left[step[2:]] = _removed(left[step[2:]], rest)
        else:
            del left[step[2:]]
        return left
    if step.startswith("k:") and isinstance(document, list):
        return list(_removed_item(document, json.loads(step[2:]), rest))
    return document


def _removed_item(items: list[Any], key: Document, rest: FieldPath) -> Iterator[Any]:
    for item in items:
        if dict(identity(item, tuple(key))) != key:
            yield item
        elif rest != (".",):
            yield _removed(item, rest)


def _signature(entry: Document) -> str:
    name = json.dumps(entry.get("manager", ""))
    return f"{name} using {entry.get('apiVersion')}" if entry.get("operation") == "Update" else name


def _dotted(path: FieldPath) -> str:
    return "".join(_dotted_step(step) for step in path)


def _dotted_step(step: str) -> str:
    if step.startswith("k:"):
        return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in json.loads(step[2:]).items()) + "]"
    return f".{step[2:]}"

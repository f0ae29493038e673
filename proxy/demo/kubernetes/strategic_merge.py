"""Strategic merge patch: a merge patch that knows which lists are merged by key.

Directives ($patch, $retainKeys, $setElementOrder/…, $deleteFromPrimitiveList/…) as in
k8s.io/apimachinery/pkg/util/strategicpatch.
"""

import copy
from typing import Any

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.list_keys import SETS, identity, keys_of

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def strategic_merge(target: Document, patch: Document) -> Document:
    """A new document."""
    directive = patch.get("$patch")
    if directive == "replace":
        return without_directives(patch)
    merged = dict(target)
    if (kept := patch.get("$retainKeys")) is not None:
        merged = {name: value for name, value in merged.items() if name in kept}
    for name, value in patch.items():
        if name.startswith(_DELETE):
            field = name.removeprefix(_DELETE)
            merged[field] = [item for item in merged.get(field, ()) if item not in value]
        elif not name.startswith("$"):
            _merge_member(merged, name, value, patch.get(_ORDER + name))
    return merged


def _merge_member(merged: Document, name: str, value: Any, order: list[Any] | None) -> None:
    if value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
        merged.pop(name, None)
    elif isinstance(value, dict):
        present = merged.get(name)
        merged[name] = strategic_merge(present if isinstance(present, dict) else {}, value)
    elif isinstance(value, list):
        present = merged.get(name)
        merged[name] = _merge_list(name, present if isinstance(present, list) else [], value, order)
    else:
        merged[name] = value


def _merge_list(field: str, present: list[Any], patch: list[Any], order: list[Any] | None) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [_plain(item) for item in patch if item != {"$patch": "replace"}]
    if field in SETS:
        return [*present, *(item for item in patch if item not in present)]
    # a patch item may name only the first key (ports by containerPort), so that alone identifies here
    keys = keys_of(field, [*present, *patch])[:1]
    if not keys:
        return copy.deepcopy(patch)
    return _ordered(_merge_by_key(present, patch, keys), order, keys)


def _merge_by_key(present: list[Any], patch: list[Any], keys: tuple[str, ...]) -> list[Any]:
    items = {identity(item, keys): item for item in present}
    for change in patch:
        key = identity(change, keys)
        if change.get("$patch") == "delete":
            items.pop(key, None)
        else:
            items[key] = strategic_merge(items.get(key, {}), change)
    return list(items.values())


def _ordered(items: list[Any], order: list[Any] | None, keys: tuple[str, ...]) -> list[Any]:
    if not order:
        return items
    places = {identity(item, keys): place for place, item in enumerate(order)}
    return sorted(items, key=lambda item: places.get(identity(item, keys), len(places)))


def without_directives(document: Document) -> Document:
    """The document less all members whose names begin with a dollar sign."""
    return {name: _plain(value) for name, value in document.items() if not name.startswith("$")}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return without_directives(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value

"""Which lists of the built-in kinds are maps in disguise: merged by key, owned item by item.

Source of the keys: the `patchMergeKey` and `listMapKey` tags in k8s.io/api.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

_KEYS: Mapping[str, tuple[str, ...]] = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "secrets": ("name",),
    "taints": ("key",),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
_CONTAINER_PORTS = ("containerPort", "protocol")
_SERVICE_PORTS = ("port", "protocol")
# Lists of plain values that are sets: a strategic merge adds to them.
SETS = frozenset({"finalizers"})


def keys_of(field: str, items: list[Any]) -> tuple[str, ...]:
    """The members that identify an item of this list; empty for a list that is one value."""
    if not items or not all(isinstance(item, dict) for item in items):
        return ()
    return keys_among(field, {name for item in items for name in item})


def keys_among(field: str, members: Collection[str]) -> tuple[str, ...]:
    """The same, for a list whose items have these members: `ports` are of containers or of services."""
    if field == "ports":
        return _CONTAINER_PORTS if "containerPort" in members else _SERVICE_PORTS
    return _KEYS.get(field, ())


def identity(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """The item's key members with their defaults, fit as a dictionary key."""
    return tuple((key, _hashable(item.get(key, "TCP" if key == "protocol" else None))) for key in keys)


def _hashable(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value

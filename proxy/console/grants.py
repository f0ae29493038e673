"""What each role gives its holder, in words: read from the permission table in force and the inclusions, as the policy reads them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.policy.permissions import Permissions
from proxy.policy.roles import ROLE_PATTERNS, RoleSet, included_roles
from proxy.policy.surfaces import CLUSTER_API, STACKLIGHT

SURFACE_WORDS: Final[Mapping[str, str]] = {
    "self_review": "questions about one's own rights (kubectl auth can-i)",
    "discovery": "what APIs there are",
    "project_names": "the names of projects",
    "projects": "projects",
    "project_objects": "clusters, machines and the other objects of projects",
    "bare_metal": "bare-metal hosts",
    "bare_metal_credentials": "credentials of bare-metal hosts",
    "secrets": "secrets, and objects that hold them",
    "iam_bindings": "role bindings of projects and clusters",
    "iam_global_bindings": "global role bindings",
    "iam_catalog": "users, roles and scopes of IAM",
    "releases": "releases, upgrades and licenses",
    "management_cluster": "the management cluster itself",
    "cluster_api": "Kubernetes APIs of clusters",
    "stacklight": "StackLight applications of clusters",
}
# The roles that a child's own API and StackLight know: whatever lets a visitor in is shown down to them, as the policy does.
_EFFECTIVE: Final[Mapping[str, str]] = {CLUSTER_API: "m:k8s:", STACKLIGHT: "m:sl:"}
_RIGHT_WORDS: Final[Mapping[str, str]] = {"r": "read", "rw": "read and write"}
_GLOBAL_PARTS: Final = 2


@dataclass(frozen=True, slots=True)
class Grant:
    """One right: `surface` is its name in the permission table; `through` is the included role that has it, None for the role itself."""

    surface: str
    what: str
    right: str
    through: str | None


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role with its scope, what it includes and what it grants, in words."""

    role: str
    scope: str
    included: tuple[str, ...]
    grants: tuple[Grant, ...]


def held_roles(permissions: Permissions, roles: RoleSet) -> tuple[HeldRole, ...]:
    """Return what is told of the roles of a visitor, widest scope first."""
    return tuple(_held_role(permissions, role) for role in sorted(roles.strings, key=lambda role: (role.count(":"), role)))


def _held_role(permissions: Permissions, role: str) -> HeldRole:
    parts, name = role.rpartition("@")[0].split(":"), role.rpartition("@")[2]
    namespace, cluster, *_ = (*parts[_GLOBAL_PARTS:], None, None)
    pattern = _pattern(parts, name)
    included = tuple(_in_place(other, namespace, cluster) for other in included_roles(pattern))
    grants = tuple(_grants(permissions, pattern, namespace, cluster))
    return HeldRole(role, _scope(namespace, cluster), included, grants)


def _pattern(parts: list[str], name: str) -> str:
    return ":".join([*parts[:_GLOBAL_PARTS], *("<ns>", "<cluster>")[: len(parts) - _GLOBAL_PARTS]]) + f"@{name}"


def _scope(namespace: str | None, cluster: str | None) -> str:
    if cluster is not None:
        return f"cluster {namespace}/{cluster}"
    return "all projects" if namespace is None else f"project {namespace}"


def _in_place(pattern: str, namespace: str | None, cluster: str | None) -> str:
    return pattern.replace("<ns>", namespace or "<every project>").replace("<cluster>", cluster or "<every cluster>")


def _grants(permissions: Permissions, pattern: str, namespace: str | None, cluster: str | None) -> Iterator[Grant]:
    assert pattern in ROLE_PATTERNS  # noqa: S101 (a RoleSet holds no others)
    candidates = (pattern, *included_roles(pattern))
    for surface, what in SURFACE_WORDS.items():
        cells = permissions.grants.get(surface, {})
        effective = _EFFECTIVE.get(surface, "")
        holding = sorted((role for role in candidates if role in cells), key=lambda role: not role.startswith(effective))
        if holding:
            # The strongest right; of equal ones max keeps the first.
            best = max(holding, key=lambda role: len(cells[role]))
            through = None if best == pattern else _in_place(best, namespace, cluster)
            yield Grant(surface, what, _RIGHT_WORDS[cells[best]], through)

"""Judges: a pure function of a role set and a target, built once from the permissions file and a few facts of the installation.

Deny is what remains when nothing allowed. The scope in which a right is looked for comes from the target itself, which is also
what is routed: there is no second place from which a namespace or a cluster could come.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias, assert_never

from msgspec import Struct

from proxy.policy.decision import Allowed, Decision, Denied
from proxy.policy.permissions import Permissions
from proxy.policy.roles import ROLE_NAMES, ROLE_PATTERNS, RoleSet, included_roles
from proxy.policy.surfaces import (
    CHILD_SURFACES,
    CLUSTER_API,
    MANAGEMENT_CLUSTER,
    MANAGEMENT_SURFACES,
    STACKLIGHT,
    Surfaces,
    project_of,
)
from proxy.routing.request_info import READ_METHODS
from proxy.routing.target import ClusterApi, ClusterRef, ManagementApi, MonitoringUi, OwnPage, Target

Chain: TypeAlias = tuple[str, ...]
# Role names that hold a right, with the inclusions they hold it through, least privilege first.
Holders: TypeAlias = Mapping[str, Chain]

# Namespaces of the management cluster's own controllers, unless the configuration names others (policy, section 2).
SYSTEM_NAMESPACES: Final = (
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "openstack-provider-system",
    "system",
    "kaas",
    "lcm-system",
    "istio-system",
    "stacklight",
)

_GLOBAL: Final = "m:kaas"
_PROJECT: Final = "m:kaas:<ns>"
_KUBERNETES: Final = "m:k8s:<ns>:<cluster>"
_STACKLIGHT: Final = "m:sl:<ns>:<cluster>"
# The role that a child's own API and StackLight know: whatever lets a user in is shown down to it.
_EFFECTIVE: Mapping[str, str] = {CLUSTER_API: _KUBERNETES, STACKLIGHT: _STACKLIGHT}
_DEFAULT_PROJECT: Final = "default"
_NO_DECISION_NEEDED: Final = Allowed(None, (), None, None)


@dataclass(frozen=True, slots=True)
class _Right:
    """Who holds one right (to read, or to write) on one surface, by the scope of their role.

    `own` are roles that the table names; `held` are those and the roles that include one of them, `by_pattern` the same by pattern.
    """

    own: Mapping[str, Holders]
    held: Mapping[str, Holders]
    by_pattern: Mapping[str, Chain]


class _Question(Struct, frozen=True):
    """What a target asks of a role set: `holders` are the scopes to look in, most specific first, and who holds the right there.

    For a surface that is bound to no project, `anywhere` are the patterns of roles that reach it wherever they are held.
    """

    surface: str
    verb: str
    is_write: bool
    namespace: str | None
    cluster: str | None
    holders: tuple[tuple[str, Holders], ...]
    anywhere: Mapping[str, Chain] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Permission table, system namespaces, and which cluster is the management cluster (None: every cluster of `default`)."""

    permissions: Permissions
    system_namespaces: frozenset[str]
    management_cluster: ClusterRef | None
    _surfaces: Surfaces = field(init=False, repr=False, compare=False)
    _rights: Mapping[str, tuple[_Right, _Right]] = field(init=False, repr=False, compare=False)
    _about_cluster_api: Callable[[ClusterRef, str, bool], _Question] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A frozen value that carries its own index: built here, never changed.
        object.__setattr__(self, "_surfaces", Surfaces(self.permissions.surfaces, self.system_namespaces))
        rights = {surface: _rights(surface, self.permissions) for surface in (*MANAGEMENT_SURFACES, *CHILD_SURFACES)}
        object.__setattr__(self, "_rights", rights)
        # The same few questions are asked for each request: what they depend on is short, and bounded by the URLs of an API.
        object.__setattr__(self, "_about_cluster_api", lru_cache(maxsize=4096)(self._ask_cluster_api))

    def authorize(self, roles: RoleSet, target: Target) -> Decision:
        """Decide. Total: every target gets an answer, and nothing is raised."""
        if isinstance(target, OwnPage):
            return _NO_DECISION_NEEDED
        asked = self._question(target)
        granted = _found_anywhere(roles, asked) if asked.anywhere is not None else _found(roles, asked)
        if granted is not None:
            return Allowed(granted[0], granted[1], asked.surface, asked.verb)
        return Denied(asked.surface, asked.verb, asked.is_write, _scope(asked))

    def would_grant(self, target: Target) -> tuple[str, ...]:
        """Return the roles each of which alone would be enough, least privilege first, in the project or cluster of the target."""
        if isinstance(target, OwnPage):
            return ()
        asked = self._question(target)
        return tuple(f"{scope}@{name}" for scope, holders in asked.holders for name in holders)

    def is_management_cluster(self, ref: ClusterRef) -> bool:
        """Tell whether a cluster is the management cluster itself, which no inclusion reaches."""
        return ref.namespace == _DEFAULT_PROJECT if self.management_cluster is None else ref == self.management_cluster

    @staticmethod
    def effective_group(target: ClusterApi) -> str:
        """Return the one group that a child's API sees, whatever role let the user in."""
        return f"m:k8s:{target.ref.namespace}:{target.ref.name}@cluster-admin"

    def _question(self, target: ManagementApi | ClusterApi | MonitoringUi) -> _Question:
        # isinstance and not match: class patterns build a tuple of attributes each time, on the byte path.
        if isinstance(target, ClusterApi):
            info = target.info
            return self._about_cluster_api(target.ref, info.verb, info.is_write)
        if isinstance(target, ManagementApi):
            return self._of_management_api(target)
        if isinstance(target, MonitoringUi):
            ref, is_write = target.ref, target.method not in READ_METHODS
            holders = self._of_stacklight(ref, is_write=is_write)
            return _Question(STACKLIGHT, target.verb, is_write, ref.namespace, ref.name, holders)
        assert_never(target)

    def _ask_cluster_api(self, ref: ClusterRef, verb: str, is_write: bool) -> _Question:
        holders = self._of_cluster_api(ref, is_write=is_write)
        return _Question(CLUSTER_API, verb, is_write, ref.namespace, ref.name, holders)

    def _of_management_api(self, target: ManagementApi) -> _Question:
        info = target.info
        surface = self._surfaces.surface_of(info, target.method, target.path)
        right = self._rights[surface][info.is_write]
        project = project_of(info)
        holders: tuple[tuple[str, Holders], ...]
        if project is None:
            # A request without a namespace acts in all projects: no role of one project is enough.
            holders = ((_GLOBAL, right.own[_GLOBAL]),)
        else:
            holders = ((f"m:kaas:{project}", right.held[_PROJECT]), (_GLOBAL, right.held[_GLOBAL]))
        anywhere = right.by_pattern if surface in self.permissions.unbound else None
        return _Question(surface, info.verb, info.is_write, project, None, holders, anywhere)

    def _of_cluster_api(self, ref: ClusterRef, *, is_write: bool) -> tuple[tuple[str, Holders], ...]:
        right = self._rights[CLUSTER_API][is_write]
        scope = f"m:k8s:{ref.namespace}:{ref.name}"
        if self.is_management_cluster(ref):
            return ((scope, right.own[_KUBERNETES]), (_GLOBAL, self._rights[MANAGEMENT_CLUSTER][is_write].own[_GLOBAL]))
        if ref.namespace in self.system_namespaces:
            return ((scope, right.own[_KUBERNETES]),)
        held = right.held
        holders = ((scope, held[_KUBERNETES]), (f"m:kaas:{ref.namespace}", held[_PROJECT]), (_GLOBAL, held[_GLOBAL]))
        # No inclusion leads from StackLight to a Kubernetes API: only a changed table names its roles here.
        return ((f"m:sl:{ref.namespace}:{ref.name}", held[_STACKLIGHT]), *holders) if held[_STACKLIGHT] else holders

    def _of_stacklight(self, ref: ClusterRef, *, is_write: bool) -> tuple[tuple[str, Holders], ...]:
        right = self._rights[STACKLIGHT][is_write]
        own = (f"m:sl:{ref.namespace}:{ref.name}", right.held[_STACKLIGHT])
        if self.is_management_cluster(ref) or ref.namespace in self.system_namespaces:
            return (own,)
        return (
            own,
            (f"m:k8s:{ref.namespace}:{ref.name}", right.held[_KUBERNETES]),
            (f"m:kaas:{ref.namespace}", right.held[_PROJECT]),
            (_GLOBAL, right.held[_GLOBAL]),
        )


def _found(roles: RoleSet, asked: _Question) -> tuple[str, Chain] | None:
    for scope, holders in asked.holders:
        for name in roles.by_scope.get(scope, ()):
            chain = holders.get(name)
            if chain is not None:
                return f"{scope}@{name}", _in_place(chain, asked.namespace, asked.cluster)
    return None


def _found_anywhere(roles: RoleSet, asked: _Question) -> tuple[str, Chain] | None:
    for pattern, role in roles.examples.items():
        chain = (asked.anywhere or {}).get(pattern)
        if chain is not None:
            _, _, namespace, cluster, *_ = (*role.partition("@")[0].split(":"), None, None)
            return role, _in_place(chain, namespace or asked.namespace, cluster)
    return None


@lru_cache(maxsize=4096)
def _in_place(chain: Chain, namespace: str | None, cluster: str | None) -> Chain:
    """Fill the project and cluster into the patterns of a chain; what is not known stays as it is written in the table."""
    if not chain:
        return chain
    return tuple(role.replace("<ns>", namespace or "<ns>").replace("<cluster>", cluster or "<cluster>") for role in chain)


def _scope(asked: _Question) -> str:
    if asked.cluster is not None:
        return f"cluster {asked.namespace}/{asked.cluster}"
    if asked.namespace is not None:
        return f"project {asked.namespace}"
    return "all projects" if asked.anywhere is None else "any project"


def _rights(surface: str, permissions: Permissions) -> tuple[_Right, _Right]:
    cells = permissions.grants.get(surface, {})
    readers = frozenset(cells)
    writers = frozenset(role for role, right in cells.items() if right == "rw")
    return _right(surface, readers), _right(surface, writers)


def _right(surface: str, named: frozenset[str]) -> _Right:
    chains = {pattern: _chain(pattern, named, _EFFECTIVE.get(surface)) for pattern in ROLE_PATTERNS}
    by_pattern = {pattern: chain for pattern, chain in chains.items() if chain is not None}
    held = {scope: _of_scope(scope, by_pattern) for scope in ROLE_NAMES}
    own = {scope: _of_scope(scope, dict.fromkeys(named, ())) for scope in ROLE_NAMES}
    return _Right(own, held, by_pattern)


def _of_scope(scope: str, by_pattern: Mapping[str, Chain]) -> Holders:
    return {name: by_pattern[f"{scope}@{name}"] for name in ROLE_NAMES[scope] if f"{scope}@{name}" in by_pattern}


def _chain(pattern: str, named: frozenset[str], effective: str | None) -> Chain | None:
    """Return the inclusions through which a role holds a right that the table gives to the roles `named`; None when it does not."""
    included = [chain for role, chain in included_roles(pattern).items() if role in named]
    if effective is not None and not pattern.startswith(effective):
        down_to_effective = [chain for chain in included if chain[-1].startswith(effective)]
        if down_to_effective:
            return down_to_effective[0]
    if pattern in named:
        return ()
    return included[0] if included else None

"""Which targets the roles of a token reach, by the same policy that the entry judges with.

The shipped permission table stands for the entry's own, which the user cannot see: where an operator has widened that one, a cluster
is asked for by its name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from proxy.client.errors import ClientError, printable
from proxy.errors import RequestError
from proxy.policy.decision import Allowed
from proxy.policy.permissions import Permissions, load_permissions, shipped_permissions_text
from proxy.policy.policy import SYSTEM_NAMESPACES, Policy
from proxy.policy.roles import RoleSet
from proxy.routing.paths import is_dns_label, is_dns_subdomain
from proxy.routing.routes import Routes
from proxy.routing.target import ClusterRef

MANAGEMENT_API: Final = "kaas"

_ROUTES: Final = Routes(frozenset(), None)
_PROBE: Final = "any"  # a name like any other: what is asked is whether a role reaches all clusters of a project
_DEFAULT_PROJECT: Final = "default"


@dataclass(frozen=True, slots=True)
class ListedCluster:
    """A cluster that the management API has."""

    ref: ClusterRef
    is_management: bool


class Reach:
    """What one token's roles reach."""

    def __init__(self, roles: Iterable[str]) -> None:
        self._roles = RoleSet.from_strings(roles)
        self._table = _shipped_table()
        self._policy = Policy(self._table, frozenset(SYSTEM_NAMESPACES), None)

    def __repr__(self) -> str:
        return f"Reach({', '.join(self._roles.strings)})"

    def has_management_api(self) -> bool:
        """Whether there is anything for this user at the management API."""
        return self._allows(self._policy, "/kaas/api")

    def cluster(self, ref: ClusterRef) -> bool:
        """Whether a cluster's API is reached, as far as can be told without knowing which is the management cluster."""
        return self._allows(self._policy, f"/k8s/{ref}/version")

    def named_clusters(self) -> tuple[ClusterRef, ...]:
        """Return the clusters that roles name."""
        named = (scope.split(":")[2:] for scope in self._roles.by_scope if scope.startswith("m:k8s:"))
        return tuple(ref for ref in (ClusterRef(*parts) for parts in named) if self.cluster(ref))

    def reaches_every_project(self) -> bool:
        """Whether a role reaches the clusters of all projects, so that they have to be listed."""
        return self.cluster(ClusterRef(_PROBE, _PROBE)) and self._allows(
            self._policy, "/kaas/apis/cluster.k8s.io/v1alpha1/clusters"
        )

    def projects(self) -> tuple[str, ...]:
        """Return the projects all of whose clusters a role reaches, so that they have to be listed."""
        held = [scope.split(":")[2] for scope in self._roles.by_scope if scope.startswith("m:kaas:")]
        projects = sorted({*held, _DEFAULT_PROJECT} if self._roles.kaas_strings else ())
        return tuple(project for project in projects if self.cluster(ClusterRef(project, _PROBE)))

    def only_project(self) -> str | None:
        """Return the project in which all roles at the management API are, None if there are several or none."""
        held = {scope.split(":")[2] for scope in self._roles.by_scope if scope.startswith("m:kaas:")}
        return held.pop() if len(held) == 1 else None

    def of_listed(self, listed: Iterable[ListedCluster]) -> tuple[ClusterRef, ...]:
        """Return those of the listed clusters that are reached."""
        clusters = tuple(listed)
        management = next((cluster.ref for cluster in clusters if cluster.is_management), None)
        policy = Policy(self._table, frozenset(SYSTEM_NAMESPACES), management)
        return tuple(cluster.ref for cluster in clusters if self._allows(policy, f"/k8s/{cluster.ref}/version"))

    def _allows(self, policy: Policy, path: str) -> bool:
        try:
            target = _ROUTES.resolve("GET", None, path.encode())
        except RequestError:
            return False
        return isinstance(policy.authorize(self._roles, target), Allowed)


@cache
def _shipped_table() -> Permissions:
    return load_permissions(shipped_permissions_text(), "the shipped permission table")


def parse_target(text: str) -> ClusterRef | None:
    """Read NAMESPACE/NAME, or `kaas`, for which it returns None; raises ClientError."""
    if text == MANAGEMENT_API:
        return None
    namespace, _, name = text.partition("/")
    if not is_dns_label(namespace) or not is_dns_subdomain(name):
        raise ClientError(f"{printable(text)!r}: give a cluster as NAMESPACE/NAME, or kaas for the management API")
    return ClusterRef(namespace, name)

"""What the roles of a visitor open, asked of the policy that judges their requests: a link leads where its visitor may go.

A cluster is shown to those who may open something of it, or read its object at the management API.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.console.visit import SiteFacts
from proxy.directory.clusters import Directory
from proxy.policy.decision import Allowed
from proxy.policy.policy import Policy
from proxy.policy.roles import RoleSet
from proxy.routing.request_info import read_request
from proxy.routing.target import ClusterApi, ClusterRef, ManagementApi, MonitoringUi, RequestInfo

_API: Final = read_request("GET", "/api", None, strict=True)
_VERSION: Final = read_request("GET", "/version", None, strict=False)
_GROUP: Final = "cluster.k8s.io"
_GROUP_VERSION: Final = "v1alpha1"
_GLOBAL_PARTS: Final = 2


@dataclass(frozen=True, slots=True)
class OpenCluster:
    """A cluster with what is open of it: its Kubernetes API, and StackLight applications by name."""

    ref: ClusterRef
    has_api: bool
    applications: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """A project in which a visitor has a role, or something to open."""

    name: str
    clusters: tuple[OpenCluster, ...]


@dataclass(frozen=True, slots=True)
class Portal:
    """All that the portal links to; `shown` counts the clusters in it, `hidden` those that the filter left out.

    `has_some_api` says whether there is anything for kubectl, of the management API or any cluster.
    """

    has_management_api: bool
    has_some_api: bool
    projects: tuple[Project, ...]
    shown: int
    hidden: int


def management_api() -> ManagementApi:
    """Return what is asked of the policy to tell whether there is anything for a visitor at the management API."""
    return ManagementApi(_API, "GET", b"/api", None)


def cluster_api(ref: ClusterRef) -> ClusterApi:
    """Return what is asked of the policy to tell whether a visitor may use a cluster's Kubernetes API."""
    return ClusterApi(ref, _VERSION, "GET", b"/version", None)


def portal(facts: SiteFacts, roles: RoleSet, wanted: str = "") -> Portal:
    """Return what a visitor's roles open; with a filter, only the clusters whose `namespace/name` holds that text."""
    visible = list(visible_clusters(facts, roles))
    shown = [cluster for cluster in visible if wanted.lower() in str(cluster.ref).lower()]
    by_project: dict[str, list[OpenCluster]] = {} if wanted else {name: [] for name in _own_projects(roles)}
    for cluster in shown:
        by_project.setdefault(cluster.ref.namespace, []).append(cluster)
    projects = tuple(Project(name, tuple(by_project[name])) for name in sorted(by_project))
    has_management = has_management_api(facts, roles)
    has_some = has_management or any(cluster.has_api for cluster in visible)
    return Portal(has_management, has_some, projects, len(shown), len(visible) - len(shown))


def has_management_api(facts: SiteFacts, roles: RoleSet) -> bool:
    """Whether there is a management API, and anything for these roles at it."""
    return facts.directory.management is not None and _allows(facts.policy, roles, management_api())


def visible_clusters(facts: SiteFacts, roles: RoleSet) -> Iterator[OpenCluster]:
    """Yield the clusters that are shown to these roles, in the order of their names."""
    for ref, applications in sorted(_clusters(facts.directory).items(), key=lambda entry: (entry[0].namespace, entry[0].name)):
        has_api = ref in facts.directory.cluster_apis and _allows(facts.policy, roles, cluster_api(ref))
        allowed = tuple(name for name in sorted(applications) if _allows(facts.policy, roles, _application(ref, name)))
        if has_api or allowed or _allows(facts.policy, roles, _cluster_object(ref)):
            yield OpenCluster(ref, has_api, allowed)


def _clusters(directory: Directory) -> dict[ClusterRef, list[str]]:
    clusters: dict[ClusterRef, list[str]] = {ref: [] for ref in directory.cluster_apis}
    for ref, name in directory.applications:
        clusters.setdefault(ref, []).append(name)
    return clusters


def _application(ref: ClusterRef, name: str) -> MonitoringUi:
    return MonitoringUi(ref, name, "GET", b"/", None)


def _cluster_object(ref: ClusterRef) -> ManagementApi:
    info = RequestInfo(
        "get",
        is_resource_request=True,
        is_write=False,
        is_long_running=False,
        api_group=_GROUP,
        api_version=_GROUP_VERSION,
        namespace=ref.namespace,
        resource="clusters",
        name=ref.name,
    )
    return ManagementApi(info, "GET", b"", None)


def _own_projects(roles: RoleSet) -> set[str]:
    return {parts[2] for scope in roles.by_scope if len(parts := scope.split(":")) > _GLOBAL_PARTS}


def _allows(policy: Policy, roles: RoleSet, target: ManagementApi | ClusterApi | MonitoringUi) -> bool:
    return isinstance(policy.authorize(roles, target), Allowed)

"""Where each target is served. An immutable value, swapped whole when the configuration or the cluster objects change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from proxy.directory.upstream import Upstream
from proxy.routing.target import ClusterApi, ClusterRef, ManagementApi, MonitoringUi, OwnPage, Target


@dataclass(frozen=True, slots=True)
class Directory:
    """What is known: the management API, children's APIs, and StackLight applications by cluster and name."""

    management: Upstream | None = None
    cluster_apis: Mapping[ClusterRef, Upstream] = field(default_factory=dict)
    applications: Mapping[tuple[ClusterRef, str], Upstream] = field(default_factory=dict)

    def find(self, target: Target) -> Upstream | None:
        """Return what serves `target`, or None. Asked only about permitted targets: the answer tells what exists."""
        match target:
            case ClusterApi(ref=ref):
                return self.cluster_apis.get(ref)
            case ManagementApi():
                return self.management
            case MonitoringUi(ref=ref, app=app):
                return self.applications.get((ref, app))
            case OwnPage():
                return None
        assert_never(target)

    def __iter__(self) -> Iterator[Upstream]:
        if self.management is not None:
            yield self.management
        yield from self.cluster_apis.values()
        yield from self.applications.values()

    def __len__(self) -> int:
        return (self.management is not None) + len(self.cluster_apis) + len(self.applications)

    def __repr__(self) -> str:
        management = "with" if self.management is not None else "without"
        return f"Directory({management} management API, {len(self.cluster_apis)} clusters, {len(self.applications)} applications)"

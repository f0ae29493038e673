"""What the demonstration's installation consists of: projects and child clusters."""

from dataclasses import dataclass

MANAGEMENT_CLUSTER = "default/kaas-mgmt"


@dataclass(frozen=True, slots=True)
class ChildCluster:
    """A child cluster of a project, and the nodes that its StackLight watches."""

    project: str
    name: str
    nodes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"


CHILD_CLUSTERS = (
    ChildCluster("team-a", "prod", ("prod-control-0", "prod-worker-0", "prod-worker-1")),
    ChildCluster("team-b", "dev", ("dev-control-0", "dev-worker-0")),
)

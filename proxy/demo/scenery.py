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


_NODES = ("master-0", "master-1", "master-2", "worker-0", "worker-1")
CHILD_CLUSTERS = tuple(
    ChildCluster(project, name, tuple(f"{name}-{node}" for node in _NODES))
    for project, name in (("team-a", "prod"), ("team-b", "dev"))
)

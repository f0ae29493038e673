"""What every peer of a measurement is given: the same clusters, keys, certificate and files. Plain values."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cluster:
    """A child cluster by project and name."""

    namespace: str
    name: str

    @property
    def prefix(self) -> str:
        """URL prefix of its Kubernetes API."""
        return f"/k8s/{self.namespace}/{self.name}"

    @property
    def role(self) -> str:
        """The role that opens it."""
        return f"m:k8s:{self.namespace}:{self.name}@cluster-admin"


@dataclass(frozen=True, slots=True)
class Site:
    """One installation to put a proxy in front of. `folder` takes configurations and logs."""

    folder: Path
    clusters: tuple[Cluster, ...]
    upstream_port: int
    key_set_file: Path
    certificate_file: Path
    key_file: Path

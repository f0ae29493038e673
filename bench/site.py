"""What every peer of a measurement is given: the same clusters, keys, certificate and files. Plain values."""

from dataclasses import dataclass
from pathlib import Path

from bench.identities import ISSUER


@dataclass(frozen=True, slots=True)
class Cluster:
    """A child cluster by project and name; `streams` puts the upstream of large and long answers behind it."""

    namespace: str
    name: str
    streams: bool = False

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
    stream_port: int = 0
    issuer: str = ISSUER

    @property
    def public_key_file(self) -> Path:
        """The issuer's one public key as PEM, beside the key set."""
        return self.key_set_file.with_suffix(".pem")

    def port(self, cluster: Cluster) -> int:
        """Port of the upstream behind a cluster."""
        return self.stream_port if cluster.streams else self.upstream_port

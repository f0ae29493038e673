"""The values that say what a request asks for.

Every target carries `path`, the bytes of the upstream's path exactly as they will be sent (they begin with `/`), and `query`, the
raw query without its `?`, or None without one: what was judged is what is sent.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Verb: TypeAlias = Literal[
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "proxy", "post", "put", "head", "options"
]


@dataclass(frozen=True, slots=True)
class ClusterRef:
    """A child cluster: its project and its name, never two loose strings."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """The Kubernetes reading of a path (apiserver, `pkg/endpoints/request/requestinfo.go`).

    For a resource request `verb` is one of Kubernetes' verbs and `name`, `namespace`, `subresource` are None where absent.
    Otherwise `verb` is the lower-case HTTP method, `resource` is None and `path` in the target is all there is.
    `is_write` is the policy's reading: everything but get, list, watch, and every connecting subresource.
    """

    verb: Verb
    is_resource_request: bool
    is_write: bool
    is_long_running: bool
    api_group: str = ""
    api_version: str = ""
    namespace: str | None = None
    resource: str | None = None
    subresource: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ManagementApi:
    """A request to the management API (`/kaas/…`)."""

    info: RequestInfo
    method: str
    path: bytes
    query: bytes | None

    def __str__(self) -> str:
        return "kaas"


@dataclass(frozen=True, slots=True)
class ClusterApi:
    """A request to a child cluster's Kubernetes API (`/k8s/<namespace>/<cluster>/…`)."""

    ref: ClusterRef
    info: RequestInfo
    method: str
    path: bytes
    query: bytes | None

    def __str__(self) -> str:
        return f"k8s/{self.ref}"


@dataclass(frozen=True, slots=True)
class MonitoringUi:
    """A request to a StackLight application (`/sl/<namespace>/<cluster>/<app>/…`, or by host name).

    `path` is relative to the application's root; `prefix` is what path mode removed (`/sl/a/b/grafana`), empty in host mode.
    `is_bare` marks a prefix without its slash, which is judged as the root and redirected when permitted.
    """

    ref: ClusterRef
    app: str
    method: str
    path: bytes
    query: bytes | None
    prefix: bytes = b""
    is_bare: bool = False

    def __str__(self) -> str:
        return f"sl/{self.ref}/{self.app}"


@dataclass(frozen=True, slots=True)
class OwnPage:
    """One of the proxy's own pages: `/`, `/console/…`, `/oauth2/…`."""

    method: str
    path: bytes
    query: bytes | None


Target: TypeAlias = ManagementApi | ClusterApi | MonitoringUi | OwnPage

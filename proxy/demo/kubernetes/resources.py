"""Which resources the API serves: those of Kubernetes itself, and those that CustomResourceDefinitions add."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from proxy.demo.kubernetes.documents import Document, dig
from proxy.demo.kubernetes.refusals import qualified

READ_WRITE = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
REVIEW_GROUPS = ("authentication.k8s.io", "authorization.k8s.io")


@dataclass(frozen=True, slots=True)
class Resource:
    """One row of discovery. `columns` are additionalPrinterColumns of a definition, `schema` is its OpenAPI schema."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = READ_WRITE
    custom: bool = False
    columns: tuple[Document, ...] = ()
    schema: Document | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What the store files its objects under: they are the same in each version."""
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`."""
        return qualified(self.group, self.plural)

    @property
    def singular(self) -> str:
        """What kubectl prints before the slash."""
        return self.kind.lower()


def _review(group: str, version: str, kind: str) -> Resource:
    return Resource(group, version, kind.lower() + "s", kind, namespaced=False, verbs=("create",))


_SCALE = ("scale", "status")
_POD_SUBRESOURCES = ("attach", "eviction", "exec", "log", "portforward", "proxy", "status")

BUILT_IN: tuple[Resource, ...] = (
    Resource("", "v1", "configmaps", "ConfigMap", True, ("cm",)),
    Resource("", "v1", "endpoints", "Endpoints", True, ("ep",)),
    Resource("", "v1", "events", "Event", True, ("ev",)),
    Resource("", "v1", "limitranges", "LimitRange", True, ("limits",)),
    Resource("", "v1", "namespaces", "Namespace", False, ("ns",), subresources=("finalize", "status")),
    Resource("", "v1", "nodes", "Node", False, ("no",), subresources=("status",)),
    Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, ("pvc",), subresources=("status",)),
    Resource("", "v1", "persistentvolumes", "PersistentVolume", False, ("pv",), subresources=("status",)),
    Resource("", "v1", "pods", "Pod", True, ("po",), ("all",), _POD_SUBRESOURCES),
    Resource("", "v1", "resourcequotas", "ResourceQuota", True, ("quota",), subresources=("status",)),
    Resource("", "v1", "secrets", "Secret", True),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",)),
    Resource("", "v1", "services", "Service", True, ("svc",), ("all",), ("proxy", "status")),
    Resource("apps", "v1", "daemonsets", "DaemonSet", True, ("ds",), ("all",), ("status",)),
    Resource("apps", "v1", "deployments", "Deployment", True, ("deploy",), ("all",), _SCALE),
    Resource("apps", "v1", "replicasets", "ReplicaSet", True, ("rs",), ("all",), _SCALE),
    Resource("apps", "v1", "statefulsets", "StatefulSet", True, ("sts",), ("all",), _SCALE),
    Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False, ("crd", "crds"),
             ("api-extensions",), ("status",)),
    Resource("batch", "v1", "cronjobs", "CronJob", True, ("cj",), ("all",), ("status",)),
    Resource("batch", "v1", "jobs", "Job", True, (), ("all",), ("status",)),
    Resource("coordination.k8s.io", "v1", "leases", "Lease", True),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True),
    Resource("networking.k8s.io", "v1", "ingresses", "Ingress", True, ("ing",), subresources=("status",)),
    Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, ("netpol",)),
    Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False),
    Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False),
    Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True),
    Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", True),
    Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, ("sc",)),
    _review("authentication.k8s.io", "v1", "SelfSubjectReview"),
    # kubectl 1.27 asks for this version only
    _review("authentication.k8s.io", "v1beta1", "SelfSubjectReview"),
    _review("authorization.k8s.io", "v1", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io", "v1", "SelfSubjectRulesReview"),
)  # fmt: skip


def defined(definition: Document) -> Iterator[Resource]:
    """The resources, one for each served version, that a CustomResourceDefinition adds."""
    spec = definition.get("spec", {})
    names = spec.get("names", {})
    for version in spec.get("versions", ()):
        if version.get("served", True):
            yield Resource(
                group=spec.get("group", ""),
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                namespaced=spec.get("scope") == "Namespaced",
                short_names=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                subresources=tuple(sorted(version.get("subresources", {}))),
                custom=True,
                columns=tuple(version.get("additionalPrinterColumns", ())),
                schema=dig(version, "schema", "openAPIV3Schema"),
            )


class Catalogue:
    """All resources served now; rebuilt whole when a definition changes."""

    def __init__(self, definitions: Iterable[Document] = ()) -> None:
        self.replace(definitions)

    def replace(self, definitions: Iterable[Document]) -> None:
        """Take these CustomResourceDefinitions instead of the earlier ones."""
        rows = [*BUILT_IN, *(resource for definition in definitions for resource in defined(definition))]
        self._rows = {(row.group, row.version, row.plural): row for row in rows}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._rows.values())

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """None when nothing of that name is served."""
        return self._rows.get((group, version, plural))

    def versions(self) -> dict[str, list[str]]:
        """Group → its versions, the core group first, preferred versions first."""
        groups: dict[str, list[str]] = {}
        for row in self:
            listed = groups.setdefault(row.group, [])
            if row.version not in listed:
                listed.append(row.version)
        return groups

    def within(self, group: str, version: str) -> list[Resource]:
        """The resources of one group version."""
        return [row for row in self if (row.group, row.version) == (group, version)]

"""Which groups, versions and resources there are, in the plain and in the aggregated form."""

from collections.abc import Iterable

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import no_such_path
from proxy.demo.kubernetes.resources import Catalogue, Resource

_SUBRESOURCE_VERBS = {
    "attach": ("create", "get"),
    "eviction": ("create",),
    "exec": ("create", "get"),
    "finalize": ("update",),
    "log": ("get",),
    "portforward": ("create", "get"),
    "proxy": ("create", "delete", "get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "status": ("get", "patch", "update"),
}
# Subresources whose body is of another kind than the resource's own.
_SUBRESOURCE_KINDS = {
    "attach": ("", "v1", "PodAttachOptions"),
    "eviction": ("policy", "v1", "Eviction"),
    "exec": ("", "v1", "PodExecOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
    "scale": ("autoscaling", "v1", "Scale"),
}


def legacy_versions() -> Document:
    """What /api answers."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:443"}],
    }


def groups(catalogue: Catalogue) -> Document:
    """What /apis answers."""
    listed = [_group(name, versions) for name, versions in catalogue.versions().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(catalogue: Catalogue, name: str) -> Document:
    """What /apis/<group> answers; raises Refused (404)."""
    versions = catalogue.versions().get(name)
    if not name or not versions:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resources(catalogue: Catalogue, name: str, version: str) -> Document:
    """What /api/v1 and /apis/<group>/<version> answer; raises Refused (404)."""
    within = catalogue.within(name, version)
    if not within:
        raise no_such_path()
    listed = [row for resource in within for row in _plain_rows(resource)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": within[0].api_version,
        "resources": listed,
    }


def aggregated(catalogue: Catalogue, version: str, *, core: bool) -> Document:
    """All groups with all their resources in one answer; `version` is v2 or v2beta1 of apidiscovery.k8s.io."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None},
            "versions": [
                {"version": served, "resources": _aggregated_rows(catalogue.within(name, served)), "freshness": "Current"}
                for served in versions
            ],
        }
        for name, versions in catalogue.versions().items()
        if bool(name) is not core
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": items,
    }


def _group(name: str, versions: list[str]) -> Document:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _plain_rows(resource: Resource) -> Iterable[Document]:
    yield {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
        **({"shortNames": list(resource.short_names)} if resource.short_names else {}),
        **({"categories": list(resource.categories)} if resource.categories else {}),
    }
    for name in resource.subresources:
        group_name, version, kind = _subresource_kind(resource, name)
        yield {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            **({"group": group_name, "version": version} if name in _SUBRESOURCE_KINDS and group_name else {}),
            "kind": kind,
            "verbs": list(_SUBRESOURCE_VERBS[name]),
        }


def _aggregated_rows(within: Iterable[Resource]) -> list[Document]:
    return [
        {
            "resource": resource.plural,
            "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "singularResource": resource.singular,
            "verbs": list(resource.verbs),
            "shortNames": list(resource.short_names),
            "categories": list(resource.categories),
            "subresources": [_aggregated_subresource(resource, name) for name in resource.subresources],
        }
        for resource in within
    ]


def _aggregated_subresource(resource: Resource, name: str) -> Document:
    group_name, version, kind = _subresource_kind(resource, name)
    return {
        "subresource": name,
        "responseKind": {"group": group_name, "version": version, "kind": kind},
        "verbs": list(_SUBRESOURCE_VERBS[name]),
    }


def _subresource_kind(resource: Resource, name: str) -> tuple[str, str, str]:
    return _SUBRESOURCE_KINDS.get(name, (resource.group, resource.version, resource.kind))

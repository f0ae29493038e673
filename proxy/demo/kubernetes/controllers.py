"""Keeps what depends on other objects in step: pods of deployments, running pods, contents of namespaces.

Everything happens at once, within the write that caused it: a demonstration needs no waiting.
"""

from proxy.demo.kubernetes import workloads
from proxy.demo.kubernetes.documents import Document, dig
from proxy.demo.kubernetes.resources import Catalogue
from proxy.demo.kubernetes.store import ResourceKey, Store

DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
DEPLOYMENTS = ("apps", "deployments")
EVENTS = ("", "events")
NAMESPACES = ("", "namespaces")
NODES = ("", "nodes")
PODS = ("", "pods")
REPLICA_SETS = ("apps", "replicasets")


class Controllers:
    """Reacts to each write of a client."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    def written(self, resource: ResourceKey, document: Document) -> None:
        """An object was created or changed."""
        if resource == DEPLOYMENTS:
            self._deploy(document)
        elif resource == REPLICA_SETS:
            self._populate(document)
        elif resource == PODS and dig(document, "status", "phase", default="Pending") == "Pending":
            self._run(document)
        elif resource == DEFINITIONS:
            self._define(document)

    def removed(self, resource: ResourceKey, document: Document, *, orphan: bool) -> None:
        """An object is gone: so is what it owned, and its own owner may want another one."""
        if not orphan:
            self._collect(document)
        if resource == NAMESPACES:
            self._empty(document["metadata"]["name"])
        elif resource == DEFINITIONS:
            self._catalogue.replace(self._store.list(DEFINITIONS))
        for reference in dig(document, "metadata", "ownerReferences", default=[]):
            owner = self._store.get(REPLICA_SETS, document["metadata"].get("namespace"), reference["name"])
            if owner is not None and owner["metadata"]["uid"] == reference["uid"]:
                self._populate(owner)

    def _define(self, definition: Document) -> None:
        accepted = workloads.accepted(definition)
        if accepted != definition:
            self._store.put(DEFINITIONS, accepted)
        self._catalogue.replace(self._store.list(DEFINITIONS))

    def _deploy(self, deployment: Document) -> None:
        owned = self._owned(REPLICA_SETS, deployment)
        revisions = [int(dig(each, "metadata", "annotations", workloads.REVISION, default=0)) for each in owned]
        wanted = workloads.replica_set(deployment, max(revisions, default=0) + 1)
        present = next((each for each in owned if each["metadata"]["name"] == wanted["metadata"]["name"]), None)
        for each in owned:
            if each is not present:
                self._scale(each, 0)
        if present is None:
            self._populate(self._store.put(REPLICA_SETS, wanted))
        else:
            self._scale(present, workloads.replicas(deployment))
        status = workloads.deployment_status(deployment)
        if deployment.get("status") != status:
            self._store.put(DEPLOYMENTS, {**deployment, "status": status})

    def _scale(self, owner: Document, count: int) -> None:
        if workloads.replicas(owner) != count:
            owner = self._store.put(REPLICA_SETS, {**owner, "spec": {**owner["spec"], "replicas": count}})
        self._populate(owner)

    def _populate(self, owner: Document) -> None:
        pods, count = self._owned(PODS, owner), workloads.replicas(owner)
        for surplus in pods[count:]:
            self._remove(PODS, surplus)
        for _ in range(count - len(pods)):
            self._run(self._store.put(PODS, workloads.pod(owner, self._store.revision, self._node())))
        status = workloads.replica_set_status(owner)
        if owner.get("status") != status:
            self._store.put(REPLICA_SETS, {**owner, "status": status})

    def _run(self, pod: Document) -> None:
        if dig(pod, "spec", "nodeName") is None and (node := self._node()) is not None:
            pod = {**pod, "spec": {**pod["spec"], "nodeName": node}}
        started = self._store.put(PODS, workloads.running(pod))
        for event in workloads.pod_events(started):
            self._store.put(EVENTS, event)

    def _node(self) -> str | None:
        nodes = [node for node in self._store.list(NODES) if not dig(node, "spec", "unschedulable")]
        free = [node for node in nodes if not dig(node, "spec", "taints")] or nodes
        return str(free[self._store.revision % len(free)]["metadata"]["name"]) if free else None

    def _owned(self, resource: ResourceKey, owner: Document) -> list[Document]:
        uid = owner["metadata"]["uid"]
        candidates = self._store.list(resource, owner["metadata"].get("namespace"))
        return [each for each in candidates if _is_owned(each, uid)]

    def _collect(self, owner: Document) -> None:
        uid = owner["metadata"].get("uid")
        for resource, document in self._store.everything():
            if uid and _is_owned(document, uid):
                self._remove(resource, document)

    def _empty(self, namespace: str) -> None:
        for resource, document in self._store.everything():
            if dig(document, "metadata", "namespace") == namespace:
                self._remove(resource, document)

    def _remove(self, resource: ResourceKey, document: Document) -> None:
        metadata = document["metadata"]
        if self._store.get(resource, metadata.get("namespace"), metadata["name"]) is not None:
            self._store.remove(resource, metadata.get("namespace"), metadata["name"])
            self._collect(document)


def _is_owned(document: Document, uid: str) -> bool:
    return any(reference.get("uid") == uid for reference in dig(document, "metadata", "ownerReferences", default=[]))

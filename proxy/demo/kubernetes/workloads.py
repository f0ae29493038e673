"""What the controllers of a cluster would make: replica sets of deployments, pods of replica sets, running states."""

import uuid
from typing import Any

from proxy.demo.kubernetes.documents import Document, dig, digest, timestamp

_HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def owner_reference(owner: Document) -> Document:
    """Marks a document as made by the owner, and removed with it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def new_metadata(name: str, namespace: str | None, **members: Any) -> Document:
    """Metadata as the server fills it in; the uid follows from namespace, name and time."""
    created = members.pop("created", None) or timestamp()
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "uid": uid_for(namespace, name, created, *sorted(members)),
        "creationTimestamp": created,
        "generation": 1,
        **members,
    }


def uid_for(*parts: object) -> str:
    """A UUID, always the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))))


def replica_set(deployment: Document, revision: int) -> Document:
    """The replica set that runs the deployment's present template."""
    template = deployment["spec"]["template"]
    mark = digest(template)
    labels = {**dig(template, "metadata", "labels", default={}), _HASH_LABEL: mark}
    metadata = deployment["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": new_metadata(
            f"{metadata['name']}-{mark}",
            metadata["namespace"],
            created=metadata["creationTimestamp"] if revision == 1 else None,
            labels=labels,
            annotations={REVISION: str(revision)},
            ownerReferences=[owner_reference(deployment)],
        ),
        "spec": {
            "replicas": replicas(deployment),
            "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {**template.get("metadata", {}), "labels": labels}},
        },
    }


def replicas(workload: Document) -> int:
    """How many pods are wanted; one when it does not say."""
    return int(dig(workload, "spec", "replicas", default=1))


def pod(owner: Document, salt: object, node: str | None, created: str | None = None) -> Document:
    """A pod of a replica set, placed but not yet running."""
    template = owner["spec"]["template"]
    name = f"{owner['metadata']['name']}-{digest(owner['metadata']['uid'], salt, length=5)}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": new_metadata(
            name,
            owner["metadata"]["namespace"],
            created=created,
            generateName=f"{owner['metadata']['name']}-",
            labels=dig(template, "metadata", "labels", default={}),
            annotations=dig(template, "metadata", "annotations", default={}),
            ownerReferences=[owner_reference(owner)],
        ),
        "spec": {**template["spec"], **({"nodeName": node} if node else {})},
        "status": {"phase": "Pending"},
    }


def running(candidate: Document) -> Document:
    """The pod with the status that a kubelet would report once all containers run."""
    started = dig(candidate, "metadata", "creationTimestamp", default=timestamp())
    address = _address(candidate["metadata"]["uid"])
    conditions = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    status = {
        "phase": "Running",
        "qosClass": "BestEffort",
        "startTime": started,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": started} for kind in conditions],
        "containerStatuses": [_container_status(each, started) for each in candidate["spec"]["containers"]],
    }
    return {**candidate, "status": status}


def _container_status(container: Document, started: str) -> Document:
    image = container.get("image", "")
    return {
        "name": container["name"],
        "image": image,
        "imageID": f"{image}@sha256:{uid_for(image).replace('-', '')}",
        "containerID": f"containerd://{uid_for(container['name'], started).replace('-', '')}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": started}},
        "lastState": {},
    }


def _address(uid: str) -> str:
    number = int(uid[:4], 16)
    return f"10.233.{64 + number % 64}.{2 + number // 64 % 250}"


def accepted(definition: Document) -> Document:
    """A CustomResourceDefinition whose names are taken and whose resource is served."""
    conditions = [{"type": kind, "status": "True", "reason": kind} for kind in ("NamesAccepted", "Established")]
    versions = [version["name"] for version in definition["spec"]["versions"] if version.get("storage")]
    status = {"acceptedNames": definition["spec"]["names"], "conditions": conditions, "storedVersions": versions}
    return {**definition, "status": status}


def service_address(namespace: str | None, name: str | None) -> str:
    """The virtual address of a service."""
    number = int(uid_for(namespace, name)[:4], 16)
    return f"10.96.{number >> 8}.{number & 0xFF}"


def deployment_status(deployment: Document) -> Document:
    """All wanted pods are there and ready."""
    count = replicas(deployment)
    since = dig(deployment, "metadata", "creationTimestamp", default=timestamp())
    reasons = (("Available", "MinimumReplicasAvailable"), ("Progressing", "NewReplicaSetAvailable"))
    return {
        "observedGeneration": dig(deployment, "metadata", "generation", default=1),
        "replicas": count,
        "updatedReplicas": count,
        "readyReplicas": count,
        "availableReplicas": count,
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": f"{deployment['metadata']['name']}: all replicas are available.",
                "lastUpdateTime": since,
                "lastTransitionTime": since,
            }
            for kind, reason in reasons
        ],
    }


def replica_set_status(owner: Document) -> Document:
    """All wanted pods are there and ready."""
    count = replicas(owner)
    counts = dict.fromkeys(("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"), count)
    return {**counts, "observedGeneration": dig(owner, "metadata", "generation", default=1)}


def event(concerned: Document, reason: str, message: str, reporter: str, *, created: str | None = None) -> Document:
    """A normal event about an object, in its namespace."""
    metadata = concerned["metadata"]
    moment = created or timestamp()
    reference = {
        "apiVersion": concerned["apiVersion"],
        "kind": concerned["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        **({"namespace": metadata["namespace"]} if "namespace" in metadata else {}),
    }
    name = f"{metadata['name']}.{digest(metadata['uid'], reason, moment, length=16)}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": new_metadata(name, metadata.get("namespace", "default"), created=moment),
        "involvedObject": reference,
        "reason": reason,
        "message": message,
        "type": "Normal",
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": reporter},
    }


def pod_events(candidate: Document) -> list[Document]:
    """What a scheduler and a kubelet tell of a new pod."""
    metadata = candidate["metadata"]
    node = dig(candidate, "spec", "nodeName", default="a node")
    placed = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
    containers = ", ".join(container["name"] for container in candidate["spec"]["containers"])
    created = metadata["creationTimestamp"]
    return [
        event(candidate, "Scheduled", placed, "default-scheduler", created=created),
        event(candidate, "Started", f"Started container {containers}", "kubelet", created=created),
    ]

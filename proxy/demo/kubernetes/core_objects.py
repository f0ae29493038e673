"""Objects that every cluster has: namespaces, nodes, services, secrets, and deployments with their pods."""

import base64
from collections.abc import Iterator, Mapping

from proxy.demo.kubernetes import workloads
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.openapi import SERVER_VERSION
from proxy.demo.kubernetes.workloads import new_metadata

_CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def namespace(name: str, created: str, labels: Mapping[str, str] | None = None) -> Document:
    """An active namespace."""
    metadata = new_metadata(name, None, created=created, labels={"kubernetes.io/metadata.name": name, **(labels or {})})
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata,
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def node(name: str, address: str, created: str, *, control_plane: bool) -> Document:
    """A ready node."""
    role = "node-role.kubernetes.io/" + ("control-plane" if control_plane else "worker")
    labels = {role: "", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    capacity = {"cpu": "32", "memory": "131072Mi", "pods": "110", "ephemeral-storage": "800Gi"}
    troubles = ("MemoryPressure", "DiskPressure", "PIDPressure")
    conditions = [*((kind, "False", "KubeletHasEnough") for kind in troubles), ("Ready", "True", "KubeletReady")]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": new_metadata(name, None, created=created, labels=labels),
        "spec": {"podCIDR": "10.233.64.0/24", **({"taints": [_CONTROL_PLANE_TAINT]} if control_plane else {})},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": f"kubelet reports {kind}={status}",
                    "lastHeartbeatTime": created,
                    "lastTransitionTime": created,
                }
                for kind, status, reason in conditions
            ],
            "nodeInfo": {
                "kubeletVersion": SERVER_VERSION,
                "kubeProxyVersion": SERVER_VERSION,
                "osImage": "Ubuntu 22.04.5 LTS",
                "kernelVersion": "5.15.0-140-generic",
                "containerRuntimeVersion": "containerd://1.7.27",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "machineID": workloads.uid_for("machine", name),
                "systemUUID": workloads.uid_for("system", name),
                "bootID": workloads.uid_for("boot", name),
            },
        },
    }


def lease(node_name: str, created: str) -> Document:
    """By which a node shows that it is alive."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": new_metadata(node_name, "kube-node-lease", created=created),
        "spec": {"holderIdentity": node_name, "leaseDurationSeconds": 40, "renewTime": created.replace("Z", ".000000Z")},
    }


def container(name: str, image: str, port: int | None = None, env: Mapping[str, str] | None = None) -> Document:
    """A container; the port is the one that answers to port-forward."""
    return {
        "name": name,
        "image": image,
        **({"ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}]} if port else {}),
        **({"env": [{"name": key, "value": value} for key, value in env.items()]} if env else {}),
        "resources": {},
    }


def deployment(name: str, namespace_: str, created: str, count: int, *containers: Document) -> Document:
    """A deployment whose pods carry the label `app`."""
    labels = {"app": name}
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": new_metadata(
            name, namespace_, created=created, labels=labels, annotations={workloads.REVISION: "1"}
        ),
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": list(containers), "restartPolicy": "Always"}},
        },
    }  # fmt: skip
    return {**document, "status": workloads.deployment_status(document)}


def rolled_out(owner: Document, nodes: list[str]) -> Iterator[Document]:
    """A deployment with its replica set, pods and their events."""
    yield owner
    replica_set = workloads.replica_set(owner, 1)
    yield {**replica_set, "status": workloads.replica_set_status(replica_set)}
    created = owner["metadata"]["creationTimestamp"]
    for place in range(workloads.replicas(owner)):
        pod = workloads.running(workloads.pod(replica_set, place, nodes[place % len(nodes)], created))
        yield pod
        yield from workloads.pod_events(pod)


def pod(name: str, namespace_: str, created: str, node_name: str, *containers: Document) -> Document:
    """A running pod of its own."""
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": new_metadata(name, namespace_, created=created, labels={"app": name}),
        "spec": {"containers": list(containers), "nodeName": node_name, "restartPolicy": "Always"},
    }
    return workloads.running(document)


def service(name: str, namespace_: str, created: str, port: int) -> Document:
    """In front of the pods with the label `app`."""
    address = workloads.service_address(namespace_, name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": new_metadata(name, namespace_, created=created, labels={"app": name}),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "selector": {"app": name},
            "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}],
            "sessionAffinity": "None",
        },
        "status": {"loadBalancer": {}},
    }


def config_map(name: str, namespace_: str, created: str, texts: Mapping[str, str]) -> Document:
    """Texts by name."""
    metadata = new_metadata(name, namespace_, created=created)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(texts)}


def secret(
    name: str, namespace_: str, created: str, texts: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> Document:
    """Texts by name, stored in base64."""
    metadata = new_metadata(name, namespace_, created=created, annotations=dict(annotations or {}))
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded}


def service_account(name: str, namespace_: str, created: str) -> Document:
    """An account for pods."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": new_metadata(name, namespace_, created=created)}

"""The columns that `kubectl get` shows for each kind.

Names and order as in kubernetes/pkg/printers/internalversion/printers.go, so that outputs look familiar.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.demo.kubernetes.documents import Document, age, dig
from proxy.demo.kubernetes.jsonpath import evaluate
from proxy.demo.kubernetes.resources import Resource


@dataclass(frozen=True, slots=True)
class Column:
    """One column; those with priority 1 appear with `-o wide` only."""

    name: str
    value: Callable[[Document], Any]
    type: str = "string"
    priority: int = 0
    description: str = ""

    def cell(self, document: Document) -> Any:
        """The value; kinds without a schema may hold anything where it is looked for."""
        try:
            return self.value(document)
        except (AttributeError, TypeError):
            return "<unknown>"

    def definition(self) -> Document:
        """The column's row in columnDefinitions."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": self.description or f"{self.name} of the object.",
            "priority": self.priority,
        }


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """Name first; Name and Age when nothing else is known of the kind."""
    if resource.custom:
        chosen = tuple(_custom(row) for row in resource.columns) or (_AGE,)
    else:
        chosen = _BUILT_IN.get(resource.kind, (_AGE,))
    return (_NAME, *chosen) if resource.kind != "Event" else chosen


def _at(*path: str, default: Any = "<none>") -> Callable[[Document], Any]:
    return lambda document: dig(document, *path, default=default)


def _custom(row: Document) -> Column:
    path, kind = row["jsonPath"], row["type"]

    def value(document: Document) -> Any:
        found = evaluate(path, document)
        if kind == "date":
            return age(found)
        return str(found).lower() if isinstance(found, bool) and kind == "string" else found

    return Column(row["name"], value, kind, row.get("priority", 0), row.get("description", ""))


def _pod_ready(pod: Document) -> str:
    statuses = dig(pod, "status", "containerStatuses", default=[])
    return f"{sum(bool(status.get('ready')) for status in statuses)}/{len(dig(pod, 'spec', 'containers', default=[]))}"


def _pod_status(pod: Document) -> str:
    if dig(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    waiting = (dig(status, "state", "waiting", "reason") for status in dig(pod, "status", "containerStatuses", default=[]))
    return str(next((reason for reason in waiting if reason), None) or dig(pod, "status", "phase", default="Unknown"))


def _restarts(pod: Document) -> str:
    return str(sum(status.get("restartCount", 0) for status in dig(pod, "status", "containerStatuses", default=[])))


def _replicas_ready(deployment: Document) -> str:
    return f"{dig(deployment, 'status', 'readyReplicas', default=0)}/{dig(deployment, 'spec', 'replicas', default=1)}"


def _containers(member: str) -> Callable[[Document], str]:
    return lambda document: ",".join(
        container.get(member, "") for container in dig(document, "spec", "template", "spec", "containers", default=[])
    )


def _labels(*path: str) -> Callable[[Document], str]:
    return lambda document: ",".join(f"{k}={v}" for k, v in dig(document, *path, default={}).items()) or "<none>"


def _node_status(node: Document) -> str:
    ready = evaluate('.status.conditions[?(@.type=="Ready")].status', node)
    words = ["Ready" if ready == "True" else "NotReady"]
    return ",".join([*words, "SchedulingDisabled"] if dig(node, "spec", "unschedulable") else words)


def _node_roles(node: Document) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = dig(node, "metadata", "labels", default={})
    return ",".join(sorted(label.removeprefix(prefix) for label in labels if label.startswith(prefix))) or "<none>"


def _node_address(kind: str) -> Callable[[Document], str]:
    return lambda node: evaluate(f'.status.addresses[?(@.type=="{kind}")].address', node) or "<none>"


def _service_ports(service: Document) -> str:
    ports = dig(service, "spec", "ports", default=[])
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _event_object(event: Document) -> str:
    concerned = event.get("involvedObject", {})
    return f"{str(concerned.get('kind', '')).lower()}/{concerned.get('name', '')}"


def _last_seen(event: Document) -> str:
    return age(event.get("lastTimestamp") or event.get("eventTime") or dig(event, "metadata", "creationTimestamp"))


def _entries(*members: str) -> Callable[[Document], int]:
    return lambda document: sum(len(document.get(member) or {}) for member in members)


_NAME = Column("Name", _at("metadata", "name"), description="Unique within its namespace.")
_AGE = Column("Age", lambda document: age(dig(document, "metadata", "creationTimestamp")))
_WORKLOAD_WIDE = (
    Column("Containers", _containers("name"), priority=1),
    Column("Images", _containers("image"), priority=1),
    Column("Selector", _labels("spec", "selector", "matchLabels"), priority=1),
)
_BUILT_IN: Mapping[str, tuple[Column, ...]] = {
    "ConfigMap": (Column("Data", _entries("data", "binaryData")), _AGE),
    "CustomResourceDefinition": (Column("Created At", _at("metadata", "creationTimestamp")),),
    "DaemonSet": (
        Column("Desired", _at("status", "desiredNumberScheduled", default=0), "integer"),
        Column("Current", _at("status", "currentNumberScheduled", default=0), "integer"),
        Column("Ready", _at("status", "numberReady", default=0), "integer"),
        Column("Node Selector", _labels("spec", "template", "spec", "nodeSelector")),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "Deployment": (
        Column("Ready", _replicas_ready),
        Column("Up-to-date", _at("status", "updatedReplicas", default=0), "integer"),
        Column("Available", _at("status", "availableReplicas", default=0), "integer"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "Event": (
        Column("Last Seen", _last_seen),
        Column("Type", _at("type")),
        Column("Reason", _at("reason")),
        Column("Object", _event_object),
        Column("Message", _at("message")),
        Column("Source", _at("source", "component"), priority=1),
        Column("Name", _at("metadata", "name"), priority=1),
    ),
    "Namespace": (Column("Status", _at("status", "phase", default="Active")), _AGE),
    "Node": (
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        _AGE,
        Column("Version", _at("status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", _node_address("InternalIP"), priority=1),
        Column("External-IP", _node_address("ExternalIP"), priority=1),
        Column("OS-Image", _at("status", "nodeInfo", "osImage"), priority=1),
        Column("Kernel-Version", _at("status", "nodeInfo", "kernelVersion"), priority=1),
        Column("Container-Runtime", _at("status", "nodeInfo", "containerRuntimeVersion"), priority=1),
    ),
    "Pod": (
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        _AGE,
        Column("IP", _at("status", "podIP"), priority=1),
        Column("Node", _at("spec", "nodeName"), priority=1),
        Column("Nominated Node", _at("status", "nominatedNodeName"), priority=1),
        Column("Readiness Gates", lambda _: "<none>", priority=1),
    ),
    "ReplicaSet": (
        Column("Desired", _at("spec", "replicas", default=1), "integer"),
        Column("Current", _at("status", "replicas", default=0), "integer"),
        Column("Ready", _at("status", "readyReplicas", default=0), "integer"),
        _AGE,
        *_WORKLOAD_WIDE,
    ),
    "Secret": (Column("Type", _at("type", default="Opaque")), Column("Data", _entries("data"), "integer"), _AGE),
    "Service": (
        Column("Type", _at("spec", "type", default="ClusterIP")),
        Column("Cluster-IP", _at("spec", "clusterIP")),
        Column("External-IP", lambda _: "<none>"),
        Column("Port(s)", _service_ports),
        _AGE,
        Column("Selector", _labels("spec", "selector"), priority=1),
    ),
    "ServiceAccount": (Column("Secrets", _entries("secrets"), "integer"), _AGE),
}

"""What a child cluster holds: nodes, system namespaces, an application, OpenStack services, and a pod to try exec in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from proxy.demo.kubernetes import core_objects, workloads
from proxy.demo.kubernetes.documents import Document, timestamp

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease", "openstack", "stacklight")

# namespace, name, replicas, image, port
_DEPLOYMENTS = (
    ("default", "web", 3, "nginx:1.27", 80),
    ("default", "api", 2, "registry.demo/shop/api:4.2", 8080),
    ("kube-system", "coredns", 2, "registry.demo/coredns:1.11", 53),
    ("openstack", "keystone-api", 2, "registry.demo/openstack/keystone:2025.1", 5000),
    ("openstack", "nova-api-osapi", 2, "registry.demo/openstack/nova:2025.1", 8774),
    ("stacklight", "grafana", 1, "registry.demo/stacklight/grafana:11", 3000),
)


def child_objects(cluster: str) -> list[Document]:
    """The first objects of a child cluster; the name, with or without its project, appears in its nodes."""
    created = timestamp(datetime.now(UTC) - timedelta(days=41, hours=5))
    return list(_objects(cluster.rpartition("/")[2], created))


def _objects(cluster: str, created: str) -> Iterator[Document]:
    nodes = [
        core_objects.node(f"{cluster}-{role}-{place}", f"10.0.10.{first + place}", created, control_plane=role == "master")
        for role, first, count in (("master", 11, 3), ("worker", 21, 2))
        for place in range(count)
    ]
    workers = [node["metadata"]["name"] for node in nodes[3:]]
    for node in nodes:
        yield node
        yield core_objects.lease(node["metadata"]["name"], created)
    for name in _NAMESPACES:
        yield core_objects.namespace(name, created)
        yield core_objects.service_account("default", name, created)
        yield core_objects.config_map("kube-root-ca.crt", name, created, {"ca.crt": "demonstration\n"})
    for namespace, name, count, image, port in _DEPLOYMENTS:
        main = core_objects.container(name.partition("-")[0], image, port, {"CLUSTER": cluster})
        yield from core_objects.rolled_out(core_objects.deployment(name, namespace, created, count, main), workers)
        yield core_objects.service(name, namespace, created, port)
    yield from _default_namespace(cluster, created, workers[0])


def _default_namespace(cluster: str, created: str, worker: str) -> Iterator[Document]:
    toolbox = core_objects.pod(
        "toolbox",
        "default",
        created,
        worker,
        core_objects.container("shell", "registry.demo/toolbox:1", 8080, {"CLUSTER": cluster}),
        core_objects.container("sidecar", "registry.demo/sidecar:1"),
    )
    yield toolbox
    yield from workloads.pod_events(toolbox)
    yield core_objects.service("kubernetes", "default", created, 443)
    yield core_objects.config_map("web-settings", "default", created, {"color": "green", "greeting": f"hello from {cluster}"})
    yield core_objects.secret("web-database", "default", created, {"username": "web", "password": "not-a-secret"})

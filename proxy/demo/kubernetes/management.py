"""What the management cluster holds: projects with clusters, machines, hosts and their secrets; users, roles, releases."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.demo.kubernetes import core_objects, workloads
from proxy.demo.kubernetes.definitions import definitions
from proxy.demo.kubernetes.documents import Document, timestamp
from proxy.demo.kubernetes.management_access import access_objects
from proxy.demo.kubernetes.workloads import new_metadata

PROJECTS = ("default", "team-a", "team-b")
SYSTEM_NAMESPACES = (
    "istio-system", "kaas", "kube-node-lease", "kube-public", "kube-system", "lcm-system", "openstack-provider-system",
    "stacklight", "system",
)  # fmt: skip
_CLUSTER_RELEASE = "mosk-17-4-0-25-1"
_KAAS_RELEASE = "kaas-2-29-0"

_DEPLOYMENTS = (
    ("kaas", "iam-keycloak", 2, "registry.demo/iam/keycloak:26", 8080),
    ("kaas", "kaas-kaas-ui", 2, "registry.demo/kaas/ui:2.29", 8080),
    ("kaas", "admission-controller", 2, "registry.demo/kaas/admission:2.29", 8443),
    ("kaas", "baremetal-operator", 1, "registry.demo/kaas/baremetal-operator:2.29", 9440),
    ("kube-system", "coredns", 2, "registry.demo/coredns:1.11", 53),
)


@dataclass(frozen=True, slots=True)
class _Cluster:
    project: str
    name: str
    masters: int
    workers: int
    network: str

    @property
    def management(self) -> bool:
        return self.project == "default"

    def machines(self) -> Iterator[tuple[str, str, bool]]:
        """(name, address, whether a manager) of each."""
        for role, first, count in (("master", 11, self.masters), ("worker", 21, self.workers)):
            for place in range(count):
                yield f"{self.name}-{role}-{place}", f"{self.network}.{first + place}", role == "master"


_CLUSTERS = (
    _Cluster("default", "kaas-mgmt", 3, 0, "10.0.0"),
    _Cluster("team-a", "prod", 3, 2, "10.0.1"),
    _Cluster("team-b", "dev", 3, 2, "10.0.2"),
)


def management_objects() -> list[Document]:
    """The first objects of the management API."""
    now = datetime.now(UTC)
    return list(_objects(timestamp(now - timedelta(days=120)), timestamp(now - timedelta(days=41, hours=5))))


def _objects(installed: str, created: str) -> Iterator[Document]:
    yield from definitions(installed)
    for name in PROJECTS:
        yield core_objects.namespace(name, installed, {"kaas.mirantis.com/project": "true"})
    for name in SYSTEM_NAMESPACES:
        yield core_objects.namespace(name, installed)
    yield from _own_workloads(installed)
    yield from _releases(installed)
    yield from access_objects(installed)
    for cluster in _CLUSTERS:
        yield from _cluster_objects(cluster, installed if cluster.management else created)


def _own_workloads(installed: str) -> Iterator[Document]:
    nodes = []
    for name, address, manager in _CLUSTERS[0].machines():
        yield core_objects.node(name, address, installed, control_plane=manager)
        yield core_objects.lease(name, installed)
        nodes.append(name)
    for namespace, name, count, image, port in _DEPLOYMENTS:
        main = core_objects.container(name.rpartition("-")[2], image, port)
        yield from core_objects.rolled_out(core_objects.deployment(name, namespace, installed, count, main), nodes)
        yield core_objects.service(name, namespace, installed, port)
    yield core_objects.secret("iam-api-secrets", "kaas", installed, {"keycloak-admin-password": "not-a-secret"})


def _releases(installed: str) -> Iterator[Document]:
    for name, version in (("kaas-2-28-5", "2.28.5"), (_KAAS_RELEASE, "2.29.0")):
        supported = [{"name": _CLUSTER_RELEASE, "version": "17.4.0+25.1"}]
        yield _custom(
            "kaas", "KaaSRelease", name, None, installed, spec={"version": version, "supportedClusterReleases": supported}
        )
    for name, version in (
        ("mke-16-4-0-3-7-20", "16.4.0+3.7.20"),
        ("mosk-17-3-0-24-3", "17.3.0+24.3"),
        (_CLUSTER_RELEASE, "17.4.0+25.1"),
    ):
        yield _custom(
            "kaas", "ClusterRelease", name, None, installed, spec={"version": version, "description": f"Release {version}"}
        )
    yield _custom("kaas", "MCCUpgrade", "mcc-upgrade", None, installed, spec={"autoDelay": "72h"})
    yield _custom(
        "kaas", "License", "license", None, installed, status={"customerID": "demo", "expirationTime": "2099-01-01T00:00:00Z"}
    )


def _cluster_objects(cluster: _Cluster, created: str) -> Iterator[Document]:
    yield _cluster(cluster, created)
    yield _custom(
        "lcm", "LCMCluster", cluster.name, cluster.project, created, spec={"kubeconfigSecretName": f"{cluster.name}-kubeconfig"}
    )
    releases = [{"name": name, "chart": f"{name}-1.0.0", "namespace": name} for name in ("stacklight", "ceph-controller")]
    yield _custom(
        "lcm",
        "HelmBundle",
        cluster.name,
        cluster.project,
        created,
        spec={"releases": releases},
        status={"releaseCount": len(releases)},
    )
    yield _custom(
        "kaas", "PublicKey", f"{cluster.name}-key", cluster.project, created, spec={"publicKey": "ssh-ed25519 AAAAdemo demo"}
    )
    subnet = {"cidr": f"{cluster.network}.0/24", "gateway": f"{cluster.network}.1", "nameservers": ["10.0.0.2"]}
    yield _custom("ipam", "Subnet", f"{cluster.name}-lcm", cluster.project, created, spec=subnet, status={"state": "OK"})
    yield core_objects.secret(
        f"{cluster.name}-kubeconfig",
        cluster.project,
        created,
        {"admin.conf": f"# the admin kubeconfig of {cluster.project}/{cluster.name} would stand here\n"},
        {"lcm.mirantis.com/cluster-secret-type": "kubeconfig", "lcm.mirantis.com/cluster-name": cluster.name},
    )
    for name, address, manager in cluster.machines():
        yield from _machine_objects(cluster, name, address, created, manager=manager)


def _cluster(cluster: _Cluster, created: str) -> Document:
    settings: Document = {
        "apiVersion": "baremetal.k8s.io/v1alpha1",
        "kind": "BaremetalClusterProviderSpec",
        "release": _CLUSTER_RELEASE,
        "publicKeys": [{"name": f"{cluster.name}-key"}],
        "loadBalancerHost": f"{cluster.network}.100",
        "maintenance": False,
        "dedicatedControlPlane": not cluster.management,
        "helmReleases": [{"name": "stacklight", "enabled": True, "values": {}}],
    }
    if cluster.management:
        settings["kaas"] = {
            "release": _KAAS_RELEASE,
            "management": {"enabled": True, "helmReleases": []},
            "regional": [{"provider": "baremetal", "helmReleases": []}],
        }
    network = {"services": {"cidrBlocks": ["10.96.0.0/16"]}, "pods": {"cidrBlocks": ["10.233.64.0/18"]}}
    metadata = new_metadata(cluster.name, cluster.project, created=created, labels={"kaas.mirantis.com/provider": "baremetal"})
    return {
        "apiVersion": "cluster.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": metadata,
        "spec": {"clusterNetwork": network, "providerSpec": {"value": settings}},
        "status": {"providerStatus": _provider_status(cluster)},
    }


def _provider_status(cluster: _Cluster) -> Document:
    count = cluster.masters + cluster.workers
    host = f"{cluster.network}.100"
    kinds = ("Helm", "Kubernetes", "Nodes", "OIDC", "LoadBalancer", "StackLight")
    applications = {
        name: {"url": f"https://{cluster.network}.{place}"}
        for place, name in enumerate(("alerta", "alertmanager", "grafana", "kibana", "prometheus"), 101)
    }
    certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmRlbW8KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
    issuer = "https://keycloak.example/auth/realms/iam"
    return {
        "ready": True,
        "conditions": [{"type": kind, "ready": True, "message": f"{kind} is ready"} for kind in kinds],
        "nodes": {"requested": count, "ready": count},
        "notReadyObjects": {},
        "maintenance": False,
        "loadBalancerHost": host,
        "loadBalancerStatus": {"id": host, "ready": True, "status": "UP"},
        "apiServerCertificate": certificate,
        "ucpDashboard": f"https://{host}:4443",
        "oidc": {"ready": True, "clientId": "k8s", "issuerUrl": issuer, "groupsClaim": "iam_roles", "certificate": certificate},
        "releaseRefs": {"current": {"name": _CLUSTER_RELEASE, "version": "17.4.0+25.1", "lcmType": "ucp"}, "available": []},
        "helm": {"ready": True, "releases": {"releaseStatuses": {"stacklight": {"success": True}}, "stacklight": applications}},
    }


def _machine_objects(cluster: _Cluster, name: str, address: str, created: str, *, manager: bool) -> Iterator[Document]:
    labels = {"cluster.sigs.k8s.io/cluster-name": cluster.name}
    if manager:
        labels["cluster.sigs.k8s.io/control-plane"] = "true"
    project, credentials = cluster.project, f"{name}-bmc"
    uid = workloads.uid_for(project, name)
    boot = ":".join(("52", "54", "00", uid[0:2], uid[2:4], uid[4:6]))
    bmc = {"address": f"{address}:623", "credentialsName": credentials}
    provisioned = {"provisioning": {"state": "provisioned"}, "poweredOn": True, "errorType": ""}
    yield _custom(
        "kaas",
        "BareMetalHostCredential",
        credentials,
        project,
        created,
        spec={"username": "admin", "password": {"value": "not-a-secret"}},
    )
    yield core_objects.secret(credentials, project, created, {"username": "admin", "password": "not-a-secret"})
    host = {"online": True, "bootMACAddress": boot}
    inventory = {**host, "bmc": {"address": bmc["address"], "bmhCredentialsName": credentials}}
    yield _custom("kaas", "BareMetalHostInventory", name, project, created, labels, spec=inventory, status=provisioned)
    consumer = {"apiVersion": "cluster.k8s.io/v1alpha1", "kind": "Machine", "name": name, "namespace": project}
    yield _custom(
        "metal3",
        "BareMetalHost",
        name,
        project,
        created,
        labels,
        spec={**host, "bmc": bmc, "consumerRef": consumer},
        status=provisioned,
    )
    kind = "control" if manager else "worker"
    yield _custom(
        "lcm",
        "LCMMachine",
        name,
        project,
        created,
        labels,
        spec={"clusterName": cluster.name, "type": kind},
        status={"state": "Ready"},
    )
    machine = _custom(
        "cluster",
        "Machine",
        name,
        project,
        created,
        labels,
        spec={
            "providerSpec": {"value": {"kind": "BareMetalMachineProviderSpec", "hostSelector": {"matchLabels": {"host": name}}}}
        },
        status={"nodeRef": {"name": name}, "providerStatus": _machine_status(address)},
    )
    yield machine
    yield workloads.event(machine, "Ready", f"Machine {name} is ready", "lcm-controller", created=created)


def _machine_status(address: str) -> Document:
    kinds = ("Kubelet", "Swarm", "LCM", "ProviderInstance")
    return {
        "ready": True,
        "status": "Ready",
        "privateIp": address,
        "maintenance": False,
        "upgradeIndex": 0,
        "reboot": {"required": False},
        "conditions": [{"type": kind, "ready": True, "message": f"{kind} is ready"} for kind in kinds],
    }


_GROUPS = {
    "cluster": "cluster.k8s.io",
    "ipam": "ipam.mirantis.com",
    "kaas": "kaas.mirantis.com",
    "lcm": "lcm.mirantis.com",
    "metal3": "metal3.io",
}


def _custom(
    group: str, kind: str, name: str, project: str | None, created: str, labels: dict[str, str] | None = None, **members: Any
) -> Document:
    metadata = new_metadata(name, project, created=created, labels=dict(labels or {}))
    return {"apiVersion": f"{_GROUPS[group]}/v1alpha1", "kind": kind, "metadata": metadata, **members}

"""All real servers with mosk-proxy in front of them, as the tests see it."""

import hashlib
import json
import ssl
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e_audit import AuditLog
from e2e_http import Api
from e2e_keycloak import Keycloak
from e2e_kubectl import Kubectl, Release
from e2e_servers import Server, start

# Namespaces of the same length, so that tables are equally wide: one for each way to the same API server.
WAYS = {"directly": "way-1", "impersonate": "way-2", "pass_token": "way-3"}
SHORT_LIVED, OTHER_SERVICE = "short-lived", "other-service"  # clients that the realm does not have by itself
LEEWAY_SECONDS = 2
_READY_SECONDS = 60
_CONFIGURATION = """
public_url: https://127.0.0.1
hosts: [localhost]
listen: {{address: 127.0.0.1, port: 0, tls: {{certificate_file: tls.crt, key_file: tls.key}}}}
admin: {{address: 127.0.0.1, port: 0}}
issuers:
- {{issuer: "{issuer}", audiences: [kaas, k8s, sl], ca_file: "{ca}", leeway_seconds: {leeway}}}
management:
  url: {management}
  ca_file: {ca}
  cluster: default/kaas-mgmt
  credential: {{kind: pass_token, audience: kaas}}
clusters:
- namespace: team-a
  name: prod
  api: {{url: "{child}", ca_file: "{ca}", credential: {{kind: impersonate, token_file: "{proxy_token}"}}}}
- namespace: team-b
  name: dev
  api: {{url: "{child}", ca_file: "{ca}", credential: {{kind: pass_token, audience: k8s}}}}
audit: {{path: audit.log}}
"""


@dataclass(frozen=True)
class ControlPlane:
    """A real Kubernetes API server and its folder."""

    url: str
    folder: Path
    ca: Path

    @property
    def audit(self) -> AuditLog:
        """Who did what, as the API server saw it."""
        return AuditLog(self.folder / "audit.log")

    @property
    def admin(self) -> Api:
        """Its administrator (system:masters)."""
        return Api(self.url, self.ca, certificate=(self.folder / "admin.crt", self.folder / "admin.key"))


@dataclass(frozen=True)
class Door:
    """A running mosk-proxy."""

    url: str
    admin_url: str
    folder: Path
    server: Server

    @property
    def audit(self) -> AuditLog:
        """Its own audit lines."""
        return AuditLog(self.folder / "audit.log")

    def probe(self, path: str) -> str:
        """Ask the admin listener."""
        with urllib.request.urlopen(self.admin_url + path, timeout=10) as answer:
            return str(answer.read().decode())


@dataclass(frozen=True)
class World:
    """Keycloak, a child's API server with nodes and pods, a management API server, and mosk-proxy in front."""

    folder: Path
    ca: Path
    keycloak: Keycloak
    keycloak_server: Server
    child: ControlPlane
    management: ControlPlane
    door: Door
    kept: dict[str, str] = field(default_factory=dict)

    def url(self, way: str) -> str:
        """Return the server URL of one of WAYS."""
        return {
            "directly": self.child.url,
            "impersonate": f"{self.door.url}/k8s/team-a/prod",
            "pass_token": f"{self.door.url}/k8s/team-b/dev",
        }[way]

    def through(self, path: str, token: str | None) -> Api:
        """Return an API below a path of the door."""
        return Api(self.door.url + path, self.ca, token)

    def trust(self) -> ssl.SSLContext:
        """Return the trust in the test authority."""
        return ssl.create_default_context(cafile=self.ca)

    def kubectl(self, release: Release, server: str, user: str, client: str = "k8s", token: str | None = None) -> Kubectl:
        """Return a kubectl of a user who has never used it before."""
        folder = self.folder / "people" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return Kubectl(release, self.kubeconfig(server, token or self.keycloak.token(user, client)), folder, "default")

    def way(self, release: Release, way: str) -> Kubectl:
        """Return the kubectl of a cluster's administrator who goes one of WAYS, with what it has kept of earlier use."""
        folder = self.folder / "people" / f"{release.name} {way}"
        folder.mkdir(parents=True, exist_ok=True)
        user = "dev-cluster-admin" if way == "pass_token" else "prod-cluster-admin"
        constant = {self.url(way): "<server>", WAYS[way]: "<namespace>"}
        return Kubectl(release, self.kubeconfig(self.url(way), self.keycloak.token(user)), folder, WAYS[way], constant)

    def kubeconfig(self, server: str, token: str) -> Path:
        """Write a kubeconfig for one server and one token."""
        folder = self.folder / "kubeconfigs"
        folder.mkdir(exist_ok=True)
        name = hashlib.sha256(f"{server} {token}".encode()).hexdigest()[:16]
        return write_kubeconfig(folder / f"{name}.json", server, self.ca, token)

    def expired_token(self) -> str:
        """Return a token of `prod-cluster-admin` whose time is over."""
        if "expired" not in self.kept:
            self.kept["expired"] = self.keycloak.new_token("prod-cluster-admin", SHORT_LIVED)
            time.sleep(1 + LEEWAY_SECONDS + 0.5)
        return self.kept["expired"]

    def token_for_another_service(self) -> str:
        """Return a token of `prod-cluster-admin` that names an audience which is none of ours."""
        return self.keycloak.token("prod-cluster-admin", OTHER_SERVICE)

    def logs(self) -> list[Path]:
        """Return every log file that the run has written so far."""
        return sorted(path for path in self.folder.rglob("*.log") if path.is_file())


def write_kubeconfig(path: Path, server: str, ca: Path, token: str) -> Path:
    """Write a kubeconfig with one context, `it`; returns `path`."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "it", "user": {"token": token}}],
    }
    path.write_text(json.dumps(document))
    return path


def open_door(folder: Path, ca: Path, issuer: str, child: ControlPlane, management: ControlPlane) -> Door:
    """Start mosk-proxy and wait until it is ready."""
    folder.mkdir()
    certificate(folder / "tls", ca)
    configuration = folder / "mosk-proxy.yaml"
    configuration.write_text(
        _CONFIGURATION.format(
            issuer=issuer,
            ca=ca,
            leeway=LEEWAY_SECONDS,
            management=management.url,
            child=child.url,
            proxy_token=child.folder / "proxy.token",
        )
    )
    server = start("mosk-proxy", [sys.executable, "-m", "proxy", "serve", "--config", configuration], folder)
    url, admin_url = _addresses(server)
    return Door(url, admin_url, folder, server)


def certificate(stem: Path, ca: Path) -> None:
    """Write `stem`.crt and `stem`.key: a P-256 certificate for loopback, signed by the test authority."""
    subject = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "extendedKeyUsage=serverAuth"]
    signer = ["-CA", str(ca), "-CAkey", str(ca.with_suffix(".key")), "-days", "2"]
    command = ["openssl", "req", "-x509", *subject, *names, *signer, "-keyout", f"{stem}.key", "-out", f"{stem}.crt"]
    subprocess.run(command, check=True, capture_output=True)


def furnish(child: ControlPlane, management: ControlPlane) -> None:
    """Put into the API servers what the tests look at.

    Whoever comes with a role of the token is an administrator of both: what is refused to them is refused by mosk-proxy alone.
    """
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    # The scripts have bound the group m:k8s:team-a:prod@cluster-admin already.
    for plane in (child, management):
        for group in ("m:k8s:team-b:dev@cluster-admin", "m:kaas:team-a@reader", "m:kaas:team-a@writer"):
            subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}
            name = group.replace(":", ".").replace("@", ".")
            plane.admin.make(f"{rbac}/clusterrolebindings", _binding(name, "cluster-admin", subject))
    let_impersonate(child, "m:k8s:team-a:prod@cluster-admin")
    for namespace in WAYS.values():
        child.admin.make("/api/v1/namespaces", {"metadata": {"name": namespace}})
    for namespace in WAYS.values():
        until(lambda: child.admin.ask("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default").status == 200)  # noqa: B023 (called at once)
        child.admin.make(f"/api/v1/namespaces/{namespace}/pods", _pod("web"))
    management.admin.make("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _cluster_definition())
    clusters = "/apis/cluster.k8s.io/v1alpha1"
    until(lambda: management.admin.ask("GET", f"{clusters}/clusters").status == 200)
    for project, name in (("team-a", "prod"), ("team-b", "dev")):
        management.admin.make("/api/v1/namespaces", {"metadata": {"name": project}})
        document = {"apiVersion": "cluster.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}, "spec": {"size": 3}}
        management.admin.make(f"{clusters}/namespaces/{project}/clusters", document)
        secret = {"metadata": {"name": f"{name}-kubeconfig"}, "stringData": {"admin.conf": "the key to the cluster"}}
        management.admin.make(f"/api/v1/namespaces/{project}/secrets", secret)


def let_impersonate(child: ControlPlane, group: str) -> None:
    """Give mosk-proxy the right that it needs in a child, and take away whatever else it had.

    RBAC knows no `userextras/*`: each key of the extra is a subresource to be named (rbac/v1 `ResourceMatches`).
    """
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rules = [
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
        {"apiGroups": [""], "resources": ["groups"], "resourceNames": [group], "verbs": ["impersonate"]},
        {
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["uids", "userextras/mosk-issuer", "userextras/mosk-granted-by"],
            "verbs": ["impersonate"],
        },
    ]
    child.admin.ask("DELETE", f"{rbac}/clusterrolebindings/mosk-proxy")
    child.admin.make(f"{rbac}/clusterroles", {"metadata": {"name": "mosk-proxy-impersonation"}, "rules": rules})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mosk-proxy"}
    child.admin.make(f"{rbac}/clusterrolebindings", _binding("mosk-proxy-impersonation", "mosk-proxy-impersonation", subject))


def until(is_so: Callable[[], bool], seconds: float = _READY_SECONDS) -> None:
    """Wait until a question is answered with yes."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.05)


def pods_run(child: ControlPlane) -> bool:
    """Whether the pod of each way is running."""
    pods: Iterable[dict[str, Any]] = child.admin.ask("GET", "/api/v1/pods").json()["items"]
    return sum(pod["status"]["phase"] == "Running" for pod in pods) >= len(WAYS)


def _addresses(server: Server) -> tuple[str, str]:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        for line in server.errors.splitlines():
            if " serving on " in line:
                words = line.split()
                return words[words.index("on") + 1], words[-1]
        time.sleep(0.05)
    raise AssertionError(f"mosk-proxy does not serve: {server.errors}")


def _binding(name: str, role: str, subject: dict[str, str]) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}


def _pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "any:1"}]}}


def _cluster_definition() -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusters.cluster.k8s.io", "annotations": {"api-approved.kubernetes.io": "https://example.test"}},
        "spec": {
            "group": "cluster.k8s.io",
            "names": {"plural": "clusters", "singular": "cluster", "kind": "Cluster", "listKind": "ClusterList"},
            "scope": "Namespaced",
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }

"""Clusters that come, change and go in a real management API, with the accounts of config/kubernetes, while kubectl users work."""

import base64
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e_audit import groups_but_authenticated
from e2e_http import Api
from e2e_kubectl import FETCHED, INSTALLED, Kubectl, release
from e2e_parts import AbsentParts, tool
from e2e_servers import ending_all, start
from e2e_world import LEEWAY_SECONDS, ControlPlane, Door, World, _addresses, certificate, until
from ruamel.yaml import YAML

from proxy.discovery.messages import Expired, read_object, version_of
from proxy.discovery.reader import ClusterReader
from proxy.discovery.settings import Rhythm, WatchSettings

pytestmark = pytest.mark.e2e

MANIFESTS = Path(__file__).parents[2] / "config" / "kubernetes"
CLUSTERS = "/apis/cluster.k8s.io/v1alpha1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
SOON = 2.0
MANY = [f"found-{number:02}" for number in range(50)]
CONFIGURATION = """
public_url: https://127.0.0.1
listen: {{address: 127.0.0.1, port: 0, tls: {{certificate_file: tls.crt, key_file: tls.key}}}}
admin: {{address: 127.0.0.1, port: 0}}
issuers:
- {{issuer: "{issuer}", ca_file: "{ca}", leeway_seconds: {leeway}}}
management: {{url: "{management}", ca_file: "{ca}", cluster: default/kaas-mgmt, credential: {{kind: pass_token, audience: kaas}}}}
discovery:
  enabled: true
  credential: {{kind: token, token_file: discovery.token}}
  cluster_credential: {{kind: impersonate, token_file: children.token}}
  allowed_hosts: [127.0.0.1]
audit: {{path: audit.log}}
"""


@dataclass
class Line:
    """A way to a server on loopback that can be cut: what is open breaks off, what is new is refused."""

    port_behind: int
    is_cut: bool = False
    open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.is_cut = True
        while self.open:
            with contextlib.suppress(OSError):
                self.open.pop().shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.is_cut = False

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                if self.is_cut:
                    here.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self.port_behind))
                self.open += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        source.close()


@dataclass(frozen=True)
class Finding:
    """A door that knows no cluster by its configuration, and the way by which it reads Cluster objects."""

    world: World
    door: Door
    line: Line
    reader: Api
    impersonator: Api

    def ask(self, name: str, path: str = "/version", user: str = "team-a-writer") -> int:
        api = Api(f"{self.door.url}/k8s/team-a/{name}", self.world.ca, self.world.keycloak.token(user))
        return api.ask("GET", path).status

    def becomes(self, name: str, *statuses: int) -> float:
        """Wait until a cluster answers so; returns how long it took."""
        began = time.monotonic()
        until(lambda: self.ask(name) in statuses, 30)
        return time.monotonic() - began

    def put(self, name: str, host: str) -> None:
        """Create a cluster or change its status, as MOSK's controllers do."""
        document = {"apiVersion": "cluster.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}}
        self.world.management.admin.make(f"{CLUSTERS}/namespaces/team-a/clusters", document)
        status = {"loadBalancerHost": host, "apiServerCertificate": base64.b64encode(self.world.ca.read_bytes()).decode()}
        self._patch(name, {"status": {"providerStatus": status}})

    def remove(self, name: str) -> None:
        answer = self.world.management.admin.ask("DELETE", f"{CLUSTERS}/namespaces/team-a/clusters/{name}")
        assert answer.status == 200, answer

    def _patch(self, name: str, change: dict[str, Any]) -> None:
        answer = self.world.management.admin.ask(
            "PATCH",
            f"{CLUSTERS}/namespaces/team-a/clusters/{name}",
            json.dumps(change).encode(),
            {"Content-Type": "application/merge-patch+json"},
        )
        assert answer.status == 200, answer


def manifest(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all((MANIFESTS / name).read_text()))


def account(plane: ControlPlane, documents: list[dict[str, Any]]) -> str:
    """Apply a manifest and return a token of its account."""
    collections = {
        "Namespace": "/api/v1/namespaces",
        "ServiceAccount": "/api/v1/namespaces/mosk-proxy/serviceaccounts",
        "ClusterRole": f"{RBAC}/clusterroles",
        "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    }
    for document in documents:
        plane.admin.make(collections[document["kind"]], document)
    path = "/api/v1/namespaces/mosk-proxy/serviceaccounts/mosk-proxy/token"
    body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}})
    answer = plane.admin.ask("POST", path, body.encode(), {"Content-Type": "application/json"})
    assert answer.status == 201, answer
    return str(answer.json()["status"]["token"])


def child_manifest(names: list[str]) -> list[dict[str, Any]]:
    """Return the child's manifest for many clusters: one API server stands for all of them."""
    documents = manifest("child-cluster.yaml")
    for document in documents:
        # The account of the world's own door has a role and a binding of these names.
        if document["kind"] != "ServiceAccount":
            document["metadata"]["name"] = document["metadata"]["name"].replace("impersonation", "finding")
        if "roleRef" in document:
            document["roleRef"]["name"] = document["roleRef"]["name"].replace("impersonation", "finding")
        for rule in document.get("rules", ()):
            if "resourceNames" in rule:
                assert rule["resourceNames"] == [effective("prod")]
                rule["resourceNames"] = list(map(effective, names))
    return documents


def effective(name: str) -> str:
    return f"m:k8s:team-a:{name}@cluster-admin"


@pytest.fixture(scope="module")
def finding(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finding]:
    names = ["found", *MANY]
    reader = account(world.management, manifest("management-cluster.yaml"))
    impersonator = account(world.child, child_manifest(names))
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": effective(name)} for name in names]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    world.child.admin.make(
        f"{RBAC}/clusterrolebindings", {"metadata": {"name": "found-clusters"}, "roleRef": role, "subjects": subjects}
    )
    line = Line(urlsplit(world.management.url).port or 0)
    folder = tmp_path_factory.mktemp("finding")
    certificate(folder / "tls", world.ca)
    (folder / "discovery.token").write_text(reader)
    (folder / "children.token").write_text(impersonator)
    configuration = folder / "mosk-proxy.yaml"
    management = f"https://127.0.0.1:{line.port}"
    configuration.write_text(
        CONFIGURATION.format(issuer=world.keycloak.issuer, ca=world.ca, leeway=LEEWAY_SECONDS, management=management)
    )
    with ending_all() as servers:
        server = start("mosk-proxy", [sys.executable, "-m", "proxy", "serve", "--config", configuration], folder)
        servers.append(server)
        door = Door(*_addresses(server), folder, server)
        until(lambda: is_ready(door))
        yield Finding(
            world, door, line, Api(world.management.url, world.ca, reader), Api(world.child.url, world.ca, impersonator)
        )
        line.listener.close()


def is_ready(door: Door) -> bool:
    try:
        return "readyz check passed" in door.probe("/readyz?verbose")
    except OSError:
        return False


@pytest.fixture(scope="module")
def kubectl(finding: Finding, scripts: Path, absent: AbsentParts) -> Callable[[str], Kubectl]:
    """Make the kubectl of somebody who works in one discovered cluster."""
    name = next(reversed(INSTALLED), "kubectl (latest)")
    program = INSTALLED[name] if name in INSTALLED else tool(scripts, FETCHED[name], absent)
    known = release(name, program)
    return lambda cluster: finding.world.kubectl(known, f"{finding.door.url}/k8s/team-a/{cluster}", "team-a-writer")


@pytest.fixture
def found(finding: Finding) -> Iterator[Finding]:
    """The cluster `found`, usable."""
    finding.put("found", urlsplit(finding.world.child.url).netloc)
    assert finding.becomes("found", 200) < SOON
    yield finding
    with contextlib.suppress(AssertionError):
        finding.remove("found")


def test_the_account_that_reads_can_do_nothing_else(finding: Finding) -> None:
    reader = finding.reader
    assert reader.ask("GET", f"{CLUSTERS}/clusters?limit=1").status == 200
    assert reader.ask("GET", f"{CLUSTERS}/clusters?watch=1&timeoutSeconds=1").status == 200
    for path in (f"{CLUSTERS}/namespaces/team-a/clusters/prod", "/api/v1/secrets", "/api/v1/namespaces/team-a/secrets"):
        assert reader.ask("GET", path).status == 403
    assert reader.ask("GET", "/api/v1/namespaces", headers={"Impersonate-User": "admin"}).status == 403


def test_the_account_that_impersonates_can_do_nothing_else(finding: Finding) -> None:
    api = finding.impersonator
    assert api.ask("GET", "/api/v1/pods").status == 403
    ann = {"Impersonate-User": "ann", "Impersonate-Uid": "1", "Impersonate-Extra-Mosk-Issuer": "https://x"}
    assert api.ask("GET", "/api/v1/pods", headers={**ann, "Impersonate-Group": effective("found")}).status == 200
    for group in ("system:masters", "m:k8s:team-a:prod@cluster-admin", "m:k8s:team-b:found@cluster-admin"):
        assert api.ask("GET", "/api/v1/pods", headers={**ann, "Impersonate-Group": group}).status == 403
    other = {**ann, "Impersonate-Group": effective("found"), "Impersonate-Extra-Other": "x"}
    assert api.ask("GET", "/api/v1/pods", headers=other).status == 403


def test_a_discovered_cluster_is_worked_in_as_a_declared_one(found: Finding, kubectl: Callable[[str], Kubectl]) -> None:
    since = found.world.child.audit.size()
    assert "web" in kubectl("found").ok("-n", "way-1", "get", "pods")
    (line, *_) = found.world.child.audit.wait_for(
        lambda line: line["requestURI"].startswith("/api/v1/namespaces/way-1/pods"), since
    )
    assert line["user"]["username"] == "system:serviceaccount:mosk-proxy:mosk-proxy"
    assert line["impersonatedUser"]["username"] == "team-a-writer"
    assert groups_but_authenticated(line) == [effective("found")]
    assert found.ask("found", user="team-b-writer") == 403
    assert found.ask("nowhere", user="team-b-writer") == 403
    found.remove("found")
    assert found.becomes("found", 404) < SOON


def test_an_address_outside_and_a_malformed_object_are_ignored_alone(found: Finding) -> None:
    for name, host in (("elsewhere", "192.0.2.1"), ("metadata", "169.254.169.254"), ("broken", "https://x/")):
        found.put(name, host)
    found.put("later", urlsplit(found.world.child.url).netloc)
    try:
        assert found.becomes("later", 200, 403) < SOON
        assert [found.ask(name) for name in ("elsewhere", "metadata", "broken", "found")] == [404, 404, 404, 200]
        log = found.door.server.errors
        assert "k8s/team-a/elsewhere: ignored: 192.0.2.1 is outside discovery.allowed_hosts" in log
        assert "k8s/team-a/metadata: ignored: 169.254.169.254 is link-local" in log
        assert "cluster team-a/broken: skipped: its API: loadBalancerHost is neither" in log
    finally:
        for name in ("elsewhere", "metadata", "broken", "later"):
            found.remove(name)


def test_fifty_clusters_come_change_and_go_while_users_work(found: Finding, kubectl: Callable[[str], Kubectl]) -> None:
    working, done = kubectl("found"), threading.Event()
    outcomes: list[int] = []

    def work() -> None:
        while not done.is_set():
            outcomes.append(working.run("-n", "way-1", "get", "pods").status)

    host = urlsplit(found.world.child.url).netloc
    with working.running("-n", "way-1", "get", "pods", "-w") as watching, ThreadPoolExecutor(1) as pool:
        watching.line("web")
        user = pool.submit(work)
        try:
            slowest = {"come": 0.0, "change": 0.0, "go": 0.0}
            for name in MANY:
                found.put(name, host)
                slowest["come"] = max(slowest["come"], found.becomes(name, 200))
            for name in MANY[::10]:
                found.put(name, "127.0.0.1:1")
                slowest["change"] = max(slowest["change"], found.becomes(name, 502, 503))
            for name in MANY:
                found.remove(name)
            began = time.monotonic()
            for name in MANY:
                found.becomes(name, 404)
            slowest["go"] = time.monotonic() - began
        finally:
            done.set()
        user.result(timeout=60)
        assert watching.process.poll() is None, "the watch of a cluster that did not change has ended"
    print(f"slowest: {slowest}, kubectl ran {len(outcomes)} times")
    assert max(slowest.values()) < SOON
    assert len(outcomes) > 3
    assert set(outcomes) == {0}


def test_a_management_api_that_is_away_is_not_needed_by_those_who_work(found: Finding) -> None:
    found.line.cut()
    try:
        until(lambda: "not read since" in found.door.probe("/readyz?verbose"))
        assert "[+]discovery ok: not read since" in found.door.probe("/readyz?verbose")
        assert [found.ask("found") for _ in range(10)] == [200] * 10
        found.put("found-00", urlsplit(found.world.child.url).netloc)
        time.sleep(1)
        assert found.ask("found-00") == 404
    finally:
        found.line.mend()
    found.becomes("found-00", 200)
    assert "not read since" not in found.door.probe("/readyz?verbose")
    found.remove("found-00")
    assert found.becomes("found-00", 404) < SOON


async def test_a_version_that_is_gone_is_told_by_the_real_server_as_we_expect(finding: Finding) -> None:
    settings = WatchSettings(
        finding.world.management.url, ca_file=finding.world.ca, token_file=finding.door.folder / "discovery.token"
    )
    async with ClusterReader(settings).session() as session:
        with pytest.raises(Expired):
            [event async for event in session.events("1")]


async def test_what_happened_since_a_list_is_told_in_order_by_a_real_watch(finding: Finding) -> None:
    settings = WatchSettings(
        finding.world.management.url,
        ca_file=finding.world.ca,
        token_file=finding.door.folder / "discovery.token",
        rhythm=Rhythm(watch=2),
    )
    async with ClusterReader(settings).session() as session:
        version = [page.metadata.resource_version async for page in session.pages()][-1]
        finding.put("found-00", "127.0.0.1:1")
        finding.remove("found-00")
        events = [event async for event in session.events(version) if event is not None]
    # A bookmark comes once a minute.
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(version_of(read_object(event.object)) or 0) for event in events]
    assert int(version) < versions[0] < versions[1] < versions[2]

"""Whom a real API server saw, by its own audit log; and what mosk-proxy recorded of the same requests."""

import base64
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from e2e_audit import Line, groups_but_authenticated
from e2e_http import Api
from e2e_kubectl import Kubectl
from e2e_world import World
from websockets.sync.client import connect as websocket

pytestmark = pytest.mark.e2e

PROD, DEV = "/k8s/team-a/prod", "/k8s/team-b/dev"
EFFECTIVE = "m:k8s:team-a:prod@cluster-admin"
FIRST_BY_WEBSOCKET = {"exec": 30, "portforward": 31}  # kubectl 1.x; those before send POST, which is `create`


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def expected_verb(line: Line) -> str:
    """Which verb a stream has, by the release that the server saw."""
    minor = re.search(r"/v1\.(\d+)\.", line["userAgent"])
    assert minor, line
    return "get" if int(minor[1]) >= FIRST_BY_WEBSOCKET[line["objectRef"]["subresource"]] else "create"


@pytest.mark.parametrize(
    ("user", "role"),
    [
        ("prod-cluster-admin", EFFECTIVE),
        ("team-a-writer", "m:kaas:team-a@writer"),
        ("team-a-operator", "m:kaas:team-a@operator"),
        ("team-a-member", "m:kaas:team-a@member"),
        ("kaas-writer", "m:kaas@writer"),
    ],
)
def test_an_impersonated_user_has_a_name_an_id_and_the_effective_group_alone(world: World, user: str, role: str) -> None:
    marker, token = uuid.uuid4().hex, world.keycloak.token(user)
    answer = world.through(PROD, token).ask("GET", f"/api/v1/nodes?labelSelector=marker%3D{marker}")
    assert answer.status == 200, answer
    (line,) = world.child.audit.wait_for(lambda line: marker in line["requestURI"])
    assert line["user"]["username"] == "mosk-proxy"
    seen = line["impersonatedUser"]
    assert (seen["username"], seen["uid"]) == (user, claims(token)["sub"])
    assert groups_but_authenticated(line) == [EFFECTIVE]
    assert seen["extra"] == {"mosk-issuer": [world.keycloak.issuer], "mosk-granted-by": [role]}


@pytest.mark.parametrize(("path", "user", "client"), [(DEV, "dev-cluster-admin", "k8s"), ("/kaas", "team-a-reader", "kaas")])
def test_a_passed_token_makes_the_user_of_keycloak(world: World, path: str, user: str, client: str) -> None:
    marker, token = uuid.uuid4().hex, world.keycloak.token(user, client)
    answer = world.through(path, token).ask("GET", f"/api/v1/namespaces?labelSelector=marker%3D{marker}")
    assert answer.status == 200, answer
    here, elsewhere = (world.management, world.child) if path == "/kaas" else (world.child, world.management)
    (line,) = here.audit.wait_for(lambda line: marker in line["requestURI"])
    assert "impersonatedUser" not in line
    assert line["user"]["username"] == user
    assert claims(token)["iam_roles"] == [group for group in line["user"]["groups"] if group != "system:authenticated"]
    assert line["user"]["extra"]["authentication.kubernetes.io/credential-id"] == [f"JTI={claims(token)['jti']}"]
    assert not any(marker in line["requestURI"] for line in elsewhere.audit.lines())


def test_what_the_api_server_itself_refuses_is_told_in_its_words(world: World) -> None:
    """The policy lets a project's writer into its cluster; this API server has no binding for that role."""
    marker, token = uuid.uuid4().hex, world.keycloak.token("team-b-writer")
    path = f"/api/v1/secrets?labelSelector=marker%3D{marker}"
    through, straight = world.through(DEV, token).ask("GET", path), Api(world.child.url, world.ca, token).ask("GET", path)
    assert (through.status, through.body) == (403, straight.body)
    assert 'User "team-b-writer" cannot list resource "secrets" in API group "" at the cluster scope' in through.json()["message"]
    assert len(world.child.audit.wait_for(lambda line: marker in line["requestURI"], count=2)) == 2


REFUSED = [
    (PROD, "team-a-reader", "k8s", "GET", "/api/v1/pods", 403),
    (PROD, "team-b-writer", "k8s", "GET", "/api/v1/pods", 403),
    (PROD, "prod-sl-admin", "k8s", "GET", "/api/v1/pods", 403),
    (PROD, "kaas-management-admin", "k8s", "GET", "/api/v1/pods", 403),
    (PROD, "no-roles", "k8s", "GET", "/version", 403),
    (DEV, "prod-cluster-admin", "k8s", "GET", "/api/v1/pods", 403),
    (DEV, "dev-cluster-admin", "sl", "GET", "/api/v1/pods", 401),
    ("/k8s/team-a/no-such-cluster", "team-a-reader", "k8s", "GET", "/api/v1/pods", 403),
    ("/k8s/team-a/no-such-cluster", "team-a-writer", "k8s", "GET", "/api/v1/pods", 404),
    ("/kaas", "team-a-reader", "kaas", "GET", "/api/v1/namespaces/team-a/secrets/prod-kubeconfig", 403),
    ("/kaas", "team-a-writer", "kaas", "GET", "/api/v1/namespaces/team-b/secrets", 403),
    ("/kaas", "team-a-reader", "kaas", "DELETE", "/apis/cluster.k8s.io/v1alpha1/namespaces/team-a/clusters/prod", 403),
    ("/kaas", "team-a-writer", "k8s", "GET", "/api/v1/namespaces/team-a/secrets", 401),
]


@pytest.mark.parametrize(("path", "user", "client", "method", "below", "status"), REFUSED)
def test_what_is_refused_reaches_no_api_server(
    world: World, path: str, user: str, client: str, method: str, below: str, status: int
) -> None:
    agent = f"refused/{uuid.uuid4().hex}"
    since = world.door.audit.size()
    answer = world.through(path, world.keycloak.token(user, client)).ask(method, below, headers={"User-Agent": agent})
    assert (answer.status, answer.json()["kind"], answer.json()["code"]) == (status, "Status", status)
    (line,) = world.door.audit.wait_for(lambda line: line["request_id"] == answer.headers["x-request-id"], since)
    assert (line["user"], line["status"]) == (user, status)
    # A request behind it on the same way arrives, so the refused one would have.
    world.through("/k8s/team-a/prod", world.keycloak.token("team-a-writer")).ask(
        "GET", "/version", headers={"User-Agent": agent + "+"}
    )
    world.child.audit.wait_for(lambda line: line.get("userAgent") == agent + "+")
    for plane in (world.child, world.management):
        assert not any(line.get("userAgent") == agent for line in plane.audit.lines())


@pytest.mark.parametrize("way", ["impersonate", "pass_token"])
def test_a_shell_is_seen_by_both_as_its_transport_says(world: World, ways: Mapping[str, Kubectl], way: str) -> None:
    kubectl, marker, since = ways[way], uuid.uuid4().hex, world.door.audit.size()
    assert kubectl.ok("exec", "web", "--", "echo", marker) == f"{marker}\n"
    lines = world.child.audit.wait_for(lambda line: marker in line["requestURI"])
    assert {line["verb"] for line in lines} == {expected_verb(line) for line in lines}
    for line in lines:
        assert line["user"]["username"] == ("mosk-proxy" if way == "impersonate" else "dev-cluster-admin")
        if way == "impersonate":
            assert line["impersonatedUser"]["username"] == "prod-cluster-admin"
            assert groups_but_authenticated(line) == [EFFECTIVE]
    start, end = world.door.audit.wait_for(lambda line: line["path"].endswith("/pods/web/exec"), since, count=2)
    assert (start["stage"], end["stage"]) == ("start", "end")
    assert start["request_id"] == end["request_id"]
    assert (end["status"], end["decision"], end["verb"]) == (101, "allow", lines[0]["verb"])
    assert end["bytes_out"] > len(marker)


def test_a_forwarded_port_is_seen_as_its_transport_says(world: World, ways: Mapping[str, Kubectl]) -> None:
    since = world.child.audit.size()
    with ways["impersonate"].running("port-forward", "--address", "127.0.0.1", "pod/web", ":8080") as forwarding:
        forwarding.line("Forwarding from")
        lines = world.child.audit.wait_for(lambda line: (line.get("objectRef") or {}).get("subresource") == "portforward", since)
    assert {line["verb"] for line in lines} == {expected_verb(line) for line in lines}
    assert {line["impersonatedUser"]["username"] for line in lines} == {"prod-cluster-admin"}


def test_a_watch_has_a_line_at_its_start_and_one_at_its_end(world: World, ways: Mapping[str, Kubectl]) -> None:
    kubectl, since = ways["impersonate"], world.door.audit.size()

    def is_watch(line: Line) -> bool:
        return bool(line["verb"] == "watch" and line["path"] == f"{PROD}/api/v1/namespaces/{kubectl.namespace}/pods")

    with kubectl.running("get", "pods", "-w") as watching:
        watching.line("web")
        (start,) = world.door.audit.wait_for(is_watch, since)
        assert (start["stage"], start["decision"], start["duration_ms"]) == ("start", "allow", None)
    (_, end) = world.door.audit.wait_for(is_watch, since, count=2)
    assert (end["stage"], end["request_id"]) == ("end", start["request_id"])
    for line in (start, end):
        assert (line["user"], line["granted_by"], line["target"]) == ("prod-cluster-admin", EFFECTIVE, "k8s/team-a/prod")
        assert line["upstream"] == world.child.url
    assert (end["status"], end["duration_ms"] > 0) == (200, True)


def test_a_browser_s_way_to_send_a_token_opens_a_shell(world: World) -> None:
    token, marker = world.keycloak.token("team-a-writer"), uuid.uuid4().hex
    credential = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    url = f"{world.door.url}{PROD}/api/v1/namespaces/way-2/pods/web/exec?command=echo&command={marker}&stdout=true"
    with websocket(
        url.replace("https://", "wss://"), ssl=world.trust(), subprotocols=[credential, "v5.channel.k8s.io"], proxy=None
    ) as shell:
        assert shell.subprotocol == "v5.channel.k8s.io"
        frames = [frame for frame in shell if isinstance(frame, bytes)]
    assert b"".join(frame[1:] for frame in frames if frame[0] == 1) == f"{marker}\n".encode()
    (line,) = world.child.audit.wait_for(lambda line: marker in line["requestURI"] and line["stage"] == "ResponseComplete")
    assert line["impersonatedUser"]["username"] == "team-a-writer"
    assert line["verb"] == "get"

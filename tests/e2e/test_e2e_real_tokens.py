"""Tokens of a real Keycloak that must not be believed, and the proxy's life without Keycloak."""

import base64
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from e2e_kubectl import Kubectl
from e2e_world import World

pytestmark = pytest.mark.e2e

PROD, DEV = "/k8s/team-a/prod", "/k8s/team-b/dev"


def good(world: World) -> str:
    return world.keycloak.token("prod-cluster-admin")


def other_roles(world: World) -> str:
    header, payload, signature = world.keycloak.token("no-roles").split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"iam_roles": ["m:kaas@writer"]}).encode()).decode().rstrip("=")
    return f"{header}.{forged}.{signature}"


def other_signature(world: World) -> str:
    head, _, signature = good(world).rpartition(".")
    return f"{head}.{signature[:40]}{'A' if signature[40] != 'A' else 'B'}{signature[41:]}"


def no_signature(world: World) -> str:
    payload = good(world).split(".")[1]
    return base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=") + f".{payload}."


def foreign_key(world: World) -> str:
    """The words of a good token, signed by somebody else under the name of the issuer's key."""
    header = jwt.get_unverified_header(good(world))
    claims = jwt.decode(good(world), options={"verify_signature": False})
    return jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": header["kid"]})


BAD = [
    (PROD, lambda world: world.expired_token(), "token expired"),
    (PROD, other_roles, "signature not valid"),
    (PROD, other_signature, "signature not valid"),
    (PROD, no_signature, "token"),
    (PROD, foreign_key, "signature not valid"),
    (PROD, lambda world: world.token_for_another_service(), "token not for this service"),
    (DEV, lambda world: world.keycloak.token("dev-cluster-admin", "sl"), "sign in with the client k8s"),
    ("/kaas", lambda world: world.keycloak.token("team-a-writer", "k8s"), "sign in with the client kaas"),
    (PROD, lambda world: world.keycloak.refresh_token("prod-cluster-admin"), "token"),
    (PROD, lambda world: world.keycloak.administrator(), "signing key not known"),
    (PROD, lambda world: (world.child.folder / "proxy.token").read_text().strip(), "token malformed"),
    (PROD, lambda world: "", "no credential"),
]


@pytest.mark.parametrize(("path", "make", "message"), BAD, ids=[f"{number}-{case[2]}" for number, case in enumerate(BAD)])
def test_a_bad_token_is_401_and_goes_nowhere(world: World, path: str, make, message: str) -> None:
    token, agent = make(world), f"bad/{uuid.uuid4().hex}"
    answer = world.through(path, token or None).ask("GET", "/api/v1/namespaces", headers={"User-Agent": agent})
    status = answer.json()
    assert (answer.status, status["kind"], status["reason"], status["code"]) == (401, "Status", "Unauthorized", 401)
    assert message in status["message"]
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="mosk-proxy"')
    assert ('error="invalid_token"' in challenge) == bool(token)
    assert not token or token not in str(answer)
    for plane in (world.child, world.management):
        assert not any(line.get("userAgent") == agent for line in plane.audit.lines())


def test_a_token_of_the_management_api_is_good_where_the_proxy_speaks_for_itself(world: World) -> None:
    token = world.keycloak.token("team-a-writer", "kaas")
    assert world.through(PROD, token).ask("GET", "/version").status == 200


@pytest.fixture
def silent_keycloak(world: World) -> Iterator[None]:
    """Keycloak's processes are stopped: its port still takes connections, and nothing ever answers."""
    parent = world.keycloak_server.process.pid
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=True
    ).stdout.split()
    sessions = [
        subprocess.run(["ps", "-o", "pid=", "-s", child], capture_output=True, text=True, check=False) for child in children
    ]
    stopped = [int(pid) for session in sessions for pid in session.stdout.split()]
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def fresh(world: World) -> dict[str, str]:
    """Tokens that the proxy has never seen, of keys that it knows."""
    return {"impersonate": world.keycloak.new_token("team-a-writer"), "pass_token": world.keycloak.new_token("team-b-writer")}


def test_without_keycloak_known_keys_go_on(world: World, fresh: dict[str, str], silent_keycloak: None) -> None:
    for way, path in (("impersonate", PROD), ("pass_token", DEV)):
        began = time.monotonic()
        answer = world.through(path, fresh[way]).ask("GET", "/version")
        assert (answer.status in {200, 403}, time.monotonic() - began < 2) == (True, True), answer
    claims = jwt.decode(fresh["impersonate"], options={"verify_signature": False})
    unknown = jwt.encode(claims, rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": "not-known-yet"})
    began = time.monotonic()
    refused = world.through(PROD, unknown).ask("GET", "/version")
    assert refused.status == 503
    assert refused.headers["retry-after"]
    assert time.monotonic() - began < 15
    assert "[+]issuers ok" in world.door.probe("/readyz?verbose")


def test_kubectl_works_without_keycloak(world: World, ways: dict[str, Kubectl], silent_keycloak: None) -> None:
    assert "web" in ways["impersonate"].ok("get", "pods")
    assert ways["pass_token"].ok("exec", "web", "--", "echo", "still here") == "still here\n"

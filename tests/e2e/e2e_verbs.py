"""What people do with kubectl, as functions: each does one thing at one server and returns all that was seen of it.

Each checks itself that the right thing happened, so that two ways to a server cannot agree on a failure. The same function runs
with each release, straight at an API server and through mosk-proxy.
"""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from e2e_kubectl import Kubectl, Seen
from e2e_terminal import Terminal, terminal

Verb: TypeAlias = Callable[[Kubectl], Seen]

_BULK: Final = bytes(range(256)) * 2048  # 512 KiB that no text mode leaves alone
_PROMPT: Final = r"[#$] $"
_DEPLOYMENT: Final = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: trial, labels: {app: trial}}
spec:
  replicas: 2
  selector: {matchLabels: {app: trial}}
  template:
    metadata: {labels: {app: trial}}
    spec: {containers: [{name: main, image: "image:1"}]}
"""


def get(kubectl: Kubectl) -> Seen:
    """Tables, whole objects, and what is not there."""
    table = kubectl.run("get", "pods", "-o", "wide")
    assert table.out.split()[:4] == ["NAME", "READY", "STATUS", "RESTARTS"]
    assert "web" in table.out
    whole = kubectl.run("get", "pod", "web", "-o", "yaml")
    assert "\nkind: Pod\n" in whole.out
    missing = kubectl.run("get", "pod", "absent")
    assert (missing.status, missing.err) == (1, 'Error from server (NotFound): pods "absent" not found\n')
    return [table, whole, missing]


def get_watch(kubectl: Kubectl) -> Seen:
    """A watch shows a change when it happens."""
    with kubectl.running("get", "pod", "web", "-w", "-L", "tick") as watching:
        seen = [watching.line(), watching.line("web")]
        for tick in ("one", "two"):
            kubectl.ok("label", "pod", "web", f"tick={tick}", "--overwrite")
            seen.append(watching.line(tick, seconds=5))
    seen.append(kubectl.ok("label", "pod", "web", "tick-"))
    return [*seen]


def apply(kubectl: Kubectl) -> Seen:
    """Client-side apply: created, unchanged, configured; then delete."""
    steps = [(_DEPLOYMENT, "created"), (_DEPLOYMENT, "unchanged"), (_DEPLOYMENT.replace("image:1", "image:2"), "configured")]
    seen: Seen = []
    for text, expected in steps:
        said = kubectl.run("apply", "-f", "-", stdin=text.encode())
        assert said.out == f"deployment.apps/trial {expected}\n", said
        seen.append(said)
    seen.append(kubectl.ok("get", "deployment", "trial", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))
    assert seen[-1] == "image:2"
    seen.append(kubectl.ok("delete", "deployment", "trial"))
    return seen


def logs_follow(kubectl: Kubectl) -> Seen:
    """Lines come as they are written, five a second, not in one burst."""
    with kubectl.running("logs", "-f", "--tail=10", "web") as following:
        seen = [following.line() for _ in range(11)]
        began = time.monotonic()
        seen += [following.line() for _ in range(5)]
        assert 0.5 < time.monotonic() - began < 5
    assert len(set(seen)) == 16
    return [*seen]


def exec_with_input(kubectl: Kubectl) -> Seen:
    """Input reaches its end, both outputs stay apart, the exit status comes back, and bulk passes whole."""
    said = kubectl.run("exec", "-i", "web", "--", "sh", "-c", "cat; echo to stderr >&2; exit 7", stdin=b"some\ninput")
    assert (said.status, said.out) == (7, "some\ninput")
    assert said.err == "to stderr\ncommand terminated with exit code 7\n"
    bulk = kubectl.run("exec", "-i", "web", "--", "sha256sum", stdin=_BULK)
    assert bulk.out.startswith(hashlib.sha256(_BULK).hexdigest())
    text = bulk.out.encode() * 5000
    back = kubectl.run("exec", "-i", "web", "--", "cat", stdin=text)
    assert back.out.encode() == text
    return [said, bulk, str(back.status), back.err]


def cp(kubectl: Kubectl) -> Seen:
    """A file into a pod and back."""
    source, back = kubectl.folder / "there", kubectl.folder / "back"
    source.write_bytes(_BULK)
    back.unlink(missing_ok=True)
    name = f"copied-{kubectl.namespace}"
    seen: Seen = [kubectl.run("cp", source.name, f"{kubectl.namespace}/web:{name}")]
    seen.append(kubectl.run("cp", f"{kubectl.namespace}/web:{name}", back.name))
    assert back.read_bytes() == _BULK, seen
    return seen


def port_forward(kubectl: Kubectl) -> Seen:
    """Two connections at once to a pod's port, which sends back what it gets."""
    with kubectl.running("port-forward", "--address", "127.0.0.1", "pod/web", ":8080") as forwarding:
        line = forwarding.line("Forwarding from")
        port = int(line.split()[2].rpartition(":")[2])
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda: answers.append(_echo(port, _BULK))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert answers == [_BULK, _BULK], [len(answer) for answer in answers]
    return [line]


def can_i(kubectl: Kubectl) -> Seen:
    """What one may do is the API server's own answer."""
    seen = [kubectl.run("auth", "can-i", *question) for question in (("create", "pods"), ("delete", "nodes"), ("--list",))]
    assert [said.status for said in seen] == [0, 0, 0], seen
    assert seen[0].out == "yes\n"
    return [*seen]


def describe(kubectl: Kubectl) -> Seen:
    """Objects with all that belongs to them."""
    pod = kubectl.ok("describe", "pod", "web")
    assert "Status: Running" in kubectl.comparable(pod)
    namespace = kubectl.ok("describe", "namespace", kubectl.namespace)
    assert "Active" in namespace
    text, _, events = pod.partition("Events:")
    return [text, *sorted(events.splitlines()), namespace]  # events of one second come in any order


def apply_server_side(kubectl: Kubectl) -> Seen:
    """Server-side apply, a conflict between two managers, and the server's own validation."""
    by_server = ("apply", "--server-side", "-f", "-")
    other = _DEPLOYMENT.replace("image:1", "image:2").encode()
    seen: Seen = [
        kubectl.run("apply", "--dry-run=server", "-f", "-", stdin=_DEPLOYMENT.encode()),
        kubectl.run(*by_server, stdin=_DEPLOYMENT.encode()),
        conflict := kubectl.run(*by_server, "--field-manager", "other", stdin=other),
        kubectl.run(*by_server, "--field-manager", "other", "--force-conflicts", stdin=other),
        unknown := kubectl.run("apply", "-f", "-", stdin=_DEPLOYMENT.replace("replicas: 2", "replica: 2").encode()),
        kubectl.ok("get", "deployment", "trial", "-o", "jsonpath={.spec.template.spec.containers[0].image}"),
        kubectl.ok("delete", "deployment", "trial"),
    ]
    assert "conflict" in conflict.err, conflict
    assert "spec.replica" in unknown.err, unknown
    assert seen[-2] == "image:2"
    return seen


def patch_and_edit(kubectl: Kubectl) -> Seen:
    """Every kind of patch, labels, and an editor."""
    seen: Seen = [kubectl.ok("create", "configmap", "trial", "--from-literal=color=green")]
    patches = {"strategic": {"data": {"a": "1"}}, "merge": {"data": {"b": "2"}}}
    seen += [kubectl.ok("patch", "configmap", "trial", "--type", kind, "-p", json.dumps(body)) for kind, body in patches.items()]
    added = '[{"op": "add", "path": "/data/c", "value": "3"}]'
    seen.append(kubectl.ok("patch", "configmap", "trial", "--type", "json", "-p", added))
    seen.append(kubectl.run("patch", "configmap", "trial", "--type", "json", "-p", '[{"op": "test", "path": "/x", "value": 1}]'))
    seen.append(kubectl.ok("annotate", "configmap", "trial", "note=kept"))
    seen.append(edited := kubectl.run("edit", "configmap", "trial", KUBE_EDITOR="sed -i s/green/red/"))
    assert edited.status == 0, edited
    seen.append(kubectl.ok("get", "configmap", "trial", "-o", "jsonpath={.data}"))
    assert seen[-1] == '{"a":"1","b":"2","c":"3","color":"red"}'
    seen.append(kubectl.ok("delete", "configmap", "trial"))
    return seen


def create_scale_and_delete(kubectl: Kubectl) -> Seen:
    """Workloads: created, scaled, waited for, deleted and gone."""
    seen: Seen = [
        kubectl.ok("create", "deployment", "scaled", "--image=image:1"),
        kubectl.ok("scale", "deployment/scaled", "--replicas=3"),
        kubectl.ok("rollout", "status", "deployment/scaled").splitlines()[-1],
        kubectl.ok("run", "single", "--image=image:1"),
        kubectl.ok("wait", "--for=condition=Ready", "pod/single", "--timeout=20s"),
        kubectl.ok("delete", "deployment/scaled", "pod/single"),
        kubectl.run("delete", "pod", "single"),
    ]
    kubectl.ok("wait", "--for=delete", "pod", "-l", "app=scaled", "--timeout=20s")
    return seen


def exec_with_a_terminal(kubectl: Kubectl) -> Seen:
    """A shell with the size of our window, its change, the end of input typed, and an exit status."""
    with terminal(kubectl.command("exec", "-it", "web", "--", "sh"), kubectl.environment()) as screen:
        screen.shows(_PROMPT)
        _wait_for_size(screen, "41 131")
        screen.type("cat\rline\r")
        screen.shows("line\r\nline\r\n")
        screen.type("\x04")
        screen.shows(_PROMPT)
        screen.resize(23, 77)
        _wait_for_size(screen, "23 77")
        screen.type("exit 5\r")
        assert screen.exit_status() == 5
    return ["5"]


def _wait_for_size(screen: Terminal, expected: str) -> None:
    """Ask until the size has arrived, which travels beside the input."""
    for _ in range(100):
        screen.type("stty size\r")
        if expected in screen.shows(_PROMPT):
            return
    raise AssertionError(f"the terminal never had the size {expected}")


def attach(kubectl: Kubectl) -> Seen:
    """Attach shows what the container writes."""
    with kubectl.running("attach", "web") as attached:
        return [attached.line() for _ in range(3)]


def attach_with_input(kubectl: Kubectl) -> Seen:
    """Attach sends what is typed."""
    with kubectl.running("attach", "-i", "web") as attached:
        attached.line("line ")
        attached.stdin.write(b"said by the client\n")
        attached.stdin.flush()
        return [attached.line("said")]


def discovery(kubectl: Kubectl) -> Seen:
    """What there is, and what it means."""
    resources = kubectl.ok("api-resources", "-o", "wide", "--sort-by=name")
    assert "deployments" in resources
    seen = [kubectl.ok("explain", *what) for what in (("pod.spec.containers.env",), ("deployment.spec", "--recursive"))]
    assert "environment variable" in seen[0].lower()
    return [resources, *seen, kubectl.ok("api-versions"), kubectl.ok("version", "-o", "json"), kubectl.ok("cluster-info")]


def _echo(port: int, payload: bytes) -> bytes:
    """Send all and say so, while what comes back is read to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:

        def send() -> None:
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        sender.join(20)
        return answer


# What each release is tried with, and what only some are.
CORE: Final[tuple[Verb, ...]] = (get, get_watch, apply, logs_follow, exec_with_input, cp, port_forward, can_i)
FURTHER: Final[tuple[Verb, ...]] = (
    describe,
    apply_server_side,
    patch_and_edit,
    create_scale_and_delete,
    exec_with_a_terminal,
    attach,
    attach_with_input,
    discovery,
)

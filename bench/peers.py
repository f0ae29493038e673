"""A proxy under measurement: how it is started on one core, found ready, shown to judge, and ended."""

import http.client
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from bench import cpu

READY_SECONDS = 30
END_SECONDS = 15


class Missing(Exception):
    """A peer cannot be had on this machine; the reason is one line."""


class Broken(Exception):
    """A peer does not do what is asked of it; no figure of it may be shown."""


class Judgement(IntEnum):
    """What a proxy looks at before it lets a request through, each with what comes before it."""

    NOTHING = 0
    TOKENS = 1
    ROLES = 2


@dataclass(frozen=True, slots=True)
class Peer:
    """A kind of proxy: `command` takes a port and whether to speak TLS, and raises Missing when it cannot.

    `judges` is what it can refuse: nothing, bad tokens, or missing roles too. `rewrites` tells whether it takes the prefix off.
    """

    name: str
    version: str
    command: Callable[[int, bool], Sequence[str]]
    judges: Judgement = Judgement.ROLES
    rewrites: bool = True


@dataclass(frozen=True, slots=True)
class Running:
    """A started peer; `pid` 0 when there is no proxy (the client asks the upstream itself).

    `prefixed` tells whether requests carry the prefix of their cluster.
    """

    name: str
    port: int
    pid: int
    ca_file: Path | None = None
    prefixed: bool = True

    @property
    def pids(self) -> list[int]:
        """The process whose tree is the peer, if there is one."""
        return [self.pid] if self.pid else []

    @property
    def ca(self) -> str | None:
        """`ca_file` as a plan has it."""
        return str(self.ca_file) if self.ca_file else None

    def path(self, prefix: str, path: str) -> str:
        """What to ask for to get `path` of the upstream."""
        return prefix + path if self.prefixed else path


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(peer: Peer, errors: Path, ca_file: Path | None, patience: float = READY_SECONDS) -> Iterator[Running]:
    """Start a peer on the proxies' core, with TLS when `ca_file` is given; raises Broken when it is not ready within `patience` seconds."""
    port = free_port()
    command = peer.command(port, ca_file is not None)
    with errors.open("wb") as sink, cpu.pinned(cpu.PROXY_CORE):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        wait_until_ready(process, port, errors, patience)
        yield Running(peer.name, port, process.pid, ca_file, peer.rewrites)
    finally:
        end(process)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, errors: Path, patience: float) -> None:
    """Return when the port answers; raises Broken with the last line that the process said."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Broken(f"ended with status {process.returncode}: {last_line(errors)}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Broken(f"not ready within {patience} s: {last_line(errors)}")


def last_line(errors: Path) -> str:
    """The last thing a process said."""
    lines = errors.read_text(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, gently first."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class Probe:
    """A request and the status that a peer must give, if it judges that far."""

    what: str
    path: str
    token: str | None
    status: int
    needs: Judgement = Judgement.NOTHING


def check(peer: Running, probes: Sequence[Probe], body: bytes) -> None:
    """Show that a peer judges before it is measured; raises Broken naming the first wrong answer."""
    for probe in probes:
        status, received = ask(peer, probe)
        if status != probe.status:
            raise Broken(f"{probe.what}: status {status} instead of {probe.status}: {received[:200]!r}")
        if status == 200 and received != body:
            raise Broken(f"{probe.what}: not the upstream's body: {received[:200]!r}")


def ask(peer: Running, probe: Probe) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    if peer.ca_file:
        context = ssl.create_default_context(cafile=str(peer.ca_file))
        connection: http.client.HTTPConnection = http.client.HTTPSConnection("localhost", peer.port, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection("localhost", peer.port, timeout=10)
    try:
        connection.request("GET", probe.path, headers={"Authorization": f"Bearer {probe.token}"} if probe.token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as failure:
        raise Broken(f"{probe.what}: {failure}") from failure
    finally:
        connection.close()

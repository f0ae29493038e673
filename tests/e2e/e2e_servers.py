"""Starts scripts of real servers side by side, waits until each is ready, and ends them by their process ids."""

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from e2e_parts import CANNOT_BE_HAD, AbsentParts

_READY_SECONDS = 2400  # a first start builds
_END_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A running program: what it printed is in `folder`."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def output(self) -> str:
        """What it has written to standard output so far."""
        return (self.folder / f"{self.name}.out.log").read_text()

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        return (self.folder / f"{self.name}.err.log").read_text()

    def terminate(self) -> None:
        """Ask it to end, without waiting."""
        if self.process.poll() is None:
            self.process.terminate()

    def wait_until_ended(self) -> None:
        """Wait for the end; what does not end in time is killed."""
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def ending_all() -> Iterator[list[Server]]:
    """Give a list to put servers in; at the end all are told to end at once, then waited for."""
    servers: list[Server] = []
    try:
        yield servers
    finally:
        for server in reversed(servers):
            server.terminate()
        for server in reversed(servers):
            server.wait_until_ended()


def start(name: str, command: list[str | Path], folder: Path) -> Server:
    """Start a program in a session of its own, so that an interrupted test run still ends it in order."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.out.log").open("wb") as out, (folder / f"{name}.err.log").open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
    return Server(name, folder, process)


def wait_until_ready(server: Server, absent: AbsentParts) -> str:
    """Wait for a script's line `ready: URL …`; returns the URL."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if found := re.search(r"^ready: (\S+)", server.output, re.MULTILINE):
            return found[1]
        status = server.process.poll()
        if status is not None:
            last = (server.errors.strip().splitlines() or ["no reason given"])[-1]
            absent.skip(server.name, last, cannot_be_fetched=status == CANNOT_BE_HAD)
        time.sleep(0.05)
    raise AssertionError(f"{server.name} was not ready in time: {server.errors[-2000:]}")


def free_port(count: int = 1) -> int:
    """Return the first of `count` ports in a row that nobody listens on."""
    while True:
        with contextlib.ExitStack() as stack:
            first = 0
            try:
                for offset in range(count):
                    listener = stack.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", first + offset if first else 0))
                    first = first or listener.getsockname()[1]
            except (OSError, OverflowError):
                continue
            return first

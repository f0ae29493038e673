"""A real redis-server or valkey-server on loopback: one that is installed, or one that was unpacked for the end-to-end tests."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.sessions.redis_server import RedisServer

_CACHE = Path(os.environ.get("REAL_CACHE", Path.home() / ".cache" / "mosk-proxy-real"))
_UNPACKED = _CACHE / "debian" / "redis-server" / "usr"
PASSWORD = "of-the-store"


def program() -> str | None:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    unpacked = _UNPACKED / "bin" / "redis-server"
    return found or (str(unpacked) if unpacked.exists() else None)


class RedisProcess:
    """One server, which can be stopped, killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self.port = chosen.getsockname()[1]
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> RedisServer:
        return RedisServer("127.0.0.1", self.port, password=PASSWORD)

    def start(self) -> None:
        libraries = ":".join(str(path) for path in (_UNPACKED / "lib").glob("*-linux-gnu"))
        arguments = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--requirepass", PASSWORD]
        self.process = subprocess.Popen(
            [str(program()), *arguments, "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | ({"LD_LIBRARY_PATH": libraries} if libraries else {}),
        )
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, *words: str) -> bytes:
        """Send one command; returns what comes back at once."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            for command in (("AUTH", PASSWORD), words):
                lines = "".join(f"${len(word)}\r\n{word}\r\n" for word in command)
                connection.sendall(f"*{len(command)}\r\n{lines}".encode())
                answer = connection.recv(1 << 20)
            return answer

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False


@contextmanager
def redis_process(folder: Path) -> Iterator[RedisProcess]:
    if program() is None:
        pytest.skip("no redis-server and no valkey-server found")
    process = RedisProcess(folder)
    process.start()
    try:
        yield process
    finally:
        process.kill()

"""What a built-in command of a pod's shell is given."""

import posixpath
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.demo.kubernetes.byte_queue import ByteQueue
from proxy.demo.kubernetes.file_system import FileSystem
from proxy.demo.kubernetes.standard_streams import Sink, Window


@dataclass(slots=True)
class Session:
    """What the commands of one shell share; `depth` counts the shells around it."""

    files: FileSystem
    environment: dict[str, str]
    window: Window
    directory: str = "/"
    depth: int = 0


@dataclass(slots=True)
class Process:
    """One running command: its name, arguments and streams, and the session it belongs to."""

    name: str
    arguments: list[str]
    stdin: ByteQueue
    stdout: Sink
    stderr: Sink
    session: Session

    @property
    def files(self) -> FileSystem:
        """The pod's files."""
        return self.session.files

    def resolve(self, path: str) -> str:
        """The absolute path that a relative one means here."""
        path = posixpath.normpath(posixpath.join(self.session.directory, path))
        return "/" + path.lstrip("/")

    async def print(self, text: str) -> None:
        """Writes one line to standard output."""
        await self.stdout(text.encode() + b"\n")

    async def fail(self, message: str, code: int = 1) -> int:
        """Writes `name: message` to standard error; returns the code."""
        await self.stderr(f"{self.name}: {message}\n".encode())
        return code


Builtin = Callable[[Process], Awaitable[int]]


class ShellExit(Exception):
    """`exit` was called."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

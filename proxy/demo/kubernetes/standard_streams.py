"""The standard streams of one command in a pod, whatever carries them."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from proxy.demo.kubernetes.byte_queue import ByteQueue
from proxy.demo.kubernetes.documents import Document

Sink = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class Window:
    """The client's terminal; changes when it is resized."""

    columns: int = 80
    rows: int = 24

    def resize(self, message: bytes) -> None:
        """Takes a message of the resize channel, {"Width": …, "Height": …}; ignores what is none."""
        try:
            size = json.loads(message)
            self.columns, self.rows = int(size["Width"]), int(size["Height"])
        except (ValueError, TypeError, KeyError):
            return


@dataclass(slots=True)
class StandardStreams:
    """What a command reads and writes."""

    stdout: Sink
    stderr: Sink
    stdin: ByteQueue = field(default_factory=ByteQueue)
    window: Window = field(default_factory=Window)
    tty: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams the client asked for in the query."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def exit_status(code: int) -> Document:
    """The Status object that tells how a command ended (k8s.io/apimachinery/pkg/util/remotecommand)."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }

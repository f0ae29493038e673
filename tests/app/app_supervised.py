"""Supervisors as an operator starts them, each with its processes in a session of its own.

A host process imports the proxy once and forks for each of them, so that a test does not wait for imports. Run as a program, this file
is that host.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[2]
# Short, and yet longer than a busy machine makes a loop wait.
PACE = {"beat_seconds": 0.05, "silent_looks": 100, "starting_looks": 200, "first_delay_seconds": 0.02}


def host() -> None:
    """Start a supervisor for each line, or tell how one has ended."""
    from proxy.app.serving import serve  # noqa: PLC0415 (the tests' own process has it already, and must not pay for it here)
    from proxy.operations.supervisor_rules import Pace  # noqa: PLC0415
    from proxy.settings import load  # noqa: PLC0415

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for descriptor, name in ((0, os.devnull), (1, order["log"]), (2, order["log"])):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND), descriptor)
            file = Path(order["config"])
            os._exit(serve(load(file), file, Pace(**order["pace"])))
        print(pid, flush=True)


class Host:
    """The host process, and what it has started."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, config: Path, **pace: float) -> "Supervised":
        log = config.with_name("log")
        return Supervised(self, self._ask(config=str(config), log=str(log), pace={**PACE, **pace}), log)

    def wait(self, pid: int) -> int:
        return self._ask(wait=pid)

    def close(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()

    def _ask(self, **order: Any) -> int:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())


@dataclass(eq=False)
class Supervised:
    """One supervisor; `ended` is its exit status once it was waited for."""

    host: Host
    pid: int
    log: Path
    ended: int | None = None

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def says(self, text: str) -> str:
        """Wait for a line of the log that holds `text`."""
        return cast("str", until(lambda: next((line for line in self.lines if text in line), None), lambda: self.lines))

    def urls(self) -> tuple[str, str]:
        """The public and the admin URL, once all workers serve."""
        words = self.says("serving on").split()
        return words[words.index("on") + 1], words[-1]

    def fork_server(self) -> int:
        (pid,) = children(self.pid)
        return pid

    def workers(self) -> list[int]:
        return children(self.fork_server())

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        self.ended = self.host.wait(self.pid)
        return self.ended

    def end(self) -> None:
        """End it if a test has not; its processes end with it."""
        if self.ended is None:
            self.signal(signal.SIGKILL)
            self.wait()
        until(lambda: not session(self.pid), lambda: session(self.pid))


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(condition: Callable[[], object], explanation: Callable[[], object] = lambda: "") -> object:
    """Wait for what must come true, and return it."""
    deadline = time.monotonic() + 10
    while not (found := condition()):
        assert time.monotonic() < deadline, explanation()
        time.sleep(0.01)
    return found


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def session(leader: int) -> list[int]:
    """The processes, zombies aside, of a session."""
    return [pid for pid, state, number in _processes() if number == leader and state != "Z"]


def _processes() -> Iterator[tuple[int, str, int]]:
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, number, *_ = file.read_text().rpartition(")")[2].split()
            yield int(file.parent.name), state, int(number)


if __name__ == "__main__":
    host()

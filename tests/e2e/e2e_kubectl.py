"""Real kubectl: which releases there are, how one is run, and what in its output may differ from run to run."""

import contextlib
import difflib
import json
import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, TypeAlias

import pytest

FETCHED: Final = {"kubectl (built)": "kubectl", "kubectl (latest)": "kubectl-latest"}  # names for tools.sh
_SECONDS = 60
_VOLATILE: Final = (
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "<digest>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<time>"),
    (re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "<time>"),
    (re.compile(r"(resourceVersion\"?: ?\"?)\d+"), r"\1<version>"),
    (re.compile(r"\b(?:node|prod-worker)-\d\b"), "<node>"),
    (re.compile(r"kube-api-access-\w{5}"), "kube-api-access-<random>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b"), "<address>"),
    (re.compile(r"(?<![\w.-])(?:\d+[smhd]){1,2}(?![\w.-])"), "<age>"),
    (re.compile(r"<age> \(x\d+ over <age>\)"), "<age>"),
    (re.compile(r"(127\.0\.0\.1|\[::1\]):\d+"), r"\1:<port>"),
    (re.compile(r"[EWI]\d{4} .* Unknown stream id \d, discarding message\n"), ""),  # kubectl 1.32 and 1.33 say so at times
    (re.compile(r" +"), " "),
)


@dataclass(frozen=True)
class Release:
    """One kubectl; `version` is (major, minor)."""

    name: str
    program: Path
    version: tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


def installed() -> dict[str, Path]:
    """Return the kubectl on the path and its siblings `kubectl.<release>`, by name, older ones first."""
    found = shutil.which("kubectl")
    if found is None:
        return {}
    siblings = {path.name: path for path in Path(found).resolve().parent.glob("kubectl.1.*") if os.access(path, os.X_OK)}
    return dict(sorted(siblings.items(), key=lambda item: int(item[0].rpartition(".")[2]))) | {"kubectl (path)": Path(found)}


INSTALLED: Final = installed()
NAMES: Final = (*INSTALLED, *FETCHED)
# Tried with everything: the oldest, the newest, and those with which the transports of streams changed.
THOROUGH: Final = frozenset({NAMES[0], "kubectl.1.30", "kubectl.1.33", NAMES[-1]})


def release(name: str, program: Path) -> Release:
    """Ask a kubectl for its version."""
    said = subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True, check=True, timeout=_SECONDS)
    version = json.loads(said.stdout)["clientVersion"]
    return Release(name, program, (int(version["major"]), int(re.sub(r"\D.*", "", version["minor"]))))


_STREAM_RACES: Final = 5

Seen: TypeAlias = list[Outcome | str]


@dataclass(frozen=True)
class Kubectl:
    """A release with the kubeconfig of one user at one server.

    `cache` is its discovery cache, so that what a release asks is asked by that release; `constant` replaces what is known to
    differ between two ways to the same server.
    """

    release: Release
    kubeconfig: Path
    folder: Path
    namespace: str
    constant: Mapping[str, str] = field(default_factory=dict)
    context: str = "it"

    def run(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Outcome:
        """Run one command to its end; once more when kubectl threw away what came before it had made its streams (1.30 and later do)."""
        outcome = self._run(arguments, stdin, environment)
        for _ in range(_STREAM_RACES):
            if "Unknown stream id" not in outcome.err:
                break
            outcome = self._run(arguments, stdin, environment)
        return outcome

    def _run(self, arguments: tuple[str, ...], stdin: bytes, environment: Mapping[str, str]) -> Outcome:
        ended = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env=self.environment() | dict(environment),
            cwd=self.folder,
        )
        return Outcome(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def ok(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run a command that succeeds; returns what it printed."""
        outcome = self.run(*arguments, stdin=stdin)
        assert outcome.status == 0, outcome
        return outcome.out

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator["Running"]:
        """Run a command that goes on by itself, and end it."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self.command(*arguments), stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment(), cwd=self.folder
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with process, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            try:
                yield Running(process, process.stdin, process.stdout, selector)
            finally:
                process.terminate()

    def command(self, *arguments: str) -> list[str]:
        """Return the command line."""
        common = ["--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.folder / "cache"), "--context", self.context]
        return [str(self.release.program), *common, "-n", self.namespace, *arguments]

    def environment(self) -> dict[str, str]:
        """Return all that it may know of the machine."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TERM": "dumb"}

    def comparable(self, text: str) -> str:
        """Replace what differs from run to run and from way to way."""
        for known, name in self.constant.items():
            text = text.replace(known, name)
        for pattern, name in _VOLATILE:
            text = pattern.sub(name, text)
        return text

    def lines(self, seen: Seen) -> list[str]:
        """Write all that was seen as lines, without what may differ."""
        lines: list[str] = []
        for item in seen:
            parts = (f"exit status {item.status}", item.out, item.err) if isinstance(item, Outcome) else (item,)
            lines += [line + "\n" for part in parts for line in self.comparable(part).splitlines()]
        return lines


def assert_same(straight: Kubectl, seen_straight: Seen, through: Kubectl, seen_through: Seen) -> None:
    """Fail with a diff when two ways to one server differed beyond what may."""
    diff = "".join(difflib.unified_diff(straight.lines(seen_straight), through.lines(seen_through), "straight", "through"))
    if diff:
        pytest.fail(diff, pytrace=False)


class Running:
    """A command that goes on by itself: its lines as they come."""

    def __init__(
        self, process: subprocess.Popen[bytes], stdin: IO[bytes], out: IO[bytes], selector: selectors.BaseSelector
    ) -> None:
        self.process = process
        self.stdin = stdin
        self._out = out
        self._selector = selector
        self._text = b""

    def line(self, having: str = "", seconds: float = 20) -> str:
        """Return the next line that has `having` in it."""
        deadline = time.monotonic() + seconds
        while True:
            while b"\n" not in self._text:
                left = deadline - time.monotonic()
                assert left > 0, f"no line with {having!r} in time; so far {self._text!r}"
                if self._selector.select(left):
                    chunk = os.read(self._out.fileno(), 65536)
                    assert chunk, f"ended before a line with {having!r}"
                    self._text += chunk
            line, _, self._text = self._text.partition(b"\n")
            if having in line.decode():
                return line.decode()

"""The helper processes of a measurement: upstreams and load clients, each alone on the load's core."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from bench import cpu
from bench.client import Outcome, Plan
from bench.upstream import body_of

ROOT = Path(__file__).resolve().parent.parent
BODY = body_of(1024)
Answer = TypeVar("Answer")


class Unusable(Exception):
    """A wrong answer under load: no figure of that peer in that scenario can be trusted."""


def all_descriptors() -> int:
    """Let this process, and those it starts, open as many files as the system permits; returns the number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def upstream(module: str = "bench.upstream") -> Iterator[int]:
    """An upstream on the load's core; yields its port."""
    with cpu.pinned(cpu.LOAD_CORE):
        process = subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process:  # waits, closes the pipe
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def started_client(module: str) -> subprocess.Popen[bytes]:
    """A load client in a process of its own on the load's core."""
    with cpu.pinned(cpu.LOAD_CORE):
        return subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
        )


def run_client(plan: Plan, name: str) -> Outcome:
    """Send the requests of a plan; raises Unusable."""
    return answer_of(started_client("bench.client"), plan, name, Outcome)


def answer_of(process: subprocess.Popen[bytes], plan: msgspec.Struct, name: str, kind: type[Answer]) -> Answer:
    """Give a client its plan and wait for what it saw; raises Unusable."""
    said, complaint = process.communicate(msgspec.json.encode(plan))
    if process.returncode:
        raise Unusable(f"{name}: {complaint.decode(errors='replace').strip()[-600:]}")
    return msgspec.json.decode(said, type=kind)

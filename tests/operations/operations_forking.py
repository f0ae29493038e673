"""Programs that fork, each in an interpreter of its own: the tests' own process has threads."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def outcome(program: str, *arguments: str) -> tuple[list[str], str]:
    """Run a program to its end, and return the lines that it printed and what it wrote to standard error."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=20, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines(), ended.stderr

"""What figures were measured on."""

import os
import platform
import subprocess
from importlib.metadata import version

from bench import cpu
from bench.processes import ROOT

CARRIERS = ("uvloop", "httptools")  # of mosk-proxy's bytes


def description() -> dict[str, str]:
    """Processor, cores, kernel, Python and how busy it is."""
    return {
        "processor": cpu.model(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": f"{os.getloadavg()[0]:.1f}",
    }


def versions() -> dict[str, str]:
    """Versions of what carries mosk-proxy's bytes."""
    return {name: version(name) for name in CARRIERS}


def commit() -> str:
    """The working tree's commit, with `+` when files differ from it."""
    git = ["git", "-C", str(ROOT)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if changed else "")

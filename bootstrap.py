"""From a fresh clone to a running demonstration, with Python and PyPI only.

    python3 -m bootstrap demo        what `make demo` does
    python3 -m bootstrap test        what `make test` does

Makes `.venv`, installs the locked versions (hashes checked) when the lock has changed since, and runs. Standard library only,
because nothing else is there yet.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
LOCKS = {"run": ROOT / "requirements" / "run.lock", "dev": ROOT / "requirements" / "dev.lock"}
COMMANDS = {
    "install": ("run", []),
    "install-dev": ("dev", []),
    "demo": ("run", ["-m", "proxy", "demo"]),
    "test": (
        "dev",
        ["-m", "pytest", "-n", "auto", "--dist", "loadfile", "-m", "not e2e", "--cov", "--cov-report=term:skip-covered"],
    ),
}
OLDEST = (3, 11)


def main(arguments: list[str]) -> int:
    """Run one command of COMMANDS, further arguments passed on; returns its exit status, 2 for a wrong call."""
    if sys.version_info < OLDEST:
        print(f"mosk-proxy needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    lock, command = COMMANDS[arguments[0]]
    try:
        install(lock)
    except subprocess.CalledProcessError as failure:
        print(f"bootstrap: {' '.join(map(str, failure.cmd[1:4]))} … ended with status {failure.returncode}", file=sys.stderr)
        return 1
    return subprocess.call([PYTHON, *command, *arguments[1:]], cwd=ROOT) if command else 0


def install(lock: str) -> None:
    """Bring `.venv` to the state of one lock file; does nothing when it is there already."""
    wanted = fingerprint(lock)
    stamp = ENVIRONMENT / f".{lock}.installed"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    if not PYTHON.exists():
        print("bootstrap: making .venv", file=sys.stderr, flush=True)
        venv.create(ENVIRONMENT, with_pip=True)
    print(f"bootstrap: installing {LOCKS[lock].relative_to(ROOT)}", file=sys.stderr, flush=True)
    pip("install", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCKS[lock]))
    pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    stamp.write_text(wanted)


def fingerprint(lock: str) -> str:
    """Digest of what an installation depends on."""
    return hashlib.sha256(LOCKS[lock].read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()


def pip(*arguments: str) -> None:
    """Run pip of the environment, quietly; raises CalledProcessError."""
    subprocess.run([PYTHON, "-m", "pip", "-q", "--disable-pip-version-check", *arguments], check=True, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

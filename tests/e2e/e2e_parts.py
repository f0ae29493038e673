"""The rule for what a machine may lack, and where the scripts are that start real servers.

A test that needs an absent part skips with the reason. In CI that is a failure, except for a real server or tool that cannot be
fetched there (its script ends with status 3): the last lines of the run name it.
"""

import os
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
CANNOT_BE_HAD = 3  # the exit status by which a script of the real servers says so
_BUILD_SECONDS = 2400  # the first start builds Kubernetes


class AbsentParts:
    """What was looked for in vain, by name, with the reason."""

    def __init__(self, *, is_ci: bool) -> None:
        self.is_ci = is_ci
        self.reasons: dict[str, str] = {}

    def skip(self, part: str, reason: str, *, cannot_be_fetched: bool = False) -> NoReturn:
        """Skip the test that needs `part`, or fail it where nothing may be absent."""
        self.reasons[part] = reason
        if self.is_ci and not cannot_be_fetched:
            pytest.fail(f"{part} is absent: {reason}", pytrace=False)
        pytest.skip(f"{part} is absent: {reason}")

    def lines(self) -> list[str]:
        """One line for each absent part, for the end of the run."""
        return [f"absent: {part}: {reason}" for part, reason in sorted(self.reasons.items())]


def scripts_folder() -> Path | None:
    """Return the folder with the scripts of the real servers, None where there is none."""
    named = os.environ.get("REAL_TOOLS")
    beside = [parent / "shared" / "tools" / "real" for parent in (ROOT.parent, ROOT.parent.parent)]
    return next((folder for folder in ([Path(named)] if named else beside) if (folder / "lib.sh").is_file()), None)


def tool(folder: Path, name: str, absent: AbsentParts) -> Path:
    """Build or fetch one program by `tools.sh`; returns where it is."""
    made = subprocess.run([folder / "tools.sh", name], capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS)
    if made.returncode:
        last = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
        absent.skip(name, last, cannot_be_fetched=made.returncode == CANNOT_BE_HAD)
    return Path(made.stdout.strip())

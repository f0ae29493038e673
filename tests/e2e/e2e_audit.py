"""Reads audit logs while they are being written: JSON, one object a line."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]

_PATIENCE = 10.0


@dataclass(frozen=True)
class AuditLog:
    """One audit log, of the API server or of mosk-proxy."""

    path: Path

    def size(self) -> int:
        """Where the log ends now: what is written later begins here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def lines(self, since: int = 0) -> Iterator[Line]:
        """Yield the whole lines behind `since`."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(since)
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def wait_for(self, wanted: Callable[[Line], bool], since: int = 0, count: int = 1) -> list[Line]:
        """Return the lines that are `wanted`, as soon as there are `count` of them."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            found = [line for line in self.lines(since) if wanted(line)]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} lines came to {self.path.name}: {found}"
            time.sleep(0.05)


def groups_but_authenticated(line: Line) -> list[str]:
    """Return the impersonated groups of an API server's line; `system:authenticated` is the server's own addition."""
    return [group for group in line["impersonatedUser"]["groups"] if group != "system:authenticated"]

"""The commands of the user's side as processes, with a home folder of their own."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from proxy.client.logins import Login, Logins


@dataclass
class Commands:
    """Runs `mosk-proxy` for a user whose home is `home`."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def logins(self) -> Logins:
        return Logins(self.home / ".local" / "state" / "mosk-proxy")

    @property
    def kubeconfig(self) -> Path:
        return self.home / ".kube" / "config"

    def signed_in(self, login: Login) -> None:
        self.logins.save(login)

    def run(self, *arguments: object, program: tuple[str, ...] = ("-m", "proxy")) -> tuple[int, str, str]:
        left_out = {"KUBECONFIG", "XDG_STATE_HOME", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY"}
        inherited = {name: value for name, value in os.environ.items() if name not in left_out}
        ended = subprocess.run(
            [sys.executable, *program, *map(str, arguments)],
            env={**inherited, "HOME": str(self.home), "PYTHONWARNINGS": "error", **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            cwd=Path(__file__).parents[1],
        )
        return ended.returncode, ended.stdout, ended.stderr

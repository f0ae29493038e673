"""The user at this machine: what their environment and their home folder say of where things are."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.client.logins import Logins
from proxy.client.private_files import state_folder


@dataclass(frozen=True, slots=True)
class User:
    """Whose command it is."""

    environment: Mapping[str, str] = field(repr=False)
    home: Path

    @classmethod
    def of_this_process(cls) -> "User":
        """Return the user who runs this process."""
        return cls(os.environ, Path.home())

    @property
    def logins(self) -> Logins:
        """Their sign-ins."""
        return Logins(state_folder(self.environment, self.home))

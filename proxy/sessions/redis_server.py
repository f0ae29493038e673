"""Where a Redis or Valkey server is, and how to speak to it."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RedisServer:
    """An address and credentials; `ca_file` replaces the system's authorities, the password is never shown."""

    host: str
    port: int = 6379
    database: int = 0
    is_tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{'rediss' if self.is_tls else 'redis'}://{self.host}:{self.port}/{self.database}"

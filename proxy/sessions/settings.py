"""What the configuration says of sessions."""

from dataclasses import dataclass
from pathlib import Path

from proxy.sessions.redis_server import RedisServer


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """When a session ends: so long after it was last seen, and in any case so long after the sign-in; seconds."""

    idle: float = 30 * 60
    absolute: float = 12 * 3600


DEFAULT_LIFETIMES = Lifetimes()


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Where sessions are kept (a SQLite file or a server), the file with their keys, and how long they last.

    Without `key_file` a key is made beside the SQLite file; replicas that share a server have to share a file.
    """

    store: Path | RedisServer
    key_file: Path | None = None
    lifetimes: Lifetimes = DEFAULT_LIFETIMES

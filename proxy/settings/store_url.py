"""Where sessions are kept, as one URL: a SQLite file, or a Redis or Valkey server."""

import re
from pathlib import Path
from typing import Final

from proxy.directory.build import is_host
from proxy.sessions.redis_server import RedisServer

_FORMS: Final = "sqlite:///path/to/sessions.db, redis://host:port/0 or rediss://host:port/0"
_SERVER: Final = re.compile(
    r"(?P<scheme>rediss?)://(?:(?P<user>[^@/?#]*)@)?(?P<host>\[[^]]*\]|[^:/?#@]*)(?::(?P<port>[0-9]{1,5}))?(?:/(?P<database>[0-9]{1,3})?)?",
    re.ASCII,
)
_LAST_PORT: Final = 65535


def parse_store_url(text: str) -> Path | RedisServer:
    """Return what a store's URL names; raises ValueError with the remedy."""
    if text.startswith("sqlite:///"):
        return _file(text.removeprefix("sqlite://"))
    match = _SERVER.fullmatch(text)
    if match is None or not _is_host(match["host"]):
        raise ValueError(f"must have the form {_FORMS}")
    if match["user"] is not None and (":" in match["user"] or not match["user"]):
        raise ValueError("must not hold a password: give sessions.password_file")
    port = int(match["port"] or 6379)
    if not 0 < port <= _LAST_PORT:
        raise ValueError(f"must have the form {_FORMS}")
    return RedisServer(
        host=match["host"].strip("[]"),
        port=port,
        database=int(match["database"] or 0),
        is_tls=match["scheme"] == "rediss",
        username=match["user"],
    )


def _is_host(text: str) -> bool:
    bare = text.removeprefix("[").removesuffix("]")
    return is_host(bare) and (bare != text) == (":" in bare)


def _file(path: str) -> Path:
    if path.endswith("/") or "\0" in path:
        raise ValueError(f"must have the form {_FORMS}")
    return Path(path)

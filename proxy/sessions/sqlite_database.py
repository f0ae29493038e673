"""The SQLite file of the sessions: made for its owner alone, in WAL mode, of the one schema that this release knows."""

import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from proxy.sessions.sqlite_statements import writing
from proxy.sessions.store import UnusableStore

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x6D6F736B  # "mosk"
_OPENING_SECONDS: Final = 5.0

# `change` is how workers tell each other: whoever ends a session or renews its contents leaves a line, and whoever sees the
# database's data_version move reads the lines behind the last one it knows.
_SCHEMA: Final = (
    """CREATE TABLE session (
        key BLOB PRIMARY KEY, subject BLOB NOT NULL, provider_session BLOB, created_at REAL NOT NULL, last_seen REAL NOT NULL,
        ends_at REAL NOT NULL, revision INTEGER NOT NULL, claimed_by BLOB, claimed_until REAL NOT NULL DEFAULT 0,
        sealed BLOB NOT NULL)""",
    "CREATE INDEX session_subject ON session (subject)",
    "CREATE INDEX session_provider_session ON session (provider_session)",
    "CREATE INDEX session_times ON session (ends_at, last_seen)",
    "CREATE TABLE change (number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, has_ended INTEGER NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE once (name BLOB PRIMARY KEY, until REAL NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def open_database(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the database, after making it if there is none; raises UnusableStore.

    A lock of another process is waited for `busy_seconds` from now on.
    """
    try:
        _require_private(path)
        connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    except OSError as error:
        raise UnusableStore(f"{path}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise UnusableStore(f"{path}: {error}") from None
    try:
        _patiently(lambda: _prepare(connection, path))
    except sqlite3.Error as error:
        connection.close()
        raise UnusableStore(f"{path}: {error}") from None
    except UnusableStore:
        connection.close()
        raise
    return connection


def _require_private(path: Path) -> None:
    # Made before SQLite would make it with everybody's permissions; its -wal and -shm files get the same mode as this one.
    # Never opened when it exists: closing a descriptor of the file would drop the locks of every connection in this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise UnusableStore(f"{path}: others than its owner may use it: chmod 600 {path}")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    _pragma(connection, "trusted_schema = OFF")
    # Full: a session that was ended must stay ended, whatever happens to the machine's power.
    _pragma(connection, "synchronous = FULL")
    if _pragma(connection, "journal_mode = WAL") != "wal":
        raise UnusableStore(f"{path}: its file system cannot share memory between processes: use a local one")
    with writing(connection):
        found = (_pragma(connection, "application_id"), _pragma(connection, "user_version"))
        if found == (0, 0) and not _holds_tables(connection):
            for statement in _SCHEMA:
                connection.execute(statement)
        elif found[0] != _APPLICATION_ID:
            raise UnusableStore(f"{path}: is not a session database of mosk-proxy: name another file")
        elif found[1] != SCHEMA_VERSION:
            raise UnusableStore(f"{path}: is of schema {found[1]}, this release knows {SCHEMA_VERSION}: name another file")


def _pragma(connection: sqlite3.Connection, text: str) -> object:
    with closing(connection.execute(f"PRAGMA {text}")) as cursor:
        row = cursor.fetchone()
    return None if row is None else row[0]


def _holds_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None


def _patiently(prepare: Callable[[], None]) -> None:
    # While another process turns WAL mode on, SQLite answers "locked" at once instead of waiting.
    deadline = time.monotonic() + _OPENING_SECONDS
    while True:
        try:
            prepare()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return

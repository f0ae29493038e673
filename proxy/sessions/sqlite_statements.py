"""The statements of the SQLite store, each a function of a connection that is called in the connection's own thread."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from proxy.sessions.record import StoredSession

_COLUMNS: Final = "key, subject, provider_session, created_at, last_seen, ends_at, revision, sealed"
_CHANGES_SECONDS: Final = 300


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Make one transaction of what is done inside; all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def put(connection: sqlite3.Connection, session: StoredSession) -> None:
    """Insert a session."""
    values = (
        session.key,
        session.subject,
        session.provider_session,
        session.created_at,
        session.last_seen,
        session.ends_at,
        session.revision,
        session.sealed,
    )
    with writing(connection):
        connection.execute(f"INSERT INTO session ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608 (a constant)


def get(connection: sqlite3.Connection, key: bytes) -> StoredSession | None:
    """Select one session."""
    rows = _selected(connection, "key = ?", key)
    return rows[0] if rows else None


def of_subject(connection: sqlite3.Connection, subject: bytes) -> list[StoredSession]:
    """Select the sessions of a user."""
    return _selected(connection, "subject = ?", subject)


def of_provider_session(connection: sqlite3.Connection, provider_session: bytes) -> list[StoredSession]:
    """Select the sessions of a sign-in at the issuer."""
    return _selected(connection, "provider_session = ?", provider_session)


def replace(connection: sqlite3.Connection, key: bytes, revision: int, sealed: bytes, now: float) -> bool:
    """Update a session's contents if its revision is still the given one."""
    statement = "UPDATE session SET sealed = ?, revision = revision + 1, claimed_by = NULL, claimed_until = 0 WHERE key = ? AND revision = ?"
    with writing(connection):
        is_replaced = connection.execute(statement, (sealed, key, revision)).rowcount > 0
        if is_replaced:
            _tell(connection, key, has_ended=False, now=now)
    return is_replaced


def remove(connection: sqlite3.Connection, keys: Collection[bytes], now: float) -> frozenset[bytes]:
    """Delete sessions; returns those that were there."""
    with writing(connection):
        return _removed(connection, keys, now)


def missing(connection: sqlite3.Connection, keys: Collection[bytes]) -> frozenset[bytes]:
    """Return those keys that no session has."""
    statement = "SELECT 1 FROM session WHERE key = ?"
    return frozenset(key for key in keys if connection.execute(statement, (key,)).fetchone() is None)


def touch(connection: sqlite3.Connection, seen: Mapping[bytes, float]) -> None:
    """Update when sessions were last seen."""
    with writing(connection):
        statement = "UPDATE session SET last_seen = max(last_seen, ?) WHERE key = ?"
        connection.executemany(statement, [(moment, key) for key, moment in seen.items()])


def claim(connection: sqlite3.Connection, key: bytes, revision: int, holder: bytes, now: float, until: float) -> bool:
    """Take a claim that nobody holds."""
    statement = "UPDATE session SET claimed_by = ?, claimed_until = ? WHERE key = ? AND revision = ? AND claimed_until <= ?"
    with writing(connection):
        return connection.execute(statement, (holder, until, key, revision, now)).rowcount > 0


def release(connection: sqlite3.Connection, key: bytes, holder: bytes) -> None:
    """Drop a claim of this holder."""
    with writing(connection):
        connection.execute(
            "UPDATE session SET claimed_by = NULL, claimed_until = 0 WHERE key = ? AND claimed_by = ?", (key, holder)
        )


def once(connection: sqlite3.Connection, name: bytes, now: float, until: float) -> bool:
    """Insert a name unless it is there and not out of date."""
    with writing(connection):
        connection.execute("DELETE FROM once WHERE name = ? AND until <= ?", (name, now))
        return connection.execute("INSERT OR IGNORE INTO once (name, until) VALUES (?, ?)", (name, until)).rowcount > 0


def last_change(connection: sqlite3.Connection) -> int:
    """Return the number of the newest change."""
    number: int = connection.execute("SELECT coalesce(max(number), 0) FROM change").fetchone()[0]
    return number


def data_version(connection: sqlite3.Connection) -> int:
    """Return a number that is another one after each commit of another connection."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def changes_after(connection: sqlite3.Connection, number: int) -> list[tuple[int, bytes, bool]]:
    """Return number, key and whether it ended, of each change behind `number`."""
    rows = connection.execute("SELECT number, key, has_ended FROM change WHERE number > ? ORDER BY number", (number,))
    return [(row[0], row[1], bool(row[2])) for row in rows]


def sweep(connection: sqlite3.Connection, now: float, idle_seconds: float) -> None:
    """Delete what is over: sessions, names, and changes that every worker has read long ago."""
    with writing(connection):
        over = connection.execute("SELECT key FROM session WHERE ends_at <= ? OR last_seen <= ?", (now, now - idle_seconds))
        _removed(connection, [row[0] for row in over.fetchall()], now)
        connection.execute("DELETE FROM once WHERE until <= ?", (now,))
        connection.execute("DELETE FROM change WHERE at <= ?", (now - _CHANGES_SECONDS,))


def _selected(connection: sqlite3.Connection, condition: str, value: bytes) -> list[StoredSession]:
    statement = f"SELECT {_COLUMNS} FROM session WHERE {condition}"  # noqa: S608 (constants)
    return [StoredSession(*row) for row in connection.execute(statement, (value,))]


def _removed(connection: sqlite3.Connection, keys: Collection[bytes], now: float) -> frozenset[bytes]:
    statement = "DELETE FROM session WHERE key = ?"
    removed = frozenset(key for key in keys if connection.execute(statement, (key,)).rowcount > 0)
    for key in removed:
        _tell(connection, key, has_ended=True, now=now)
    return removed


def _tell(connection: sqlite3.Connection, key: bytes, *, has_ended: bool, now: float) -> None:
    connection.execute("INSERT INTO change (key, has_ended, at) VALUES (?, ?, ?)", (key, has_ended, now))

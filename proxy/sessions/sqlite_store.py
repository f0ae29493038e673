"""Sessions in a SQLite file that all workers of one machine share.

Theory of operation. One connection, in one thread of its own: the event loop waits for an answer and never for a disk. Commits of
other processes are noticed by `PRAGMA data_version`, four microseconds a look, five looks a second; the lines of the table `change`
say what they were. A lock that another process holds for longer than
a second makes the store count as not available.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from proxy.sessions import sqlite_statements as statements
from proxy.sessions.record import StoredSession
from proxy.sessions.sqlite_database import open_database
from proxy.sessions.store import Changes, StoreUnavailable

_PATIENCE_SECONDS: Final = 2.0

_P = ParamSpec("_P")
_R = TypeVar("_R")


class SqliteStore:
    """A SessionStore in the file `path`; `idle_seconds` after it was last seen a session is over.

    Looks for changes each `look` seconds, and waits `busy` seconds for another's lock.
    """

    def __init__(
        self, path: Path, idle_seconds: float, clock: Callable[[], float] = time.time, *, look: float = 0.2, busy: float = 1.0
    ) -> None:
        self._path = path
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._look = look
        self._busy = busy
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sessions")
        self._is_closed = False
        self._connection: sqlite3.Connection | None = None
        self._read_to = 0
        self._data_version = -1

    def __repr__(self) -> str:
        return f"SqliteStore({self._path})"

    async def open(self) -> None:
        """Open or make the file; raises UnusableStore. Must be called before anything else."""
        loop = asyncio.get_running_loop()
        self._connection = await loop.run_in_executor(self._thread, open_database, self._path, self._busy)
        self._read_to = await self._in_thread(statements.last_change)

    async def close(self) -> None:
        if not self._is_closed and self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._is_closed = True
        self._thread.shutdown(wait=False)

    async def put(self, session: StoredSession) -> None:
        await self._in_thread(statements.put, session)

    async def get(self, key: bytes) -> StoredSession | None:
        return await self._in_thread(statements.get, key)

    async def replace(self, key: bytes, revision: int, sealed: bytes) -> bool:
        return await self._in_thread(statements.replace, key, revision, sealed, self._clock())

    async def remove(self, keys: Collection[bytes]) -> frozenset[bytes]:
        return await self._in_thread(statements.remove, keys, self._clock())

    async def of_subject(self, subject: bytes) -> list[StoredSession]:
        return await self._in_thread(statements.of_subject, subject)

    async def of_provider_session(self, provider_session: bytes) -> list[StoredSession]:
        return await self._in_thread(statements.of_provider_session, provider_session)

    async def missing(self, keys: Collection[bytes]) -> frozenset[bytes]:
        return await self._in_thread(statements.missing, keys)

    async def touch(self, seen: Mapping[bytes, float]) -> None:
        await self._in_thread(statements.touch, seen)

    async def claim(self, key: bytes, revision: int, holder: bytes, seconds: float) -> bool:
        now = self._clock()
        return await self._in_thread(statements.claim, key, revision, holder, now, now + seconds)

    async def release(self, key: bytes, holder: bytes) -> None:
        await self._in_thread(statements.release, key, holder)

    async def once(self, name: bytes, seconds: float) -> bool:
        now = self._clock()
        return await self._in_thread(statements.once, name, now, now + seconds)

    async def changes(self) -> Changes:
        await asyncio.sleep(self._look)
        rows = await self._in_thread(self._new_changes)
        ended = frozenset(key for _, key, has_ended in rows if has_ended)
        return Changes(ended, frozenset(key for _, key, _ in rows).difference(ended))

    async def sweep(self, now: float) -> None:
        await self._in_thread(statements.sweep, now, self._idle_seconds)

    def _new_changes(self, connection: sqlite3.Connection) -> list[tuple[int, bytes, bool]]:
        """Return what other connections changed; runs in the thread, where nothing comes between look and read."""
        version = statements.data_version(connection)
        if version == self._data_version:
            return []
        rows = statements.changes_after(connection, self._read_to)
        self._data_version = version
        self._read_to = rows[-1][0] if rows else self._read_to
        return rows

    async def _in_thread(
        self, statement: Callable[Concatenate[sqlite3.Connection, _P], _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        connection = self._connection
        if self._is_closed or connection is None:
            raise StoreUnavailable(f"{self._path}: closed")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await loop.run_in_executor(self._thread, lambda: statement(connection, *args, **kwargs))
        except TimeoutError:
            raise StoreUnavailable(f"{self._path}: no answer within {_PATIENCE_SECONDS:g} seconds") from None
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error

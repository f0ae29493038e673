"""What is particular to SQLite: processes that share a file, its locks, and what is left after a kill."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from proxy.sessions.sqlite_store import SqliteStore
from proxy.sessions.store import StoreUnavailable, UnusableStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.db"


@pytest.fixture
async def store(path, clock):
    opened = SqliteStore(path, 1800, clock, look=0.02, busy=0.2)
    await opened.open()
    yield opened
    await opened.close()


PUT_AND_DIE = """
import asyncio, os, pathlib, signal, sys
from proxy.sessions.record import StoredSession
from proxy.sessions.sqlite_store import SqliteStore

async def main():
    store = SqliteStore(pathlib.Path(sys.argv[1]), 1800)
    await store.open()
    for number in range(20):
        key = bytes([number]) * 32
        await store.put(StoredSession(key, b"u", b"p", 1.0, 1.0, 9e9, 1, b"sealed"))
    await store.remove([bytes([3]) * 32])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_nothing_is_lost_when_a_worker_is_killed(store, path):
    await store.changes()
    ended = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", PUT_AND_DIE, str(path)], timeout=20, check=False)
    assert ended.returncode == -9
    assert {session.key[0] for session in await store.of_subject(b"u")} == set(range(20)) - {3}
    assert (await store.changes()).ended == {bytes([3]) * 32}


async def test_a_restart_finds_what_was_there(store, path, make, clock):
    session = make()
    await store.put(session)
    await store.close()
    again = SqliteStore(path, 1800, clock)
    await again.open()
    try:
        assert await again.get(session.key) == session
    finally:
        await again.close()


async def test_a_lock_of_somebody_else_is_told_and_stops_no_event_loop(store, path, make):
    session = make()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        putting = asyncio.get_running_loop().create_task(store.put(session))
        longest = 0.0
        while not putting.done():
            began = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - began)
        other.execute("ROLLBACK")
    with pytest.raises(StoreUnavailable) as refused:
        await putting
    assert "database is locked" in refused.value.detail
    assert longest < 0.15
    await store.put(session)
    assert await store.get(session.key) == session


async def test_reading_goes_on_while_somebody_writes(store, path, make):
    session = make()
    await store.put(session)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await store.get(session.key) == session


async def test_a_transaction_that_fails_leaves_nothing_behind(store, make):
    session = make()
    await store.put(session)
    with pytest.raises(StoreUnavailable):
        await store.put(session)
    other = make()
    await store.put(other)
    assert await store.get(other.key) == other


async def test_it_is_swept_of_all_that_is_over(store, path, make, clock):
    over, idle, living = make(ends_at=clock.now + 10), make(last_seen=clock.now - 1795), make()
    for session in (over, idle, living):
        await store.put(session)
    await store.once(b"name", 10)
    await store.remove([make().key])
    clock.now += 11
    await store.sweep(clock.now)
    assert await store.missing([over.key, idle.key, living.key]) == {over.key, idle.key}
    clock.now += 301
    await store.sweep(clock.now)
    with closing(sqlite3.connect(path)) as look:
        counts = [look.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("session", "once", "change")]
    assert counts == [1, 0, 0], "the file does not grow for ever"


async def test_sweeping_tells_other_workers(store, path, make, clock):
    other = SqliteStore(path, 1800, clock, look=0.02)
    await other.open()
    try:
        session = make(ends_at=clock.now + 1)
        await store.put(session)
        await other.changes()
        clock.now += 2
        await store.sweep(clock.now)
        assert (await other.changes()).ended == {session.key}
    finally:
        await other.close()


async def test_before_it_is_opened_and_after_it_is_closed_it_is_unavailable(store, path):
    for closed in (SqliteStore(path, 1800), store):
        await closed.close()
        await closed.close()
        with pytest.raises(StoreUnavailable, match="not available"):
            await closed.get(b"k")


async def test_a_file_that_cannot_be_used_is_told_at_the_start(path):
    path.write_bytes(b"no database")
    store = SqliteStore(path, 1800)
    with pytest.raises(UnusableStore, match="chmod 600"):
        await store.open()
    await store.close()


def test_it_says_where_it_is(path):
    assert repr(SqliteStore(path, 1800)) == f"SqliteStore({path})"

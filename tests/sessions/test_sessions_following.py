"""Workers that follow each other: what one ends, the others cut."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from session_worker import Streams, contents, identity, running, until, worker_of

from proxy.sessions.following import Rhythm
from proxy.sessions.redis_store import RedisStore
from proxy.sessions.sqlite_store import SqliteStore
from proxy.sessions.store import StoreUnavailable


async def test_what_one_worker_ends_the_other_cuts_within_a_second(workers, clock):
    store, other_store = await workers(), await workers()
    here, there = worker_of(store, clock), worker_of(other_store, clock)
    streams = Streams()
    there.watchers.append(streams)
    async with running(there, other_store, clock):
        session_id, _ = await here.create(identity(), contents())
        session = await there.find(session_id)
        _, other = await here.create(identity(), contents())
        streams.open = {session.key, other.key}
        assert there.cached(session_id) is session
        began = time.monotonic()
        await here.end([session.key])
        await until(lambda: bool(streams.cut))
        assert time.monotonic() - began < 1
        assert streams.cut == {session.key}
        assert (there.cached(session_id), session.is_current) == (None, False)


async def test_a_stream_is_cut_whose_session_is_no_longer_held(workers, clock):
    store, other_store = await workers(), await workers()
    here, there = worker_of(store, clock), worker_of(other_store, clock)
    streams = Streams()
    there.watchers.append(streams)
    _, session = await here.create(identity(), contents())
    async with running(there, other_store, clock):
        streams.open = {session.key}
        await here.end([session.key])
        await until(lambda: streams.cut == {session.key})


async def test_what_one_worker_renews_the_other_reads_anew(workers, clock):
    store, other_store = await workers(), await workers()
    here, there = worker_of(store, clock), worker_of(other_store, clock)
    session_id, session = await here.create(identity(), contents())
    async with running(there, other_store, clock):
        theirs = await there.find(session_id)
        assert await here.renew(session, contents("second"))
        await until(lambda: not theirs.is_current)
        assert (await there.find(session_id)).contents == contents("second")


async def test_when_a_session_was_seen_is_written_now_and_then_and_at_the_end(workers, clock):
    store = await workers()
    here = worker_of(store, clock)
    async with running(here, store, clock):
        _, session = await here.create(identity(), contents())
        session.last_seen = clock.now + 5
        async with asyncio.timeout(1):
            while (await store.get(session.key)).last_seen != clock.now + 5:
                await asyncio.sleep(0.01)
        session.last_seen = clock.now + 7
    assert (await store.get(session.key)).last_seen == clock.now + 7


async def test_what_has_a_stream_open_is_in_use(workers, clock):
    store = await workers()
    here = worker_of(store, clock)
    async with running(here, store, clock):
        session_id, session = await here.create(identity(), contents())
        here.watchers.append(Streams(open={session.key}))
        for _ in range(3):
            clock.now += 1500
            await until(lambda: session.last_seen == clock.now)
        assert await here.find(session_id) is session


async def test_a_stream_is_cut_when_the_time_of_its_session_is_over(workers, clock):
    store = await workers()
    here = worker_of(store, clock)
    _, session = await here.create(identity(), contents())
    streams = Streams(open={session.key})
    here.watchers.append(streams)
    async with running(here, store, clock):
        clock.now += 36_001
        if not isinstance(store, SqliteStore):
            await store.remove([session.key])  # as the server does by its own clock
        await until(lambda: streams.cut == {session.key})


@contextmanager
def broken(path: Path) -> Iterator[None]:
    """A database that answers every look for changes with an error."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("ALTER TABLE change RENAME TO away")
        yield
        other.execute("ALTER TABLE away RENAME TO change")


async def test_a_store_that_is_lost_refuses_all_and_comes_back(tmp_path, clock):
    store = SqliteStore(tmp_path / "sessions.db", 1800, clock, look=0.01)
    await store.open()
    here = worker_of(store, clock)
    session_id, session = await here.create(identity(), contents())
    streams = Streams(open={session.key})
    here.watchers.append(streams)
    async with running(here, store, clock):
        with broken(tmp_path / "sessions.db"):
            await until(lambda: here.trouble is not None)
            with pytest.raises(StoreUnavailable):
                await here.find(session_id)
        await until(lambda: here.trouble is None)
        assert (await here.find(session_id)).key == session.key
        assert streams.cut == set(), "nobody loses anything"
    await store.close()


async def test_what_ended_while_changes_could_not_be_read_is_cut_afterwards(tmp_path, clock):
    store = SqliteStore(tmp_path / "sessions.db", 1800, clock, look=0.01)
    await store.open()
    here = worker_of(store, clock)
    ids = [await here.create(identity(), contents()) for _ in range(3)]
    ended, kept, held = (session for _, session in ids)
    streams = Streams(open={ended.key, kept.key})
    here.watchers.append(streams)
    async with running(here, store, clock):
        with (
            broken(tmp_path / "sessions.db") as _,
            closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as other,
        ):
            await until(lambda: here.trouble is not None)
            # No line in the table of changes tells of it.
            other.execute("DELETE FROM session WHERE key IN (?, ?)", (ended.key, held.key))
        await until(lambda: here.trouble is None)
        assert streams.cut == {ended.key}
        assert [await here.find(session_id) is not None for session_id, _ in ids] == [False, True, False]
    await store.close()


async def test_after_a_long_silence_nothing_is_taken_on_trust(tmp_path, clock):
    store = SqliteStore(tmp_path / "sessions.db", 1800, clock, look=0.01)
    await store.open()
    here = worker_of(store, clock)
    session_id, session = await here.create(identity(), contents())
    with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as other:
        other.execute("DELETE FROM session")
    async with running(here, store, clock, Rhythm(silence=-1)):
        await until(lambda: not session.is_current)
        assert await here.find(session_id) is None
    await store.close()


async def test_a_server_that_is_away_and_comes_back_empty(own_redis, clock):
    store = RedisStore(own_redis.server, 1800, clock, block=0.01)
    here = worker_of(store, clock)
    session_id, session = await here.create(identity(), contents())
    streams = Streams(open={session.key})
    here.watchers.append(streams)
    async with running(here, store, clock):
        own_redis.kill()
        await until(lambda: here.trouble is not None)
        assert streams.cut == set()
        own_redis.start()
        await until(lambda: here.trouble is None)
        assert streams.cut == {session.key}
        assert await here.find(session_id) is None
    await store.close()


async def test_a_connection_that_is_closed_once_troubles_nobody(own_redis, clock, caplog):
    store = RedisStore(own_redis.server, 1800, clock, block=0.01)
    here = worker_of(store, clock)
    session_id, _ = await here.create(identity(), contents())
    async with running(here, store, clock):
        await asyncio.sleep(0.03)
        for _ in range(3):
            own_redis.ask("CLIENT", "KILL", "TYPE", "normal")
            assert (await here.find(session_id)) is not None
            await asyncio.sleep(0.03)
    assert caplog.records == []
    await store.close()

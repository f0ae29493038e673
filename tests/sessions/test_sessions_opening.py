import asyncio
import stat

import pytest
from session_worker import QUICK, contents, identity, until

from proxy.sessions.opening import keys_of, opened
from proxy.sessions.redis_server import RedisServer
from proxy.sessions.settings import Lifetimes, SessionSettings
from proxy.sessions.store import StoreUnavailable, UnusableStore


async def test_database_and_key_are_made_at_the_first_start_and_used_at_the_next(tmp_path):
    settings = SessionSettings(tmp_path / "sessions.db")
    async with opened(settings) as first:
        session_id, _ = await first.sessions.create(identity(), contents())
        sealed = first.sealer.seal(b"text", "session", b"name")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"sessions.db": 0o600, "sessions.db.key": 0o600}
    async with opened(settings) as second:
        assert (await second.sessions.find(session_id)).contents == contents()
        assert second.sealer.open(sealed, "session", b"name") == b"text"


async def test_two_workers_follow_each_other(tmp_path):
    settings = SessionSettings(tmp_path / "sessions.db", lifetimes=Lifetimes(60, 120))
    async with opened(settings, rhythm=QUICK) as one, opened(settings, rhythm=QUICK) as other:
        session_id, session = await one.sessions.create(identity(), contents())
        assert session.ends_at == pytest.approx(session.created_at + 120)
        theirs = await other.sessions.find(session_id)
        await asyncio.sleep(0.3)
        await one.sessions.end([session.key])
        await until(lambda: not theirs.is_current)


async def test_a_server_that_is_down_at_the_start_refuses_sessions_until_it_is_there(own_redis, tmp_path):
    key_file = tmp_path / "keys"
    keys_of(SessionSettings(tmp_path / "x.db"))
    (tmp_path / "x.db.key").rename(key_file)
    own_redis.kill()
    settings = SessionSettings(own_redis.server, key_file)
    async with opened(settings, rhythm=QUICK) as room:
        await until(lambda: room.sessions.trouble is not None)
        with pytest.raises(StoreUnavailable):
            await room.sessions.find(b"A" * 43)
        own_redis.start()
        await until(lambda: room.sessions.trouble is None)
        session_id, _ = await room.sessions.create(identity(), contents())
        assert await room.sessions.find(session_id) is not None


@pytest.mark.parametrize(
    ("key", "message"),
    [(None, "needs a key file that all replicas share"), ("absent", "absent: No such file or directory")],
)
async def test_keys_of_a_server_are_not_made(tmp_path, key, message):
    settings = SessionSettings(RedisServer("127.0.0.1", 1), None if key is None else tmp_path / key)
    with pytest.raises(UnusableStore, match=message):
        async with opened(settings):
            pass


async def test_what_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "sessions.db").touch(mode=0o644)
    (tmp_path / "sessions.db").chmod(0o644)
    with pytest.raises(UnusableStore, match=f"chmod 600 {tmp_path}/sessions.db"):
        async with opened(SessionSettings(tmp_path / "sessions.db")):
            pass
    with pytest.raises(UnusableStore, match="cannot be made"):
        async with opened(SessionSettings(tmp_path / "no-folder" / "sessions.db")):
            pass


async def test_sessions_are_refused_when_their_changes_are_no_longer_followed(tmp_path, caplog):
    """A mistake of ours must not end in sessions that nobody can end."""
    settings = SessionSettings(tmp_path / "sessions.db")
    async with opened(settings, rhythm=QUICK) as one, opened(settings, rhythm=QUICK) as other:
        session_id, session = await one.sessions.create(identity(), contents())
        other.sessions.cache.end = None
        await one.sessions.end([session.key])
        await until(lambda: other.sessions.trouble is not None)
        with pytest.raises(StoreUnavailable):
            await other.sessions.find(session_id)
    assert "task sessions failed" in caplog.text

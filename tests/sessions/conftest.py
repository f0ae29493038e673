"""Stores of both kinds, each in the hands of as many workers as a test wants, and sessions to put into them."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from redis_process import RedisProcess, redis_process

from proxy.sessions.record import StoredSession
from proxy.sessions.redis_store import RedisStore
from proxy.sessions.sqlite_store import SqliteStore
from proxy.sessions.store import SessionStore

IDLE = 1800.0

Workers = Callable[[], Awaitable[SessionStore]]


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    with redis_process(tmp_path_factory.mktemp("redis")) as process:
        yield process


@pytest.fixture
def redis(_redis: RedisProcess) -> RedisProcess:
    """A server that holds nothing yet."""
    _redis.ask("FLUSHALL")
    return _redis


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """A server that a test may do to what it likes."""
    with redis_process(tmp_path) as process:
        yield process


@pytest.fixture(params=["sqlite", "redis"])
async def workers(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Workers]:
    """Opens the same store once more, as another worker does."""
    server = request.getfixturevalue("redis").server if request.param == "redis" else None
    async with contextlib.AsyncExitStack() as stack:

        async def opened() -> SessionStore:
            if server is not None:
                store: SessionStore = RedisStore(server, IDLE, clock, block=0.02)
            else:
                store = SqliteStore(tmp_path / "sessions.db", IDLE, clock, look=0.02)
                await store.open()
            stack.push_async_callback(store.close)
            return store

        yield opened


_numbers = count(1)


def stored(now: float, **changes: object) -> StoredSession:
    """A session that was just made, like no other but in what `changes` says."""
    number = next(_numbers)
    row = StoredSession(
        key=number.to_bytes(32, "big"),
        subject=b"s" * 31 + bytes([number % 256]),
        provider_session=b"p" * 31 + bytes([number % 256]),
        created_at=now,
        last_seen=now,
        ends_at=now + 3600,
        revision=1,
        sealed=b"\x00\xffsealed",
    )
    return StoredSession(**{name: changes.get(name, getattr(row, name)) for name in row.__struct_fields__})


@pytest.fixture
def make(clock: Clock) -> Callable[..., StoredSession]:
    return lambda **changes: stored(clock.now, **changes)

"""From settings to sessions that are ready for use."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.sessions.following import DEFAULT_RHYTHM, Following, Rhythm
from proxy.sessions.key_file import UnusableKeys, read_keys, read_or_make_keys
from proxy.sessions.redis_server import RedisServer
from proxy.sessions.sealing import Sealer
from proxy.sessions.sessions import Sessions
from proxy.sessions.settings import SessionSettings
from proxy.sessions.sqlite_store import SqliteStore
from proxy.sessions.store import SessionStore, UnusableStore

_log = logging.getLogger(__name__)

# Another worker may have seen a session that the store has not been told of yet: the store forgets it only that much later.
_SLACK_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class OpenedSessions:
    """The sessions of this worker, and what seals things with the same keys."""

    sessions: Sessions
    sealer: Sealer


@asynccontextmanager
async def opened(
    settings: SessionSettings,
    *,
    clock: Callable[[], float] = time.time,
    rhythm: Rhythm = DEFAULT_RHYTHM,
) -> AsyncIterator[OpenedSessions]:
    """Give sessions while the context lasts; raises UnusableStore, with one line for the operator.

    A server that does not answer is not an error at this point: sessions are refused until it does.
    """
    loop = asyncio.get_running_loop()
    sealer = Sealer(await loop.run_in_executor(None, keys_of, settings))
    store = await _store(settings, clock)
    sessions = Sessions(store, sealer, settings.lifetimes, clock)
    following = loop.create_task(Following(sessions, store, rhythm, clock).run(), name="sessions")
    following.add_done_callback(lambda task: _report(task, sessions))
    try:
        yield OpenedSessions(sessions, sealer)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await store.close()


def keys_of(settings: SessionSettings) -> tuple[bytes, ...]:
    """Read the keys that settings mean, after making one beside a SQLite file if there is none; raises UnusableStore."""
    try:
        if settings.key_file is not None:
            return read_keys(settings.key_file)
        if isinstance(settings.store, Path):
            return read_or_make_keys(settings.store.with_name(f"{settings.store.name}.key"))
    except UnusableKeys as error:
        raise UnusableStore(str(error)) from None
    raise UnusableStore(f"{settings.store}: needs a key file that all replicas share")


async def _store(settings: SessionSettings, clock: Callable[[], float]) -> SessionStore:
    idle = settings.lifetimes.idle + _SLACK_SECONDS
    if isinstance(settings.store, RedisServer):
        return _redis_store(settings.store, idle, clock)
    store = SqliteStore(settings.store, idle, clock)
    try:
        await store.open()
    except BaseException:
        await store.close()
        raise
    return store


def _redis_store(server: RedisServer, idle: float, clock: Callable[[], float]) -> SessionStore:
    try:
        from proxy.sessions.redis_store import RedisStore  # noqa: PLC0415 (an optional library)
    except ImportError:
        raise UnusableStore(f"{server}: redis-py is not installed: pip install 'mosk-proxy[redis]'") from None
    return RedisStore(server, idle, clock)


def _report(task: asyncio.Task[None], sessions: Sessions) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        _log.error("task %s failed: %r", task.get_name(), failure)
        sessions.note_trouble("its changes are no longer followed: restart")

"""What a worker does for its sessions without being asked: hear of changes, write down when sessions were seen, sweep.

After every loss of the store, and after a silence in which changes may have been thrown away, nothing that is held is taken on trust:
each session that is held or has something open is looked up, and the rest is read anew when it is needed.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from proxy.sessions.sessions import Sessions
from proxy.sessions.store import SessionStore, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds: between attempts to reach a lost store, between two times of upkeep, and until a silence may have hidden changes."""

    retry: float = 0.25
    upkeep: float = 15
    silence: float = 60


DEFAULT_RHYTHM = Rhythm()


class Following:
    """Keeps sessions and their store together; without `run` nobody hears of what other workers end."""

    def __init__(
        self,
        sessions: Sessions,
        store: SessionStore,
        rhythm: Rhythm = DEFAULT_RHYTHM,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._rhythm = rhythm
        self._clock = clock
        self._failures = 0
        self._is_sure = True
        self._heard_at = time.monotonic()

    async def run(self) -> None:
        """Go on for ever; when cancelled, write down what was seen last."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="follow session changes")
                group.create_task(self._keep_up(), name="upkeep of sessions")
        finally:
            with suppress(StoreUnavailable):
                await self._write_seen()

    async def _follow(self) -> None:
        while True:
            try:
                await self._hear()
            except StoreUnavailable as error:
                self._is_sure = False
                self._failures += 1
                # The first one may be no more than a connection that was closed while nobody spoke.
                if self._failures > 1:
                    self._sessions.note_trouble(error.detail)
                    await asyncio.sleep(self._rhythm.retry)
            else:
                self._failures = 0
                self._sessions.note_trouble(None)

    async def _hear(self) -> None:
        changes = await self._store.changes()
        self._sessions.note_ended(changes.ended)
        for key in changes.changed:
            self._sessions.cache.forget(key)
        is_late = time.monotonic() - self._heard_at > self._rhythm.silence
        if not self._is_sure or not changes.is_complete or is_late:
            await self._check_all()
        self._is_sure = True
        self._heard_at = time.monotonic()

    async def _check_all(self) -> None:
        await self._end_missing(self._sessions.cache.keys() | self._open())
        self._sessions.cache.forget_all()

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(self._rhythm.upkeep)
            with suppress(StoreUnavailable):  # the other task reports it
                await self._write_seen()
                await self._store.sweep(self._clock())
                # Redis tells nobody when it forgets a session whose time is over.
                await self._end_missing(self._open())

    async def _write_seen(self) -> None:
        now = self._clock()
        for key in self._open():
            if (session := self._sessions.cache.get(key)) is not None:
                session.last_seen = now
        seen = self._sessions.cache.take_unwritten() | dict.fromkeys(self._open(), now)
        if seen:
            await self._store.touch(seen)

    async def _end_missing(self, keys: frozenset[bytes]) -> None:
        if keys:
            self._sessions.note_ended(await self._store.missing(keys))

    def _open(self) -> frozenset[bytes]:
        return frozenset[bytes]().union(*(watcher.open_sessions() for watcher in self._sessions.watchers))

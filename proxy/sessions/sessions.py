"""The sessions of a worker: what it holds in memory of those that the store keeps for all.

Theory of operation. A request finds its session in memory by one look-up. The store is asked for a session that this worker does not
hold, and told at sign-in, renewal and end. `following` hears of what other workers do: a session that ended anywhere is dropped here
within the second, and whoever watches is told, to cut what it has open. The key of a session that has ended is remembered, so that an
answer of the store that was on its way meanwhile cannot bring it back.

While the store cannot be followed, nobody could tell that a session has ended: all of them are refused (503) then, none is dropped,
and no cookie is taken away.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final, Protocol

from proxy.identity.principal import Identity
from proxy.sessions.cache import SessionCache
from proxy.sessions.identifiers import new_session_id, provider_session_digest, session_key, session_label, subject_digest
from proxy.sessions.record import Contents, StoredSession, open_contents, seal_contents
from proxy.sessions.sealing import Sealer
from proxy.sessions.session import Session, Summary, held
from proxy.sessions.settings import DEFAULT_LIFETIMES, Lifetimes
from proxy.sessions.store import SessionStore, StoreUnavailable

_log = logging.getLogger(__name__)

MOST_SESSIONS_OF_A_USER: Final = 32


class Watcher(Protocol):
    """Somebody who has things open in the name of sessions, named by their keys."""

    def open_sessions(self) -> Collection[bytes]:
        """Return the sessions in whose name something is open: they count as in use."""

    def sessions_ended(self, keys: frozenset[bytes]) -> None:
        """Cut what is open in the name of these sessions; called in the event loop, must not raise."""


class Sessions:
    """Finds, begins and ends sessions. Methods that ask the store raise StoreUnavailable; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        store: SessionStore,
        sealer: Sealer,
        lifetimes: Lifetimes = DEFAULT_LIFETIMES,
        clock: Callable[[], float] = time.time,
        cache: SessionCache | None = None,
    ) -> None:
        self.cache = SessionCache() if cache is None else cache
        self.watchers: list[Watcher] = []
        self.lifetimes = lifetimes
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._trouble: str | None = None

    def __repr__(self) -> str:
        return f"Sessions({len(self.cache)} held, {self._trouble or 'store answers'})"

    @property
    def trouble(self) -> str | None:
        """What is wrong with the store, None while it answers."""
        return self._trouble

    def cached(self, session_id: bytes) -> Session | None:
        """Return a session that this worker holds, over or not; raises StoreUnavailable while the store cannot be followed."""
        self.require_store()
        key = session_key(session_id)
        return None if key is None else self.cache.get(key)

    def require_store(self) -> None:
        """Raise StoreUnavailable while the store cannot be followed."""
        if self._trouble is not None:
            raise StoreUnavailable(self._trouble)

    async def find(self, session_id: bytes) -> Session | None:
        """Return a session, None if there is none of this id or it is over."""
        session = self.cached(session_id)
        if session is not None and not self.is_over(session.last_seen, session.ends_at):
            return session
        key = session_key(session_id)
        return None if key is None else await self.load(key)

    async def load(self, key: bytes) -> Session | None:
        """Return a session as the store has it now, and hold it; one that is over is ended."""
        self.require_store()
        stored = await self._store.get(key)
        session = self.cache.get(key)
        if stored is None:
            if session is not None:
                self.note_ended([key])
            return None
        seen = stored.last_seen if session is None else max(stored.last_seen, session.last_seen)
        if self.is_over(seen, stored.ends_at):
            await self.end([key])
            return None
        if session is None or session.revision < stored.revision:
            session = self._opened(stored)
        if session is not None:
            session.last_seen = max(session.last_seen, seen)
        return session

    def is_over(self, last_seen: float, ends_at: float) -> bool:
        """Tell whether a session that was last seen then, and lasts until then, is over."""
        now = self._clock()
        return now >= ends_at or now >= last_seen + self.lifetimes.idle

    async def create(self, identity: Identity, contents: Contents, generation: object = None) -> tuple[bytes, Session]:
        """Begin a session; returns its id, which nobody can be told again, and the session.

        The oldest of a user's sessions ends when there are too many.
        """
        self.require_store()
        session_id, now = new_session_id(), self._clock()
        key = session_key(session_id)
        assert key is not None  # noqa: S101 (for the type: we have just made it)
        subject = subject_digest(identity.issuer, identity.subject)
        await self._make_room(subject)
        stored = StoredSession(
            key=key,
            subject=subject,
            provider_session=_provider_session(identity),
            created_at=now,
            last_seen=now,
            ends_at=now + self.lifetimes.absolute,
            revision=1,
            sealed=seal_contents(self._sealer, key, contents),
        )
        await self._store.put(stored)
        session = held(stored, contents)
        session.identity, session.generation = identity, generation
        self.cache.keep(session)
        return session_id, session

    async def renew(self, session: Session, contents: Contents) -> bool:
        """Give a session other contents; False if somebody else has renewed or ended it since."""
        sealed = seal_contents(self._sealer, session.key, contents)
        is_renewed = await self._store.replace(session.key, session.revision, sealed)
        if is_renewed:
            self.cache.forget(session.key)
        return is_renewed

    async def claim(self, session: Session, holder: bytes, seconds: float) -> bool:
        """Take the right to renew a session; False if another holds it, or the session has been renewed or ended since."""
        return await self._store.claim(session.key, session.revision, holder, seconds)

    async def release(self, session: Session, holder: bytes) -> None:
        """Give the right to renew back unused."""
        await self._store.release(session.key, holder)

    async def once(self, name: bytes, seconds: float) -> bool:
        """Tell whether something happens for the first time, on whichever worker; remembered for so long."""
        return await self._store.once(name, seconds)

    async def of_user(self, session: Session) -> tuple[Summary, ...]:
        """Return all sessions of this session's user, the one that was seen last first."""
        summaries = [self._summary(stored, session) for stored in await self._living(session.subject)]
        return tuple(sorted(filter(None, summaries), key=lambda summary: (summary.is_this, summary.last_seen), reverse=True))

    async def end(self, keys: Iterable[bytes]) -> None:
        """End sessions here and everywhere, and tell the watchers."""
        wanted = frozenset(keys)
        if wanted:
            await self._store.remove(wanted)
            self.note_ended(wanted)

    async def end_labelled(self, session: Session, label: str) -> bool:
        """End the one of a user's own sessions that is shown under this label; False if there is none."""
        keys = [stored.key for stored in await self._living(session.subject) if session_label(stored.key) == label]
        await self.end(keys)
        return bool(keys)

    async def end_others(self, session: Session) -> int:
        """End all sessions of a user but this one; returns how many."""
        keys = [stored.key for stored in await self._store.of_subject(session.subject) if stored.key != session.key]
        await self.end(keys)
        return len(keys)

    async def end_provider_session(self, issuer: str, provider_session: str, subject: str | None = None) -> int:
        """End what came of one sign-in at the issuer, of this subject if one is given; returns how many."""
        found = await self._store.of_provider_session(provider_session_digest(issuer, provider_session))
        digest = None if subject is None else subject_digest(issuer, subject)
        keys = [stored.key for stored in found if digest is None or stored.subject == digest]
        await self.end(keys)
        return len(keys)

    async def end_subject(self, issuer: str, subject: str) -> int:
        """End all sessions of a user; returns how many."""
        keys = [stored.key for stored in await self._store.of_subject(subject_digest(issuer, subject))]
        await self.end(keys)
        return len(keys)

    def note_ended(self, keys: Collection[bytes]) -> None:
        """Drop sessions that have ended, and tell the watchers."""
        for key in keys:
            self.cache.end(key)
        if keys:
            for watcher in self.watchers:
                watcher.sessions_ended(frozenset(keys))

    def note_trouble(self, trouble: str | None) -> None:
        """Refuse all sessions from now on, because the store cannot be followed; None: it can be again."""
        if trouble is not None and self._trouble is None:
            _log.warning("browser sessions are refused until the store is back: %s", trouble)
        elif trouble is None and self._trouble is not None:
            _log.warning("the session store is back")
        self._trouble = trouble

    async def _make_room(self, subject: bytes) -> None:
        found = sorted(await self._store.of_subject(subject), key=lambda stored: stored.last_seen, reverse=True)
        await self.end([stored.key for stored in found[MOST_SESSIONS_OF_A_USER - 1 :]])

    async def _living(self, subject: bytes) -> list[StoredSession]:
        self.require_store()
        return [stored for stored in await self._store.of_subject(subject) if not self.is_over(stored.last_seen, stored.ends_at)]

    def _opened(self, stored: StoredSession) -> Session | None:
        contents = open_contents(self._sealer, stored)
        if contents is None:
            _log.warning("a session does not open: the key that sealed it is gone from the key file, or it was tampered with")
            return None
        session = held(stored, contents)
        return session if self.cache.keep(session) else None

    def _summary(self, stored: StoredSession, own: Session) -> Summary | None:
        contents = open_contents(self._sealer, stored)
        if contents is None:
            return None
        current = self.cache.get(stored.key)
        return Summary(
            label=session_label(stored.key),
            created_at=stored.created_at,
            last_seen=stored.last_seen if current is None else max(stored.last_seen, current.last_seen),
            ends_at=stored.ends_at,
            device=contents.device,
            address=contents.address,
            is_this=stored.key == own.key,
        )


def _provider_session(identity: Identity) -> bytes | None:
    return None if identity.session_id is None else provider_session_digest(identity.issuer, identity.session_id)

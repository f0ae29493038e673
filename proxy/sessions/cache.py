"""The sessions that a worker holds in memory, and the keys of those that it knows to have ended."""

from typing import Final

from cachetools import LRUCache

from proxy.sessions.session import Session

_PLACES: Final = 10_000
_ENDED_PLACES: Final = 50_000


class SessionCache:
    """Bounded; a session that leaves it, for whatever reason, is no longer current."""

    def __init__(self, places: int = _PLACES) -> None:
        self._held = _Held(places)
        # Keys are random and never used again: one that has ended stays so.
        self._ended: LRUCache[bytes, bool] = LRUCache(_ENDED_PLACES)

    def __len__(self) -> int:
        return len(self._held)

    def keys(self) -> frozenset[bytes]:
        """Return the keys of all that are held."""
        return frozenset(self._held)

    def get(self, key: bytes) -> Session | None:
        """Return a session that is held."""
        return self._held.get(key)

    def has_ended(self, key: bytes) -> bool:
        """Tell whether a session is known to have ended."""
        return key in self._ended

    def keep(self, session: Session) -> bool:
        """Hold a session in place of any other with its key; False if it is known to have ended."""
        if session.key in self._ended:
            session.is_current = False
            return False
        self.forget(session.key)
        self._held[session.key] = session
        return True

    def forget(self, key: bytes) -> None:
        """Hold a session no longer: the store is asked when it is needed again."""
        self._held.pop(key, None)

    def forget_all(self) -> None:
        """Hold none any longer."""
        for key in self.keys():
            self.forget(key)

    def end(self, key: bytes) -> None:
        """Hold a session no longer, and never again."""
        self._ended[key] = True
        self.forget(key)

    def take_unwritten(self) -> dict[bytes, float]:
        """Return when each session was last seen that was seen since it was written, and take that for written."""
        unwritten, self._held.unwritten = self._held.unwritten, {}
        for session in self._held.values():
            if session.last_seen > session.written:
                unwritten[session.key] = session.written = session.last_seen
        return unwritten


class _Held(LRUCache[bytes, Session]):
    """Marks what leaves it, and keeps when it was last seen until somebody has written that down."""

    def __init__(self, places: int) -> None:
        super().__init__(places)
        self.unwritten: dict[bytes, float] = {}

    def __delitem__(self, key: bytes) -> None:
        session = self[key]
        session.is_current = False
        if session.last_seen > session.written:
            self.unwritten[key] = session.last_seen
        super().__delitem__(key)

"""What a session store must do, whatever it is made of."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.errors import Unavailable
from proxy.sessions.record import StoredSession

RETRY_SECONDS: Final = 2


class StoreUnavailable(Unavailable):
    """The store does not answer: 503 for browsers, and nobody loses a session or a cookie for it."""

    def __init__(self, detail: str) -> None:
        super().__init__("the session store is not available", retry_after=RETRY_SECONDS, detail=detail)


class UnusableStore(Exception):
    """The store cannot be used as it is configured; the text is one line that names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Which sessions ended, and which have other contents, since the last time; `is_complete` is False when some may be missing."""

    ended: frozenset[bytes] = frozenset()
    changed: frozenset[bytes] = frozenset()
    is_complete: bool = True


class SessionStore(Protocol):
    """Keeps the sessions of all workers and replicas. Every method raises StoreUnavailable and nothing else.

    A session ends at `ends_at`, or when it has not been seen for the store's idle time; whether one that is over is still given is
    left open. `now` and other moments are seconds since the epoch.
    """

    async def put(self, session: StoredSession) -> None:
        """Keep a new session."""

    async def get(self, key: bytes) -> StoredSession | None:
        """Return a session."""

    async def replace(self, key: bytes, revision: int, sealed: bytes) -> bool:
        """Give a session other contents if its revision is still `revision`; tells all workers, and drops any claim."""

    async def remove(self, keys: Collection[bytes]) -> frozenset[bytes]:
        """End sessions; tells all workers, and returns those that were there."""

    async def of_subject(self, subject: bytes) -> list[StoredSession]:
        """Return all sessions with this digest of issuer and subject."""

    async def of_provider_session(self, provider_session: bytes) -> list[StoredSession]:
        """Return all sessions with this digest of issuer and `sid`."""

    async def missing(self, keys: Collection[bytes]) -> frozenset[bytes]:
        """Return those of `keys` that are not there."""

    async def touch(self, seen: Mapping[bytes, float]) -> None:
        """Note when sessions were last seen; never an earlier moment than is noted already."""

    async def claim(self, key: bytes, revision: int, holder: bytes, seconds: float) -> bool:
        """Take the right to replace a session's contents: one holder at a time, for so long, and only while `revision` is current."""

    async def release(self, key: bytes, holder: bytes) -> None:
        """Give a claim back before its time."""

    async def once(self, name: bytes, seconds: float) -> bool:
        """Tell whether `name` is new, and remember it for so long."""

    async def changes(self) -> Changes:
        """Wait a fraction of a second for changes by anybody, and return them."""

    async def sweep(self, now: float) -> None:
        """Remove what is over, and tell all workers."""

    async def close(self) -> None:
        """Give back what the store holds open."""

"""One worker's sessions over a store that others share, and a watcher that notes what it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from proxy.identity.principal import Identity
from proxy.policy.roles import RoleSet
from proxy.sessions.following import Following, Rhythm
from proxy.sessions.record import Contents
from proxy.sessions.sealing import Sealer
from proxy.sessions.sessions import Sessions
from proxy.sessions.settings import Lifetimes
from proxy.sessions.store import SessionStore

ISSUER = "https://keycloak.example"
SEALER = Sealer([b"k" * 32])
QUICK = Rhythm(retry=0.02, upkeep=0.05, silence=60)


def identity(subject: str = "ann", sid: str | None = "sid-1") -> Identity:
    roles = RoleSet.from_strings(("m:kaas@reader",))
    return Identity(ISSUER, subject, subject, ("m:kaas@reader",), roles, frozenset({"kaas"}), 9e9, b"token", session_id=sid)


def contents(name: str = "first", **changes: object) -> Contents:
    return Contents(
        f"id.{name}.token", f"refresh-{name}", 1000, 1300, "nonce", str(changes.get("device", "Firefox")), "192.0.2.7"
    )


@dataclass
class Streams:
    """What is open in the name of sessions; notes what is cut."""

    open: set[bytes] = field(default_factory=set)
    cut: set[bytes] = field(default_factory=set)

    def open_sessions(self) -> frozenset[bytes]:
        return frozenset(self.open)

    def sessions_ended(self, keys: frozenset[bytes]) -> None:
        self.cut |= keys & self.open
        self.open -= keys


def worker_of(store: SessionStore, clock: Callable[[], float], **others: object) -> Sessions:
    return Sessions(store, SEALER, Lifetimes(idle=1800, absolute=36_000), clock, **others)


@asynccontextmanager
async def running(
    sessions: Sessions, store: SessionStore, clock: Callable[[], float], rhythm: Rhythm = QUICK
) -> AsyncIterator[None]:
    """Follow the store's changes while the context lasts, from when they were heard for the first time."""
    following = Following(sessions, store, rhythm, clock)
    began = following._heard_at
    task = asyncio.get_running_loop().create_task(following.run())
    try:
        await until(lambda: following._heard_at > began)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 1.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)

"""Sessions in Redis or Valkey, shared by the workers of all replicas.

Theory of operation. What takes several commands is a script, so that it happens whole. A session is a hash that the server itself
forgets when the session is idle or over. Ends and renewals go into a stream, which each worker reads with a blocking read: it hears of
them at once, and a lost connection shows within two seconds at most. What happened meanwhile cannot be known for sure afterwards
(a server that restarts may have lost everything), so the first read after a loss says that its changes are not complete.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha1
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from proxy.sessions import redis_scripts as scripts
from proxy.sessions.record import StoredSession
from proxy.sessions.redis_scripts import CHANGES, PREFIX
from proxy.sessions.redis_server import RedisServer
from proxy.sessions.store import Changes, StoreUnavailable

_CONNECT_SECONDS: Final = 1.0
_MOST_CONNECTIONS: Final = 16
_CHANGES_A_READ: Final = 1000
_KEYS_A_SCRIPT: Final = 500


class RedisStore:
    """A SessionStore in a Redis server; `idle_seconds` after it was last seen a session is over.

    A read for changes waits `block` seconds, nothing takes longer than `patience`.
    """

    def __init__(
        self,
        server: RedisServer,
        idle_seconds: float,
        clock: Callable[[], float] = time.time,
        *,
        block: float = 0.5,
        patience: float = 2.0,
    ) -> None:
        self._server = server
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._block = int(block * 1000)
        self._patience = patience
        # A retry at once heals a connection that the server or a balancer closed while it was idle.
        self._redis = _client(server, patience, connections=_MOST_CONNECTIONS, retries=1)
        # None here: that the connection was lost is what has to be known.
        self._follower = _client(server, patience, connections=1, retries=0)
        self._read_to: str | None = None
        self._is_complete = False

    def __repr__(self) -> str:
        return f"RedisStore({self._server})"

    async def close(self) -> None:
        for client in (self._redis, self._follower):
            await client.aclose()

    async def put(self, session: StoredSession) -> None:
        sets = [_subject_set(session.subject)]
        fields: dict[str, object] = {
            "subject": session.subject.hex(),
            "created_at": repr(session.created_at),
            "last_seen": repr(session.last_seen),
            "ends_at": repr(session.ends_at),
            "revision": session.revision,
            "sealed": session.sealed,
        }
        if session.provider_session is not None:
            fields["provider_session"] = session.provider_session.hex()
            sets.append(_provider_session_set(session.provider_session))
        left = max(session.ends_at - self._clock(), 0.001)
        idle = max(1, int(min(left, self._idle_seconds) * 1000))
        flat = [part for pair in fields.items() for part in pair]
        await self._script(scripts.PUT, [_session(session.key), *sets], [session.key.hex(), idle, int(left) + 1, *flat])

    async def get(self, key: bytes) -> StoredSession | None:
        return _stored(key, await self._ask("HGETALL", _session(key)))

    async def replace(self, key: bytes, revision: int, sealed: bytes) -> bool:
        return bool(await self._script(scripts.REPLACE, [_session(key), _claim(key)], [key.hex(), revision, sealed]))

    async def remove(self, keys: Collection[bytes]) -> frozenset[bytes]:
        return await self._those(scripts.REMOVE, keys)

    async def of_subject(self, subject: bytes) -> list[StoredSession]:
        return await self._members(_subject_set(subject))

    async def of_provider_session(self, provider_session: bytes) -> list[StoredSession]:
        return await self._members(_provider_session_set(provider_session))

    async def missing(self, keys: Collection[bytes]) -> frozenset[bytes]:
        return await self._those(scripts.MISSING, keys)

    async def touch(self, seen: Mapping[bytes, float]) -> None:
        idle = int(self._idle_seconds * 1000)
        for batch in _batches(list(seen)):
            moments = [part for key in batch for part in (repr(seen[key]), idle)]
            await self._script(scripts.TOUCH, [_session(key) for key in batch], moments)

    async def claim(self, key: bytes, revision: int, holder: bytes, seconds: float) -> bool:
        return bool(await self._script(scripts.CLAIM, [_session(key), _claim(key)], [revision, holder, int(seconds * 1000)]))

    async def release(self, key: bytes, holder: bytes) -> None:
        await self._script(scripts.RELEASE, [_claim(key)], [holder])

    async def once(self, name: bytes, seconds: float) -> bool:
        milliseconds = max(1, int(seconds * 1000))
        return await self._ask("SET", f"{PREFIX}once:{name.hex()}", b"1", "NX", "PX", milliseconds) is not None

    async def changes(self) -> Changes:
        try:
            if self._read_to is None:
                self._read_to = await self._newest_change()
            entries = await self._ask(
                "XREAD",
                "COUNT",
                _CHANGES_A_READ,
                "BLOCK",
                self._block,
                "STREAMS",
                CHANGES,
                self._read_to,
                by=self._follower,
            )
        except StoreUnavailable:
            # A server that comes back empty numbers its changes from its own clock: start from its newest one again.
            self._read_to, self._is_complete = None, False
            raise
        is_complete, self._is_complete = self._is_complete, True
        return self._read(entries, is_complete=is_complete)

    async def sweep(self, now: float) -> None:
        """Do nothing: the server forgets by itself what is over."""

    async def _newest_change(self) -> str:
        entries = await self._ask("XREVRANGE", CHANGES, "+", "-", "COUNT", 1, by=self._follower)
        return entries[0][0].decode() if entries else "0-0"

    def _read(self, streams: Any, *, is_complete: bool) -> Changes:
        found: dict[bytes, set[bytes]] = {b"ended": set(), b"changed": set()}
        for _, entries in streams or ():
            for number, fields in entries:
                self._read_to = number.decode()
                for what, key in fields.items():
                    found.setdefault(what, set()).add(bytes.fromhex(key.decode()))
        ended = frozenset(found[b"ended"])
        return Changes(ended, frozenset(found[b"changed"]) - ended, is_complete)

    async def _members(self, name: str) -> list[StoredSession]:
        found: list[StoredSession] = []
        for member in await self._ask("SMEMBERS", name):
            stored = await self.get(bytes.fromhex(member.decode()))
            if stored is None:
                await self._ask("SREM", name, member)
            else:
                found.append(stored)
        return found

    async def _those(self, text: str, keys: Collection[bytes]) -> frozenset[bytes]:
        """Run a script that picks some of many sessions."""
        picked: set[bytes] = set()
        for batch in _batches(list(keys)):
            names = await self._script(text, [_session(key) for key in batch], [key.hex() for key in batch])
            picked.update(bytes.fromhex(name.decode()) for name in names)
        return frozenset(picked)

    async def _script(self, text: str, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        try:
            return await self._ask("EVALSHA", digest, len(keys), *keys, *arguments)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return await self._ask("EVAL", text, len(keys), *keys, *arguments)

    async def _ask(self, *command: Any, by: Redis | None = None) -> Any:
        execute: Callable[..., Awaitable[Any]] = (by or self._redis).execute_command
        try:
            with _not_cancelled_in_vain():
                async with asyncio.timeout(self._patience):
                    return await execute(*command)
        except TimeoutError:
            raise StoreUnavailable(f"{self._server}: no answer within {self._patience:g} seconds") from None
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"{self._server}: {_one_line(error)}") from error


@contextmanager
def _not_cancelled_in_vain() -> Iterator[None]:
    """Raise CancelledError at the end if one was swallowed inside.

    `asyncio.wait_for` of Python 3.11, with which redis-py sends, forgets a cancellation that comes together with its result.
    """
    task = asyncio.current_task()
    requests = 0 if task is None else task.cancelling()
    try:
        yield
    finally:
        if task is not None and task.cancelling() > requests:
            raise asyncio.CancelledError


def _client(server: RedisServer, patience: float, *, connections: int, retries: int) -> Redis:
    tls: dict[str, Any] = {"ssl_ca_certs": None if server.ca_file is None else str(server.ca_file)} if server.is_tls else {}
    pool = BlockingConnectionPool(
        max_connections=connections,
        timeout=patience,
        connection_class=SSLConnection if server.is_tls else Connection,
        host=server.host,
        port=server.port,
        db=server.database,
        username=server.username,
        password=server.password,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=patience,
        retry=Retry(NoBackoff(), retries),
        client_name="mosk-proxy",
        protocol=2,
        **tls,
    )
    return Redis.from_pool(pool)


def _stored(key: bytes, fields: Mapping[bytes, bytes]) -> StoredSession | None:
    try:
        provider_session = fields.get(b"provider_session")
        return StoredSession(
            key=key,
            subject=bytes.fromhex(fields[b"subject"].decode()),
            provider_session=None if provider_session is None else bytes.fromhex(provider_session.decode()),
            created_at=float(fields[b"created_at"]),
            last_seen=float(fields[b"last_seen"]),
            ends_at=float(fields[b"ends_at"]),
            revision=int(fields[b"revision"]),
            sealed=fields[b"sealed"],
        )
    except (KeyError, ValueError):
        # Not there, or not written by us.
        return None


def _batches(keys: list[bytes]) -> list[list[bytes]]:
    return [keys[start : start + _KEYS_A_SCRIPT] for start in range(0, len(keys), _KEYS_A_SCRIPT)]


def _session(key: bytes) -> str:
    return f"{PREFIX}session:{key.hex()}"


def _claim(key: bytes) -> str:
    return f"{PREFIX}claim:{key.hex()}"


def _subject_set(digest: bytes) -> str:
    return f"{PREFIX}subject:{digest.hex()}"


def _provider_session_set(digest: bytes) -> str:
    return f"{PREFIX}sid:{digest.hex()}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

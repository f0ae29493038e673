"""Builds the site that judgements depend on, from settings; what has not changed is taken over from the site before."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from proxy.directory.upstream import Impersonate, StaticToken, Upstream
from proxy.edge.context import EdgeSettings
from proxy.edge.head_reader import HeadLimits
from proxy.edge.site import Site, answer_rules
from proxy.forwarding.pool import Pool, PoolLimits
from proxy.forwarding.tasks import TaskSet
from proxy.issuers.authenticator import Authenticator
from proxy.issuers.settings import IssuerSettings
from proxy.settings import Settings
from proxy.settings.rooms import directory, issuer_settings, policy, routes
from proxy.wire.outbound import credential_header_names


@dataclass(frozen=True, slots=True)
class PoolKey:
    """What a pool was made from: two equal ones are the same connections."""

    upstream: Upstream
    secret: bytes | None
    files: tuple[bytes, ...]
    limits: PoolLimits


class SiteBuilder:
    """Builds sites one after the other; owns the pools and the authenticator that the current one uses."""

    def __init__(self, tasks: TaskSet) -> None:
        self._tasks = tasks
        self._pools: dict[PoolKey, Pool] = {}
        self._issuers: tuple[IssuerSettings, ...] = ()
        self._authenticator: Authenticator | None = None
        self._stop_reading_keys = asyncio.Event()

    def build(self, settings: Settings) -> Site:
        """Return a site for `settings`; raises OSError or SettingsError when a file that they name is not what it was."""
        known = directory(settings)
        pools = {upstream.name: self._pool(upstream, settings) for upstream in known}
        names = frozenset[bytes]().union(*(credential_header_names(upstream.credential) for upstream in known))
        site = Site(
            routes=routes(settings),
            policy=policy(settings),
            directory=known,
            authenticator=self._authenticator_for(issuer_settings(settings)),
            pools=pools,
            answers={upstream.name: answer_rules(upstream) for upstream in known},
            credential_names=names,
            trusted_proxies=tuple(settings.trusted_proxies),
        )
        self._close_unused(set(pools.values()))
        return site

    def close(self) -> None:
        """Close all connections that are idle, and the others as they end."""
        self._close_unused(set())

    def _pool(self, upstream: Upstream, settings: Settings) -> Pool:
        limits = PoolLimits(connect_seconds=settings.timeouts.connect_seconds)
        key = PoolKey(upstream, _secret(upstream), _files(upstream), limits)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(upstream, key.secret, limits, self._tasks)
        return pool

    def _authenticator_for(self, issuers: tuple[IssuerSettings, ...]) -> Authenticator:
        """Keep the authenticator, its keys and its cache while the issuers stay the same."""
        if self._authenticator is None or issuers != self._issuers:
            self._stop_reading_keys.set()
            self._stop_reading_keys = asyncio.Event()
            self._authenticator = Authenticator(issuers)
            self._issuers = issuers
            self._tasks.start(_read_keys(self._authenticator, self._stop_reading_keys), "read key sets")
        return self._authenticator

    def _close_unused(self, used: set[Pool]) -> None:
        for key, pool in list(self._pools.items()):
            if pool not in used:
                pool.close()
                del self._pools[key]


def edge_settings(settings: Settings) -> EdgeSettings:
    """Return the bounds of the public listener."""
    limits, timeouts = settings.limits, settings.timeouts
    return EdgeSettings(
        head=HeadLimits(limits.request_line_bytes, limits.header_bytes, limits.headers),
        body_bytes=limits.body_bytes,
        connections=limits.connections,
        header_seconds=timeouts.header_seconds,
        idle_seconds=timeouts.idle_seconds,
        response_seconds=timeouts.response_seconds,
        body_idle_seconds=timeouts.body_idle_seconds,
        stream_seconds=timeouts.stream_hours * 3600,
        stream_follows_token=timeouts.stream_follows_token,
        is_tls=settings.listen.tls is not None,
    )


async def _read_keys(authenticator: Authenticator, stop: asyncio.Event) -> None:
    """Keep an authenticator's keys fresh until another one takes its place."""
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(authenticator.run(), name="keys of all issuers")
        await stop.wait()
        reading.cancel()


def _secret(upstream: Upstream) -> bytes | None:
    credential = upstream.credential
    match credential:
        case Impersonate(token_file=Path() as token_file) | StaticToken(token_file=token_file):
            return token_file.read_bytes().strip()
        case _:
            return None


def _files(upstream: Upstream) -> tuple[bytes, ...]:
    """Read what the TLS context is made from, so that a rotated certificate makes another pool."""
    credential = upstream.credential
    named = [upstream.ca_file]
    if isinstance(credential, Impersonate):
        named += [credential.client_certificate_file, credential.client_key_file]
    return tuple(path.read_bytes() for path in named if path is not None)

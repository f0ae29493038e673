"""Builds the site that judgements depend on: from settings, and from the clusters that are discovered while they are in force.

A reload prepares its part while the one before is in force, and commits it when all is ready; a discovery update changes its own
part. Both end in the same step without a wait in it, which joins the two parts as they are then: neither undoes the other.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.app.discovered import DiscoveredServers, Terms
from proxy.app.pools import PoolKey, read_material
from proxy.directory.build import parse_server_url
from proxy.directory.clusters import Directory
from proxy.discovery.watch import Records
from proxy.edge.context import EdgeSettings
from proxy.edge.head_reader import HeadLimits
from proxy.edge.site import Networks, Site, answer_rules
from proxy.forwarding.pool import Pool, PoolLimits
from proxy.forwarding.tasks import TaskSet
from proxy.forwarding.tls_transport import BioPair
from proxy.issuers.authenticator import Authenticator
from proxy.issuers.settings import IssuerSettings
from proxy.policy.policy import Policy
from proxy.routing.routes import Routes
from proxy.settings import Settings
from proxy.settings.rooms import directory, discovery_rules, issuer_settings, policy, routes
from proxy.wire.inbound import AnswerRules
from proxy.wire.outbound import credential_header_names


@dataclass(frozen=True, slots=True)
class Tokens:
    """The authenticator of a set of issuers, and what ends the reading of their keys."""

    issuers: tuple[IssuerSettings, ...]
    authenticator: Authenticator
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Configured:
    """The part of a site that settings alone decide, and the terms for the part that is discovered."""

    routes: Routes
    policy: Policy
    directory: Directory
    tokens: Tokens
    pools: Mapping[PoolKey, Pool]
    answers: Mapping[str, tuple[AnswerRules, AnswerRules]]
    credential_names: frozenset[bytes]
    trusted_proxies: Networks
    terms: Terms | None


class SiteBuilder:
    """Builds sites one after the other; owns the pools and the authenticator that the current one uses."""

    def __init__(self, tasks: TaskSet) -> None:
        self._tasks = tasks
        self._bios = BioPair()
        self._discovered = DiscoveredServers(tasks, self._bios)
        self._committed: Configured | None = None
        self._prepared: Configured | None = None

    def build(self, settings: Settings) -> Site:
        """Return a site for `settings` alone; raises as `prepare` does."""
        return self.commit(self.prepare(settings))

    def prepare(self, settings: Settings) -> Configured:
        """Make what `settings` call for, beside what is in force; raises OSError or SettingsError when a file is not what it was."""
        known = directory(settings)
        limits = PoolLimits(connect_seconds=settings.timeouts.connect_seconds)
        keys = [PoolKey(upstream, read_material(upstream.credential, upstream.ca_file), limits) for upstream in known]
        before = self._committed.pools if self._committed is not None else {}
        terms = _terms(settings, known, limits)
        names = [credential_header_names(upstream.credential) for upstream in known]
        if terms is not None:
            names += map(credential_header_names, (terms.rules.cluster_credential, terms.rules.stacklight_credential))
        prepared = Configured(
            routes=routes(settings),
            policy=policy(settings),
            directory=known,
            pools={key: before.get(key) or self._pool(key) for key in keys},
            answers={upstream.name: answer_rules(upstream) for upstream in known},
            credential_names=frozenset[bytes]().union(*names),
            trusted_proxies=tuple(settings.trusted_proxies),
            terms=terms,
            tokens=self._tokens(issuer_settings(settings)),
        )
        self._discard_prepared()
        self._prepared = prepared
        return prepared

    def commit(self, prepared: Configured) -> Site:
        """Put what was prepared in force, and return the site for it and for the clusters that are known by now."""
        before, self._committed, self._prepared = self._committed, prepared, None
        if before is not None:
            _close_others(before, prepared)
        self._discovered.use(prepared.terms)
        return self._site(prepared)

    def discover(self, records: Records) -> Site | None:
        """Return a site with the clusters of `records`, None when that is the one in force."""
        if self._committed is None or not self._discovered.take(records):
            return None
        return self._site(self._committed)

    def close(self) -> None:
        """Close all connections that are idle, and the others as they end."""
        self._discard_prepared()
        if self._committed is not None:
            _close_others(self._committed, None)
        self._discovered.close()

    def _site(self, configured: Configured) -> Site:
        ours, found = configured.directory, self._discovered
        # Copies: a site is a value, and what is discovered changes behind it.
        return Site(
            routes=configured.routes,
            policy=configured.policy,
            directory=Directory(
                management=ours.management,
                cluster_apis={**found.cluster_apis, **ours.cluster_apis},
                applications={**found.applications, **ours.applications},
            ),
            authenticator=configured.tokens.authenticator,
            pools=found.pools | {pool.name: pool for pool in configured.pools.values()},
            answers={**found.answers, **configured.answers},
            credential_names=configured.credential_names,
            trusted_proxies=configured.trusted_proxies,
        )

    def _pool(self, key: PoolKey) -> Pool:
        return Pool(key.upstream, key.material.secret, key.limits, self._tasks, bios=self._bios)

    def _tokens(self, issuers: tuple[IssuerSettings, ...]) -> Tokens:
        """Keep the authenticator, its keys and its cache while the issuers stay the same."""
        if self._committed is not None and self._committed.tokens.issuers == issuers:
            return self._committed.tokens
        earlier = None if self._committed is None else self._committed.tokens.authenticator
        tokens = Tokens(issuers, Authenticator(issuers, earlier=earlier))
        self._tasks.start(_read_keys(tokens), "read key sets")
        return tokens

    def _discard_prepared(self) -> None:
        """Let go of what was prepared and never committed."""
        if self._prepared is not None and self._committed is not None:
            _close_others(self._prepared, self._committed)
        self._prepared = None


def _close_others(before: Configured, now: Configured | None) -> None:
    """Close what `before` had and `now` has not."""
    for key, pool in before.pools.items():
        if now is None or now.pools.get(key) is not pool:
            pool.close()
    if now is None or now.tokens is not before.tokens:
        before.tokens.stop.set()


def _terms(settings: Settings, known: Directory, limits: PoolLimits) -> Terms | None:
    rules = discovery_rules(settings)
    if rules is None:
        return None
    return Terms(
        rules=rules,
        limits=limits,
        cluster_material=read_material(rules.cluster_credential),
        stacklight_material=read_material(rules.stacklight_credential),
        declared={upstream.name: upstream for upstream in known},
    )


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
        public_scheme=parse_server_url(settings.public_url).scheme,
    )


async def _read_keys(tokens: Tokens) -> None:
    """Keep an authenticator's keys fresh until another one takes its place."""
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(tokens.authenticator.run(), name="keys of all issuers")
        await tokens.stop.wait()
        reading.cancel()

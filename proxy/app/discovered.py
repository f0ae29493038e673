"""The servers that `Cluster` objects name, and the pools for them, beside those that the configuration declares.

A changed cluster costs what that cluster costs: its own upstreams and pools are made again where they differ, and nothing else is
touched. What the configuration declares wins target by target; what is ignored, or declared to be elsewhere, is told once.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from proxy.app.pools import Material, PoolKey
from proxy.directory.discovered import Admitted, DiscoveryRules, admit
from proxy.directory.upstream import Upstream
from proxy.discovery.addresses import Addresses, is_own_address
from proxy.discovery.watch import Records
from proxy.edge.site import answer_rules
from proxy.forwarding.pool import Pool, PoolLimits, Reach
from proxy.forwarding.tasks import TaskSet
from proxy.forwarding.tls import SharedContexts
from proxy.forwarding.tls_transport import BioPair
from proxy.routing.target import ClusterRef
from proxy.wire.inbound import AnswerRules

log = logging.getLogger("mosk_proxy.discovery")

Declared: TypeAlias = Mapping[str, Upstream]


@dataclass(frozen=True, slots=True)
class Terms:
    """All that a reload may change about discovered servers; `declared` are the upstreams of the configuration by name."""

    rules: DiscoveryRules
    limits: PoolLimits
    cluster_material: Material
    stacklight_material: Material
    declared: Declared


@dataclass(frozen=True, slots=True)
class _Placed:
    """What one cluster has come to: its servers, and what there is to say of its targets by name."""

    servers: Admitted = field(default_factory=Admitted)
    remarks: Mapping[str, str] = field(default_factory=dict)

    def by_name(self) -> dict[str, Upstream]:
        return {upstream.name: upstream for upstream in self.servers}


_NOTHING: Final = _Placed()


class DiscoveredServers:
    """Upstreams, pools and rules for answers of all discovered clusters; a site is made from copies of them."""

    def __init__(self, tasks: TaskSet, bios: BioPair | None = None) -> None:
        self.cluster_apis: dict[ClusterRef, Upstream] = {}
        self.applications: dict[tuple[ClusterRef, str], Upstream] = {}
        self.pools: dict[str, Pool] = {}
        self.answers: dict[str, tuple[AnswerRules, AnswerRules]] = {}
        self._tasks = tasks
        self._bios = bios
        self._terms: Terms | None = None
        self._reach: Reach | None = None
        self._records: Records = {}
        self._placed: dict[ClusterRef, _Placed] = {}
        self._keys: dict[str, tuple[PoolKey, Reach | None]] = {}

    def __repr__(self) -> str:
        return f"DiscoveredServers({len(self._placed)} clusters, {len(self.pools)} pools)"

    def use(self, terms: Terms | None) -> None:
        """Apply other terms to all that is known; None forgets it."""
        before, self._terms = self._terms, terms
        if terms is None:
            self._records = {}
        elif before is None or _dials_differently(before, terms):
            self._reach = Reach(Addresses(terms.rules.allowed).permitted, SharedContexts().context)
        if terms != before:
            for ref in {**self._placed, **self._records}:
                self._place(ref)

    def take(self, records: Records) -> bool:
        """Take all records in place of those before; returns whether a server has changed."""
        if self._terms is None:
            return False
        before, self._records = self._records, records
        differing = [ref for ref, record in records.items() if before.get(ref) != record]
        gone = [ref for ref in before if ref not in records]
        return True in {self._place(ref) for ref in (*differing, *gone)}

    def close(self) -> None:
        """Close all connections that are idle, and the others as they end."""
        for pool in self.pools.values():
            pool.close()

    def _place(self, ref: ClusterRef) -> bool:
        """Make the servers that one cluster's record calls for by now; returns whether any has changed."""
        before, now = self._placed.get(ref, _NOTHING), self._judge(ref)
        for name, remark in now.remarks.items():
            if before.remarks.get(name) != remark:
                log.warning("%s: %s", name, remark)
        self._placed[ref] = now
        if now is _NOTHING:
            del self._placed[ref]
        self._point(ref, before.servers, now.servers)
        upstreams = now.by_name()
        return True in {self._pool(name, upstreams.get(name)) for name in {**before.by_name(), **upstreams}}

    def _judge(self, ref: ClusterRef) -> _Placed:
        record, terms = self._records.get(ref), self._terms
        if record is None or terms is None:
            return _NOTHING
        admitted, declared = admit(record, terms.rules, is_own_address), terms.declared
        ignored = {name: f"ignored: {refusal}" for name, refusal in admitted.refusals.items() if name not in declared}
        return _Placed(_undeclared(admitted, declared), ignored | _conflicts(admitted, declared))

    def _point(self, ref: ClusterRef, before: Admitted, now: Admitted) -> None:
        """Let the cluster's targets lead to its servers of now."""
        self.cluster_apis.pop(ref, None)
        if now.api is not None:
            self.cluster_apis[ref] = now.api
        for app in before.applications:
            del self.applications[ref, app]
        for app, upstream in now.applications.items():
            self.applications[ref, app] = upstream

    def _pool(self, name: str, upstream: Upstream | None) -> bool:
        """Keep the pool of a name, make another, or close it; returns whether it is another than before."""
        terms = self._terms
        if upstream is None or terms is None:
            key = None
        else:
            material = terms.cluster_material if name.startswith("k8s/") else terms.stacklight_material
            key = PoolKey(upstream, material, terms.limits), self._reach
        if self._keys.get(name) == key:
            return False
        if name in self.pools:
            self.pools.pop(name).close()
            del self.answers[name], self._keys[name]
        if upstream is not None and key is not None:
            self._keys[name] = key
            self.pools[name] = Pool(upstream, key[0].material.secret, key[0].limits, self._tasks, self._reach, bios=self._bios)
            self.answers[name] = answer_rules(upstream)
        return True


def _undeclared(admitted: Admitted, declared: Declared) -> Admitted:
    """Return what the configuration leaves to the Cluster object."""
    api = admitted.api if admitted.api is not None and admitted.api.name not in declared else None
    return Admitted(api, {app: upstream for app, upstream in admitted.applications.items() if upstream.name not in declared})


def _conflicts(admitted: Admitted, declared: Declared) -> dict[str, str]:
    return {
        upstream.name: f"the Cluster object names {_address(upstream)}, the configuration {_address(ours)}: the latter wins"
        for upstream in admitted
        if (ours := declared.get(upstream.name)) is not None and _address(ours) != _address(upstream)
    }


def _address(upstream: Upstream) -> str:
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    return f"{upstream.scheme}://{host}:{upstream.port}{upstream.base_path.decode('ascii')}"


def _dials_differently(before: Terms, now: Terms) -> bool:
    """Whether pools must not go on with the addresses and TLS contexts that they have."""
    return (before.rules.allowed, before.cluster_material.files, before.stacklight_material.files) != (
        now.rules.allowed,
        now.cluster_material.files,
        now.stacklight_material.files,
    )

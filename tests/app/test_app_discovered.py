"""Servers of discovered clusters: what a change touches, and what it does not."""

import asyncio
import time

import pytest
from management_api import PEM, cluster, status

from proxy.app.discovered import DiscoveredServers, Terms
from proxy.app.pools import Material
from proxy.directory.allowed_hosts import allowed_hosts
from proxy.directory.cluster_objects import ClusterRecord, read_cluster
from proxy.directory.discovered import DiscoveryRules
from proxy.directory.upstream import Impersonate, NoCredential, StaticToken, Upstream
from proxy.discovery.watch import Records
from proxy.forwarding.pool import PoolLimits
from proxy.forwarding.tasks import TaskSet
from proxy.routing.target import ClusterRef

A, B = ClusterRef("team-a", "a"), ClusterRef("team-a", "b")
API, GRAFANA = "k8s/team-a/a", "sl/team-a/a/grafana"
URL = "https://10.0.1.3"


def terms(*, allowed=("10.0.0.0/8",), secret=b"secret", files=(), connect=5.0, stacklight=None, **declared: str) -> Terms:
    rules = DiscoveryRules(allowed_hosts(allowed), Impersonate(), stacklight or NoCredential())
    ours = {name: Upstream(name, "https", host, 443) for name, host in declared.items()}
    material = Material(secret, files)
    return Terms(rules, PoolLimits(connect_seconds=connect), material, Material(None, ()), ours)


def record(name: str, host: str = "10.0.1.100", **urls: str) -> ClusterRecord:
    found = read_cluster(cluster(name, provider_status=status(host, **urls)))
    assert isinstance(found, ClusterRecord)
    return found


def records(*found: ClusterRecord) -> Records:
    return {each.ref: each for each in found}


@pytest.fixture
async def servers() -> DiscoveredServers:
    made = DiscoveredServers(TaskSet(asyncio.get_running_loop()))
    made.use(terms())
    return made


async def test_a_cluster_has_a_pool_for_each_server_and_loses_them_with_its_object(servers: DiscoveredServers) -> None:
    assert servers.take(records(record("a", grafana=URL)))
    assert {name: pool.address for name, pool in servers.pools.items()} == {
        API: "https://10.0.1.100:443",
        GRAFANA: "https://10.0.1.3:443",
    }
    assert (servers.pools[API].secret, servers.pools[API].upstream.ca_pem) == (b"secret", PEM)
    assert servers.pools[GRAFANA].secret is None
    assert (list(servers.cluster_apis), list(servers.applications)) == ([A], [(A, "grafana")])
    assert servers.answers.keys() == servers.pools.keys()
    pools = list(servers.pools.values())
    assert servers.take({})
    assert (servers.pools, servers.answers, servers.cluster_apis, servers.applications) == ({}, {}, {}, {})
    assert all("closed" in repr(pool) for pool in pools)


async def test_a_change_touches_what_has_changed_alone(servers: DiscoveredServers) -> None:
    servers.take(records(record("a", grafana=URL), record("b")))
    before = dict(servers.pools)
    assert servers.take(records(record("a", "10.0.1.101", grafana=URL), record("b")))
    assert servers.pools[API] is not before[API]
    assert "closed" in repr(before[API])
    assert servers.pools[API].address == "https://10.0.1.101:443"
    for name in (GRAFANA, "k8s/team-a/b"):
        assert servers.pools[name] is before[name]
    assert servers.take(records(record("a", "10.0.1.101"), record("b")))
    assert (GRAFANA in servers.pools, servers.applications) == (False, {})


async def test_the_same_again_changes_nothing(servers: DiscoveredServers) -> None:
    servers.take(records(record("a", grafana=URL)))
    before = dict(servers.pools)
    assert not servers.take(records(record("a", grafana=URL)))
    servers.use(terms())
    assert servers.pools == before
    # Another address that is ignored just as well.
    servers.take(records(record("a", grafana="https://192.0.2.1")))
    assert not servers.take(records(record("a", grafana="https://192.0.2.2")))


@pytest.mark.parametrize(
    ("changed", "renewed"),
    [
        ({"secret": b"rotated"}, {API}),
        ({"files": (b"certificate",)}, {API, GRAFANA}),
        ({"connect": 1.0}, {API, GRAFANA}),
        ({"allowed": ("10.0.0.0/16",)}, {API, GRAFANA}),
        ({"stacklight": StaticToken("token")}, {GRAFANA}),
        ({API: "10.5.5.5"}, set()),
    ],
)
async def test_other_terms_apply_to_all_that_is_known(servers: DiscoveredServers, changed, renewed: set[str]) -> None:
    servers.take(records(record("a", grafana=URL)))
    before = dict(servers.pools)
    servers.use(terms(**changed))
    assert {name for name, pool in servers.pools.items() if pool is not before[name]} == renewed
    assert set(servers.pools) == {API, GRAFANA} - changed.keys()


async def test_without_terms_nothing_is_known_or_taken(servers: DiscoveredServers) -> None:
    servers.take(records(record("a", grafana=URL)))
    servers.use(None)
    assert (servers.pools, servers.cluster_apis, servers.applications) == ({}, {}, {})
    assert not servers.take(records(record("a")))
    servers.use(terms())
    assert servers.pools == {}


async def test_what_is_declared_wins_and_a_conflict_is_told_once(
    servers: DiscoveredServers, caplog: pytest.LogCaptureFixture
) -> None:
    servers.use(terms(**{API: "10.5.5.5", "k8s/team-a/b": "10.0.1.100"}))
    servers.take(records(record("a", grafana=URL), record("b")))
    assert list(servers.pools) == [GRAFANA]
    servers.take(records(record("a", grafana=URL, alerta=URL), record("b")))
    servers.use(terms(connect=1, **{API: "10.5.5.5", "k8s/team-a/b": "10.0.1.100"}))
    told = f"{API}: the Cluster object names https://10.0.1.100:443, the configuration https://10.5.5.5:443: the latter wins"
    assert caplog.messages == [told]
    servers.take({})
    servers.take(records(record("a")))
    assert caplog.messages == [told, told]


async def test_what_is_ignored_is_told_once(servers: DiscoveredServers, caplog: pytest.LogCaptureFixture) -> None:
    for alerta in ("https://10.0.1.4", "https://10.0.1.5"):
        servers.take(records(record("a", grafana="https://192.0.2.1", alerta=alerta)))
    assert caplog.messages == [f"{GRAFANA}: ignored: 192.0.2.1 is outside discovery.allowed_hosts"]
    servers.take(records(record("a", "127.0.0.1")))
    assert caplog.messages[1:] == [f"{API}: ignored: 127.0.0.1 is loopback, and no network of discovery.allowed_hosts names it"]


async def test_one_changed_cluster_among_a_thousand_takes_next_to_no_time(servers: DiscoveredServers) -> None:
    five = dict.fromkeys(("alerta", "alertmanager", "grafana", "kibana", "prometheus"), URL)
    known = records(*(record(f"c-{number}", **five) for number in range(1000)))
    servers.take(known)
    assert len(servers.pools) == 6000
    seconds = []
    for last in range(1, 10):
        changed = {**known, **records(record("c-500", f"10.0.2.{last}", **five))}
        began = time.perf_counter()
        assert servers.take(changed)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.005
    # Another list of the same: each record is another object.
    again = records(*(record(f"c-{number}", "10.0.2.9" if number == 500 else "10.0.1.100", **five) for number in range(1000)))
    began = time.perf_counter()
    assert not servers.take(again)
    assert time.perf_counter() - began < 0.05

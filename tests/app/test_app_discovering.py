"""A proxy that finds its clusters by itself: real proxy, real sockets, a management API that can misbehave."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edge_door import Door, ok, server_tls, write_configuration
from management_api import ManagementApi, answering, cluster, management_api, status

from proxy.settings import load

Maker = Callable[..., Door]

FOUND = "/k8s/team-a/found/api/v1/pods"
IMPERSONATE = {"kind": "impersonate", "token_file": "children.token"}
SOON = 2.0
LOGGER = "mosk_proxy.discovery"


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api(ManagementApi(token="reader")) as serving:
        yield serving


def settings(api: ManagementApi, **changes: Any) -> dict[str, Any]:
    """Return the blocks that make a proxy discover."""
    discovery = {
        "enabled": True,
        "credential": {"kind": "token", "token_file": "reader.token"},
        "cluster_credential": IMPERSONATE,
        "allowed_hosts": ["127.0.0.0/8"],
        **changes,
    }
    return {
        "management": {"url": api.url, "credential": {"kind": "none"}, "cluster": "default/kaas-mgmt"},
        "discovery": discovery,
    }


@pytest.fixture
def discovering(make_door: Maker, tmp_path: Path, api: ManagementApi) -> Callable[..., Door]:
    """Make a door whose upstream speaks TLS, as a cluster's API does, and wait until it is ready."""
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "reader.token").write_text("reader")
        (folder / "children.token").write_text("secret-for-children")

    def make(script: Any = ok, clusters: Any = None, **changes: Any) -> Door:
        given = {} if clusters is None else {"clusters": clusters}
        entry = make_door(script, upstream_tls=server_tls(tmp_path), **settings(api, **changes), **given)
        entry.until(lambda: probe(entry)[0] == 200)
        return entry

    return make


def probe(entry: Door, path: str = "/readyz?verbose") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(entry.admin_url + path, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def found(entry: Door, name: str = "found", host: str = "127.0.0.1", **urls: str) -> dict[str, Any]:
    return cluster(name, provider_status=status(f"{host}:{entry.upstream.port}", **urls))


def becomes(entry: Door, target: str, code: int) -> float:
    """Wait until a target answers so; returns how long it took."""
    began = time.monotonic()
    entry.until(lambda: entry.ask("GET", target).status == code, SOON)
    return time.monotonic() - began


def test_a_cluster_is_usable_soon_after_its_status_and_gone_soon_after_its_end(discovering, api: ManagementApi) -> None:
    entry = discovering()
    assert entry.ask("GET", FOUND).status == 404
    api.put(cluster(status={}))
    api.put(found(entry, grafana=f"https://127.0.0.1:{entry.upstream.port}"))
    becomes(entry, FOUND, 200)
    request = entry.upstream.taken()[-1]
    assert request.startswith(b"GET /api/v1/pods HTTP/1.1")
    assert b"Authorization: Bearer secret-for-children\r\n" in request
    assert b"Impersonate-User: ann\r\n" in request
    assert b"Impersonate-Group: m:k8s:team-a:found@cluster-admin\r\n" in request
    # The system's authorities do not vouch for the application: it is there, and not believed.
    assert entry.ask("GET", "/sl/team-a/found/grafana/").status == 502
    assert entry.ask("GET", "/sl/team-a/found/prometheus/").status == 404
    api.remove()
    becomes(entry, FOUND, 404)


def test_a_cluster_that_is_being_deleted_is_gone(discovering, api: ManagementApi) -> None:
    entry = discovering()
    document = found(entry)
    api.put(document)
    becomes(entry, FOUND, 200)
    api.put({**document, "metadata": {**document["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})
    becomes(entry, FOUND, 404)


def test_nobody_is_told_of_a_cluster_whom_the_policy_does_not_let_in(discovering, api: ManagementApi) -> None:
    entry = discovering()
    before = entry.ask("GET", FOUND, roles=("m:kaas:team-b@writer",))
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    after = entry.ask("GET", FOUND, roles=("m:kaas:team-b@writer",))
    assert (before.status, before.json()["message"]) == (after.status, after.json()["message"]) == (403, after.json()["message"])


def test_the_configuration_wins_and_a_conflict_is_told_once(
    discovering, api: ManagementApi, caplog: pytest.LogCaptureFixture
) -> None:
    entry = discovering()
    api.put(found(entry, "prod", host="127.0.0.2", alertmanager="http://127.0.0.1:1", alerta="http://127.0.0.1:1"), found(entry))
    becomes(entry, FOUND, 200)
    api.put(found(entry, "prod", host="127.0.0.2", alertmanager="http://127.0.0.1:1"))
    entry.until(lambda: "sl/team-a/prod/alerta" not in entry.running.edge.site.pools)
    site = entry.running.edge.site
    assert site.pools["k8s/team-a/prod"].address == f"https://127.0.0.1:{entry.upstream.port}"
    assert site.directory.applications.keys() >= {(ref, "grafana") for ref in site.directory.cluster_apis if ref.name == "prod"}
    assert entry.ask("GET", "/k8s/team-a/prod/version").status == 200
    told = [message for message in caplog.messages if "the latter wins" in message]
    assert sorted(message.partition(":")[0] for message in told) == ["k8s/team-a/prod", "sl/team-a/prod/alertmanager"]


@pytest.mark.parametrize(
    ("allowed", "host", "reason"),
    [
        ([], "localhost", "localhost is outside discovery.allowed_hosts"),
        (["0.0.0.0/0"], "127.0.0.1", "127.0.0.1 is loopback, and no network of discovery.allowed_hosts names it"),
        (["0.0.0.0/0"], "169.254.169.254", "169.254.169.254 is link-local, and no network of discovery.allowed_hosts names it"),
    ],
)
def test_a_server_outside_is_ignored_with_a_warning(
    discovering, api: ManagementApi, caplog: pytest.LogCaptureFixture, allowed, host: str, reason: str
) -> None:
    entry = discovering(allowed_hosts=allowed)
    api.put(found(entry, host=host))
    entry.until(lambda: any("ignored" in message for message in caplog.messages), SOON)
    assert entry.ask("GET", FOUND).status == 404
    assert entry.upstream.connections == 0
    assert f"k8s/team-a/found: ignored: {reason}" in caplog.messages


def test_a_name_that_leads_to_loopback_is_not_dialled(discovering, api: ManagementApi, caplog: pytest.LogCaptureFixture) -> None:
    """The name itself is allowed: only where it leads to is not."""
    entry = discovering(allowed_hosts=["localhost"])
    api.put(found(entry, host="localhost"))
    becomes(entry, FOUND, 502)
    answer = entry.ask("GET", FOUND)
    assert answer.json()["message"] == "the upstream's address is not allowed"
    assert entry.upstream.connections == 0
    assert any(message.startswith("localhost: ignored: 127.0.0.1 is loopback") for message in caplog.messages)


def test_a_token_is_passed_to_discovered_apis_when_that_is_allowed(discovering, api: ManagementApi) -> None:
    entry = discovering(allow_pass_token=True, cluster_credential={"kind": "pass_token", "audience": "k8s"})
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    assert re.search(rb"Authorization: Bearer eyJ", entry.upstream.taken()[-1])


def test_a_management_api_that_is_away_changes_nothing_and_readiness_says_since_when(discovering, api: ManagementApi) -> None:
    entry = discovering()
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    assert "[+]discovery ok: 1 clusters known, 0 objects skipped" in probe(entry)[1]
    assert not entry.running.reloader._discovering.figures().failing_seconds
    api.watches, api.lists = [answering(503, "no leader")] * 99, [answering(503, "no leader")] * 99
    api.reset_connections()
    entry.until(lambda: "not read since" in probe(entry)[1])
    code, text = probe(entry)
    (line,) = [line for line in text.splitlines() if "discovery" in line]
    assert code == 200
    assert re.fullmatch(
        r"\[\+\]discovery ok: not read since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ: http://127.*; 1 clusters known, 0 objects skipped",
        line,
    )
    assert entry.ask("GET", FOUND).status == 200
    _, metrics = probe(entry, "/metrics")
    figures = dict(re.findall(r"^mosk_proxy_discovery_(\S+) ([0-9.e+-]+)$", metrics, re.MULTILINE))
    assert (figures["clusters"], figures["objects_skipped"]) == ("1.0", "0.0")
    assert 0 < float(figures["age_seconds"]) < 30
    assert 0 < float(figures["failing_seconds"]) < 30
    assert float(figures['reads_total{outcome="failed"}']) >= 1
    assert float(figures['reads_total{outcome="listed"}']) == 1


def test_it_is_not_ready_before_the_first_list(discovering, make_door: Maker, tmp_path: Path, api: ManagementApi) -> None:
    api.lists = [answering(403, "clusters is forbidden")] * 99
    entry = make_door(**settings(api))
    entry.until(lambda: "403" in probe(entry)[1])
    code, text = probe(entry)
    assert code == 503
    assert "[-]discovery failed: Cluster objects not read yet: http://127.0.0.1" in text
    assert "answered 403: 'clusters is forbidden'" in text
    # What is declared is served all the same.
    assert entry.ask("GET", "/k8s/team-a/prod/version").status == 200
    api.lists = []
    entry.until(lambda: probe(entry)[0] == 200)


def test_without_discovery_readiness_says_nothing_of_it(make_door: Maker) -> None:
    entry = make_door()
    entry.until(lambda: probe(entry)[0] == 200)
    assert "[+]discovery ok\n" in probe(entry)[1]
    assert "mosk_proxy_discovery" not in probe(entry, "/metrics")[1]


def reload(entry: Door, api: ManagementApi, trusted_proxies: tuple[str, ...] = (), **changes: Any) -> None:
    entry.reload(trusted_proxies=list(trusted_proxies), **settings(api, **changes))


def test_a_reload_keeps_what_is_discovered_and_the_other_way_round(discovering, api: ManagementApi) -> None:
    entry = discovering()
    api.put(found(entry, "a"), found(entry, "b"))
    becomes(entry, "/k8s/team-a/a/version", 200)
    pools = dict(entry.running.edge.site.pools)
    reload(entry, api, trusted_proxies=("10.0.0.0/8",))
    site = entry.running.edge.site
    assert (len(site.trusted_proxies), site.pools) == (1, pools)
    assert (len(api.listed), entry.running.reloader.outcomes["applied"]) == (1, 1)
    api.put(found(entry, "c"))
    becomes(entry, "/k8s/team-a/c/version", 200)
    site = entry.running.edge.site
    assert len(site.trusted_proxies) == 1
    assert {name: site.pools[name] for name in pools} == pools


def test_a_cluster_that_comes_while_a_reload_waits_is_not_lost(discovering, api: ManagementApi) -> None:
    """A reload waits for the keys of an issuer that is new; the site before goes on living meanwhile."""
    entry = discovering()
    edge, builder = entry.running.edge, entry.running.reloader._builder
    write_configuration(entry.config_file, entry.upstream, **settings(api), trusted_proxies=["10.0.0.0/8"])
    prepared = entry.call(builder.prepare, load(entry.config_file))
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    assert not edge.site.trusted_proxies
    pool = edge.site.pools["k8s/team-a/found"]
    site = entry.call(builder.commit, prepared)
    assert (len(site.trusted_proxies), site.pools["k8s/team-a/found"]) == (1, pool)


def test_what_was_prepared_and_given_up_is_let_go(discovering, api: ManagementApi) -> None:
    entry = discovering()
    edge, builder = entry.running.edge, entry.running.reloader._builder
    other = {"issuer": "https://other.example", "audiences": ["k8s"], "jwks_file": "jwks.json"}
    write_configuration(entry.config_file, entry.upstream, **settings(api), issuers=[other], timeouts={"connect_seconds": 1})
    given_up = entry.call(builder.prepare, load(entry.config_file))
    assert entry.ask("GET", "/k8s/team-a/prod/version").status == 200
    reload(entry, api)
    assert given_up.tokens.stop.is_set()
    assert all("closed" in repr(pool) for pool in given_up.pools.values())
    assert not any("closed" in repr(pool) for pool in edge.site.pools.values())
    assert entry.ask("GET", "/k8s/team-a/prod/version").status == 200


def test_rotated_tokens_are_used_on_both_sides(discovering, api: ManagementApi) -> None:
    entry = discovering()
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    entry.upstream.taken()
    api.token = "rotated"
    (entry.config_file.parent / "reader.token").write_text("rotated\n")
    (entry.config_file.parent / "children.token").write_text("rotated-for-children\n")
    reloader = entry.running.reloader
    assert reloader._fingerprint() != reloader._seen
    reload(entry, api)
    assert entry.ask("GET", FOUND).status == 200
    assert b"Bearer rotated-for-children\r\n" in entry.upstream.taken()[-1]
    api.reset_connections()
    api.put(found(entry, "b"))
    becomes(entry, "/k8s/team-a/b/version", 200)
    assert api.tokens[-1] == "Bearer rotated"


def test_discovery_can_be_switched_off_and_on_and_moved(discovering, api: ManagementApi) -> None:
    entry = discovering()
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    reload(entry, api, enabled=False)
    assert entry.ask("GET", FOUND).status == 404
    entry.until(lambda: not api.watchers)
    reload(entry, api)
    becomes(entry, FOUND, 200)
    with management_api() as other:
        other.lists = [answering(503, "starting")]
        reload(entry, other)
        # The known stays in force until the other one has spoken.
        assert entry.ask("GET", FOUND).status == 200
        assert probe(entry)[0] == 200
        becomes(entry, FOUND, 404)
        other.put(found(entry, "moved"))
        becomes(entry, "/k8s/team-a/moved/version", 200)
        assert not api.watchers


def test_a_reload_that_is_refused_leaves_all_as_it_was(discovering, api: ManagementApi) -> None:
    entry = discovering()
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    site = entry.running.edge.site
    reload(entry, api, cluster_credential={"kind": "impersonate", "token_file": "absent"})
    assert (entry.running.edge.site, entry.running.reloader.outcomes["refused"]) == (site, 1)
    assert entry.ask("GET", FOUND).status == 200


def test_a_thousand_clusters_are_swapped_in_a_moment(discovering, api: ManagementApi) -> None:
    entry = discovering()
    api.call(lambda: [api._put(found(entry, f"c-{number}")) for number in range(1000)])
    entry.until(lambda: len(entry.running.edge.site.directory.cluster_apis) >= 1000)
    api.put(found(entry))
    becomes(entry, FOUND, 200)
    builder, discovered = entry.running.reloader._builder, entry.running.reloader._builder._discovered

    def seconds_of_a_swap(number: int) -> float:
        changed = dict(discovered._records)
        del changed[list(changed)[number]]
        began = time.perf_counter()
        assert builder.discover(changed) is not None
        return time.perf_counter() - began

    assert min(entry.call(seconds_of_a_swap, number) for number in range(9)) < 0.005
    api.remove()
    becomes(entry, FOUND, 404)

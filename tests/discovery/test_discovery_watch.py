"""Records of all clusters as the management API has them, through everything that can happen on the way."""

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from management_api import (
    ManagementApi,
    answering,
    base64_of,
    cluster,
    management_api,
    saying,
    status,
    streaming_then,
    until,
)

from proxy.discovery.settings import Bounds, Rhythm, WatchSettings
from proxy.discovery.watch import ClusterWatch, Records

QUICK = Rhythm(connect=2, page=2, whole_list=2, watch=30, half_line=0.1, first_retry=0.01, last_retry=0.05, batch=0.02)
LOGGER = "mosk_proxy.discovery"


@dataclass
class Follower:
    """A watch that runs, and what it has handed on."""

    watch: ClusterWatch
    handed: list[Records] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        return {ref.name for ref in self.handed[-1]} if self.handed else set()

    @property
    def hosts(self) -> set[str]:
        return {record.api.url.host for record in self.handed[-1].values()}


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api() as serving:
        yield serving


@contextlib.asynccontextmanager
async def following(url: str, rhythm: Rhythm = QUICK, **bounds: int) -> AsyncIterator[Follower]:
    handed: list[Records] = []
    watch = ClusterWatch(WatchSettings(url, rhythm=rhythm, bounds=Bounds(**bounds)), handed.append, Counter())
    task = asyncio.get_running_loop().create_task(watch.run())
    try:
        yield Follower(watch, handed)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def watched(api: ManagementApi, count: int = 1) -> None:
    """Wait until so many watches were accepted, and one is open."""
    await until(lambda: len(api.watched) >= count and api.watchers)


async def test_all_pages_are_handed_on_at_once_and_then_each_change(api: ManagementApi) -> None:
    api.put(cluster("a"), cluster("b", "team-b"), cluster("c"))
    async with following(api.url, objects_of_page=2) as follower:
        await watched(api)
        assert (len(follower.handed), follower.names) == (1, {"a", "b", "c"})
        api.put(cluster("d"))
        await until(lambda: follower.names == {"a", "b", "c", "d"})
        api.remove("b", "team-b")
        await until(lambda: follower.names == {"a", "c", "d"})
        api.put(cluster("a", provider_status=status("10.0.9.9")))
        await until(lambda: "10.0.9.9" in follower.hosts)
        assert follower.names == {"a", "c", "d"}
    assert len(api.listed) == 2


async def test_changes_that_come_together_are_handed_on_together(api: ManagementApi) -> None:
    rhythm = Rhythm(first_retry=0.01, batch=0.15)
    async with following(api.url, rhythm) as follower:
        await watched(api)
        api.put(*(cluster(f"c-{number}") for number in range(50)))
        began = time.monotonic()
        await until(lambda: len(follower.names) == 50)
        assert time.monotonic() - began < 2
        assert len(follower.handed) <= 10


async def test_what_changes_nothing_is_not_handed_on(api: ManagementApi) -> None:
    """Conditions and node counts of a status change every few seconds."""
    api.put(cluster("a"))
    async with following(api.url) as follower:
        await watched(api)
        for ready in range(5):
            api.put(cluster("a", provider_status={**status(), "nodes": {"ready": ready}}))
        api.tell("SOMETHING", cluster("z"))
        api.put(cluster("b"))
        await until(lambda: follower.names == {"a", "b"})
        assert len(follower.handed) == 2
        api.forget_history()
        api.end_watches()
        await watched(api, 2)
        assert len(follower.handed) == 2


async def test_a_watch_goes_on_where_the_last_one_was(api: ManagementApi) -> None:
    api.put(cluster("a"))
    async with following(api.url) as follower:
        await watched(api)
        assert api.watched[-1]["resourceVersion"] == "101"
        api.put(cluster("b"))
        await until(lambda: follower.names == {"a", "b"})
        api.end_watches()
        await watched(api, 2)
        assert api.watched[-1]["resourceVersion"] == "102"
        version = api.bookmark()
        await until(lambda: follower.watch._version == version)
        api.reset_connections()
        await watched(api, 3)
        assert api.watched[-1]["resourceVersion"] == version
        assert len(api.listed) == 1


async def test_nothing_is_lost_between_two_watches(api: ManagementApi) -> None:
    api.put(cluster("a"), cluster("b"))

    def happen_while_nobody_watches() -> None:
        for transport in api.transports:
            transport.abort()
        api._remove("a", "team-a")
        api._put(cluster("c"))

    async with following(api.url) as follower:
        await watched(api)
        api.call(happen_while_nobody_watches)
        await until(lambda: follower.names == {"b", "c"})
        assert len(api.listed) == 1


@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_version_that_is_gone_means_a_new_list(api: ManagementApi, how: str) -> None:
    api.put(cluster("a"), cluster("b"))
    async with following(api.url) as follower:
        await watched(api)
        # Nobody is told of it: only a list can tell.
        del api.objects["team-a", "a"]
        api.forget_history()
        if how == "event":
            api.tell("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        else:
            api.reset_connections()
        await until(lambda: follower.names == {"b"})
        assert follower.watch.outcomes["expired"] == 1
        assert follower.watch.state.failing_since is None or how == "status"


@pytest.mark.parametrize(
    ("line", "kwargs"),
    [
        (b'{"type":"DELETED","object":{"metadata":{"na', {}),
        (b'{"type":"DELETED","object":{"metadata":{"na', {"hang": True}),
        (b'{"type":"DELETED","object":{"metadata":{"na', {"reset": True}),
        (b"no event at all\n", {"hang": True}),
        (b'{"type":"ADDED","object":"' + b"x" * 3_000_000, {"hang": True}),
        (b'{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n', {"hang": True}),
    ],
)
async def test_an_event_that_cannot_be_read_means_a_new_list(api: ManagementApi, line: bytes, kwargs) -> None:
    api.put(cluster("a"), cluster("b"))
    api.watches = [streaming_then(line, **kwargs)]
    async with following(api.url) as follower:
        await until(lambda: api.watched)
        del api.objects["team-a", "a"]
        # A connection that breaks off may hand over its half line or not: where the watch goes on is right in both cases.
        if kwargs.get("reset"):
            api.forget_history()
        await until(lambda: follower.names == {"b"})


MALFORMED = [
    None,
    "text",
    [],
    {},
    {"metadata": "x"},
    cluster("Upper"),
    cluster("a/b"),
    cluster("broken", provider_status=status(api=["x"])),
    cluster("foreign", kind="Machine"),
    cluster("no-pem", provider_status=status(ca=base64_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"))),
    cluster("new", status={}),
]


async def test_malformed_objects_spoil_nothing_and_are_told_once(api: ManagementApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    api.keep(*MALFORMED, cluster("good"))
    async with following(api.url) as follower:
        await watched(api)
        assert follower.names == {"good"}
        for document in MALFORMED:
            api.tell("MODIFIED", document)
            api.tell("DELETED", {"metadata": {"name": 5}})
        api.tell("ADDED", cluster("better"))
        await until(lambda: follower.names == {"good", "better"})
        assert follower.watch.state.skipped == 5
        about = [record for record in caplog.records if "skipped" in record.message]
        assert {record.message for record in about if record.levelno == logging.WARNING} == {
            "a Cluster object: skipped: has no usable name: (None, None)",
            "a Cluster object: skipped: has no usable name: ('team-a', 'Upper')",
            "a Cluster object: skipped: has no usable name: ('team-a', 'a/b')",
            "cluster team-a/broken: skipped: its API: loadBalancerHost is neither a host name nor an address",
            "cluster team-a/foreign: skipped: is no Cluster of cluster.k8s.io: 'Machine of cluster.k8s.io'",
            "cluster team-a/no-pem: skipped: its API: apiServerCertificate holds a broken certificate",
        }
        named = [record.message for record in about if record.message.startswith("cluster")]
        assert sorted(named) == sorted(set(named))
        assert "cluster team-a/new: skipped: names no address yet" in named


async def test_an_object_that_turns_malformed_takes_its_cluster_away_alone(
    api: ManagementApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.put(cluster("a"), cluster("b"))
    async with following(api.url) as follower:
        await watched(api)
        api.put(cluster("a", provider_status=status(api=5)))
        await until(lambda: follower.names == {"b"})
        api.put(cluster("a", provider_status=status(grafana=5)))
        await until(lambda: follower.names == {"a", "b"})
        assert caplog.messages[-1] == "cluster team-a/a: left out: grafana: its url is not a text"
        assert follower.watch.state.skipped == 0
        document = cluster("b")
        document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        api.put(document)
        await until(lambda: follower.names == {"a"})


async def test_an_object_beyond_the_bound_is_left_out_of_the_list(api: ManagementApi) -> None:
    api.put(cluster("a"), cluster("large", padding="x" * 5000))
    async with following(api.url, object_bytes=3000) as follower:
        await watched(api)
        assert follower.names == {"a"}


async def test_an_api_that_is_away_leaves_what_is_known(api: ManagementApi, caplog: pytest.LogCaptureFixture) -> None:
    api.put(cluster("a"))
    async with following(api.url) as follower:
        await watched(api)
        state = follower.watch.state
        assert (state.ready, state.clusters, state.failing_since, state.last_error) == (True, 1, None, None)
        assert state.age_seconds < 5
        began = time.time()
        api.watches, api.lists = [answering(503)] * 99, [answering(500)] * 99
        api.reset_connections()
        await until(lambda: follower.watch.outcomes["failed"] >= 3)
        state = follower.watch.state
        assert (state.ready, state.clusters) == (True, 1)
        assert began - 1 <= state.failing_since <= time.time()
        assert state.last_error
        assert (len(follower.handed), follower.names) == (1, {"a"})
        api.watches, api.lists = [], []
        api.put(cluster("b"))
        await until(lambda: follower.names == {"a", "b"})
        state = follower.watch.state
        assert (state.failing_since, state.last_error) == (None, None)
    warnings = [message for message in caplog.messages if "Cluster objects are" in message]
    assert warnings[0].startswith(f"Cluster objects are not read, what is known stays in force: {api.url}")
    assert warnings[-1] == f"Cluster objects are read again from {api.url}"


async def test_it_starts_before_the_api_does() -> None:
    with management_api() as api:
        port = int(api.url.rpartition(":")[2])
    async with following(f"http://127.0.0.1:{port}") as follower:
        await until(lambda: follower.watch.outcomes["failed"] >= 2)
        assert not follower.watch.state.ready
        assert (follower.watch.state.age_seconds, follower.handed) == (None, [])
        with management_api(port=port) as api:
            api.put(cluster("a"))
            await until(lambda: follower.names == {"a"})
            assert follower.watch.state.ready


async def test_a_list_that_breaks_off_changes_nothing(api: ManagementApi) -> None:
    api.put(cluster("a"), cluster("b"), cluster("c"))
    async with following(api.url, objects_of_page=1) as follower:
        await watched(api)
        api.lists = [api.list, answering(500), api.list, saying(b"<html>"), api.list, answering(410), answering(503)]
        api.forget_history()
        api.end_watches()
        await until(lambda: not api.lists)
        await watched(api, 3)
        assert (len(follower.handed), follower.names) == (1, {"a", "b", "c"})
        outcomes = follower.watch.outcomes
        assert (outcomes["listed"], outcomes["failed"], outcomes["expired"]) == (2, 3, 2)


@pytest.mark.parametrize(
    ("bounds", "reason"), [({"clusters": 2}, "more than 2 clusters"), ({"page_bytes": 100}, "a page of the list is longer")]
)
async def test_a_list_beyond_the_bounds_is_not_taken(api: ManagementApi, bounds, reason: str) -> None:
    api.put(cluster("a"), cluster("b"), cluster("c"))
    async with following(api.url, **bounds) as follower:
        await until(lambda: follower.watch.outcomes["failed"] >= 2)
        assert reason in follower.watch.state.last_error
        assert follower.handed == []


async def test_a_list_that_never_ends_is_given_up(api: ManagementApi) -> None:
    async def more(request):
        await asyncio.sleep(0.02)
        page = {"metadata": {"resourceVersion": "1", "continue": "x"}, "items": []}
        return await saying(json.dumps(page).encode())(request)

    api.lists = [more] * 999
    async with following(api.url, Rhythm(page=0.5, whole_list=0.2, first_retry=0.01)) as follower:
        await until(lambda: follower.watch.outcomes["failed"])
        assert follower.watch.state.last_error == f"{api.url}: the list did not end in time"


async def test_a_failure_that_nobody_thought_of_ends_nothing(api: ManagementApi) -> None:
    handed: list[Records] = []

    def take(records: Records) -> None:
        handed.append(records)
        if len(handed) == 1:
            raise RuntimeError("a mistake of ours")

    watch = ClusterWatch(WatchSettings(api.url, rhythm=QUICK), take, Counter())
    task = asyncio.get_running_loop().create_task(watch.run())
    await until(lambda: watch.state.last_error and "a mistake of ours" in watch.state.last_error)
    # It is handed on again, although nothing has changed.
    await until(lambda: len(handed) == 2)
    assert watch.state.ready
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_pauses_double_to_a_limit_with_jitter_and_begin_anew_after_an_event(api: ManagementApi) -> None:
    async with following(api.url, Rhythm(first_retry=0.25, last_retry=10)) as follower:
        await watched(api)
        watch = follower.watch
        watch._streak = 0
        expected = [0.25, 0.5, 1, 2, 4, 8, 10, 10]
        pauses = [watch._pause() for _ in expected]
        assert all(limit / 2 <= pause <= limit for limit, pause in zip(expected, pauses, strict=True))
        watch._streak = 0
        assert len({watch._pause() for _ in range(5)}) == 5
        watch._streak = 2000
        assert watch._pause() <= 10
        api.bookmark()
        await until(lambda: watch._streak == 0)


async def test_an_api_that_expires_every_watch_is_not_listed_without_a_pause(api: ManagementApi) -> None:
    api.watches = [answering(410)] * 999
    async with following(api.url, Rhythm(first_retry=0.05, last_retry=10)) as follower:
        await until(lambda: follower.watch.outcomes["expired"] >= 1)
        await asyncio.sleep(0.4)
        assert follower.watch.outcomes["expired"] <= 6


async def test_a_thousand_clusters_are_there_soon_and_each_change_of_one_sooner(api: ManagementApi) -> None:
    five = dict.fromkeys(("alerta", "alertmanager", "grafana", "kibana", "prometheus"), "https://10.0.1.1")
    api.call(
        lambda: api.objects.update(
            {("team-a", f"c-{number}"): cluster(f"c-{number}", provider_status=status(**five)) for number in range(1000)}
        )
    )
    began = time.monotonic()
    async with following(api.url, Rhythm()) as follower:
        await until(lambda: len(follower.names) == 1000)
        assert time.monotonic() - began < 3
        await watched(api)
        began = time.monotonic()
        api.put(cluster("new"))
        await until(lambda: "new" in follower.names)
        api.remove("new")
        await until(lambda: "new" not in follower.names)
        assert time.monotonic() - began < 2

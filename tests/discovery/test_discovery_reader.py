"""Lists and watches over real sockets: credentials, bounds, and answers that are none."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from edge_door import server_tls, write_authority, write_pair
from management_api import ManagementApi, answering, cluster, hang, management_api, saying, streaming_then

from proxy.discovery.messages import Event, Expired, read_object
from proxy.discovery.reader import ClusterReader, Garbled, ReadError, _socket
from proxy.discovery.settings import Bounds, Rhythm, WatchSettings

QUICK = Rhythm(connect=0.5, page=0.5, watch=2, watch_grace=0.1, half_line=0.1)


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api() as serving:
        yield serving


async def names(settings: WatchSettings) -> list[str]:
    async with ClusterReader(settings).session() as session:
        return [read_object(item)["metadata"]["name"] async for page in session.pages() for item in page.items]


async def failure(settings: WatchSettings) -> str:
    with pytest.raises(ReadError) as caught:
        await names(settings)
    return str(caught.value).removeprefix(f"{settings.url}/apis/cluster.k8s.io/v1alpha1/clusters: ")


@contextlib.asynccontextmanager
async def watching(settings: WatchSettings, version: str = "100") -> AsyncIterator[AsyncIterator[Event | None]]:
    async with ClusterReader(settings).session() as session, contextlib.aclosing(session.events(version)) as events:
        yield events


async def events(settings: WatchSettings) -> list[str | None]:
    async with watching(settings) as received:
        return [None if event is None else event.type async for event in received]


async def test_a_list_comes_in_pages(api: ManagementApi) -> None:
    api.keep(*(cluster(f"c-{number}") for number in range(5)))
    settings = WatchSettings(api.url, bounds=Bounds(objects_of_page=2))
    assert await names(settings) == [f"c-{number}" for number in range(5)]
    assert api.asked == [{"limit": "2"}, {"limit": "2", "continue": "2"}, {"limit": "2", "continue": "4"}]


async def test_a_watch_asks_for_bookmarks_and_an_end(api: ManagementApi) -> None:
    api.watches = [streaming_then(b'{"type":"ADDED","object":{}}\n{"type":"BOOK', b'MARK","object":{}}\n')]
    assert await events(WatchSettings(api.url)) == [None, "ADDED", "BOOKMARK"]
    (asked,) = api.asked
    assert 96 <= int(asked.pop("timeoutSeconds")) <= 144
    assert asked == {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": "100"}


async def test_the_token_is_that_of_the_file_now(api: ManagementApi, tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = WatchSettings(api.url, token_file=file)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        await names(settings)
    assert api.tokens == ["Bearer first", "Bearer second"]
    file.unlink()
    assert "No such file" in await failure(settings)


async def test_a_client_certificate_and_authorities_of_one_s_own(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, "client", common_name="mosk-proxy", by="clients")
    ca_file = write_authority(tmp_path / "ca.crt")
    with management_api(tls=server_tls(tmp_path, client_authority="clients")) as api:
        api.keep(cluster())
        settings = WatchSettings(api.url, ca_file=ca_file, client_certificate_file=certificate, client_key_file=key)
        assert await names(settings) == ["found"]
        assert await names(
            WatchSettings(api.url, ca_pem=ca_file.read_text(), client_certificate_file=certificate, client_key_file=key)
        )
        assert await failure(WatchSettings(api.url, ca_file=ca_file))
        assert "certificate verify failed" in await failure(
            WatchSettings(api.url, ca_file=write_authority(tmp_path / "other.crt", "other"))
        )


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answering(403, 'clusters.cluster.k8s.io is forbidden: User "x"'), """answered 403: 'clusters.cluster.k8s.io is forbidden: User "x"'"""),
        (answering(401, "a\nb"), r"answered 401: 'a\nb'"),
        (answering(500, "x" * 5000), "answered 500: '" + "x" * 199),
        (saying(b"<html>sign in</html>"), "the list is no list of objects: JSON is malformed: invalid character (byte 0)"),
        (saying(b"x" * 2000), "a page of the list is longer than 1000 bytes"),
        (hang, "no answer in time"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_list_is_one_line(api: ManagementApi, behaviour, reason: str) -> None:
    api.lists = [behaviour]
    assert await failure(WatchSettings(api.url, rhythm=QUICK, bounds=Bounds(page_bytes=1000))) == reason


async def test_a_server_that_is_not_there_is_one_line(api: ManagementApi) -> None:
    assert "onnect" in await failure(WatchSettings("http://127.0.0.1:1", rhythm=QUICK))


async def test_the_token_follows_no_redirect(api: ManagementApi, tmp_path: Path) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(api.url + "/apis/cluster.k8s.io/v1alpha1/clusters?elsewhere=1")

    api.lists = [elsewhere]
    assert await failure(WatchSettings(api.url)) == "answered 302"
    assert len(api.asked) == 1


async def test_a_continuation_that_has_expired_is_told_apart(api: ManagementApi) -> None:
    api.keep(cluster("a"), cluster("b"))
    api.lists = [api.list, answering(410)]
    with pytest.raises(Expired):
        await names(WatchSettings(api.url, bounds=Bounds(objects_of_page=1)))


@pytest.mark.parametrize(
    ("behaviour", "error", "reason"),
    [
        (answering(410), Expired, ""),
        (streaming_then(b'{"type":"ERROR","object":{"code":410}}\n'), Expired, ""),
        (answering(500), Garbled, "answered 500"),
        (streaming_then(b'{"type":"ERROR","object":{"code":500,"message":"no"}}\n'), Garbled, "the watch ended with an error: 500 'no'"),
        (streaming_then(b"not json\n"), Garbled, "a line of the watch is no event"),
        (streaming_then(b'{"type":"ADDED","obj'), Garbled, "the watch broke off within an event"),
        (streaming_then(b'{"type":"ADDED","obj', hang=True), Garbled, "the watch stopped within an event"),
        (streaming_then(b'"' + b"x" * 600 + b'"\n'), Garbled, "a line of the watch is longer than 500 bytes"),
        (streaming_then(b'"' + b"x" * 600, hang=True), Garbled, "a line of the watch is longer than 500 bytes"),
        (hang, ReadError, "no answer in time"),
        (streaming_then(reset=True), ReadError, ""),
    ],
)  # fmt: skip
async def test_a_watch_that_is_none(api: ManagementApi, behaviour, error, reason: str) -> None:
    api.watches = [behaviour]
    with pytest.raises(error) as caught:
        await events(WatchSettings(api.url, rhythm=QUICK, bounds=Bounds(object_bytes=500)))
    assert caught.type is error
    assert reason in str(caught.value)


async def test_a_watch_that_does_not_end_is_left(api: ManagementApi) -> None:
    api.watches = [streaming_then(b'{"type":"ADDED","object":{}}\n', hang=True)]
    began = asyncio.get_running_loop().time()
    assert await events(WatchSettings(api.url, rhythm=Rhythm(watch=0.1, watch_grace=0.1))) == [None, "ADDED"]
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_quiet_watch_is_not_a_stalled_one(api: ManagementApi) -> None:
    async with watching(WatchSettings(api.url, rhythm=QUICK)) as received:
        assert await anext(received) is None
        await asyncio.sleep(0.2)
        api.put(cluster())
        event = await anext(received)
        assert event is not None
        assert event.type == "ADDED"


async def test_an_object_that_is_nested_too_deep_spoils_neither_list_nor_watch(api: ManagementApi) -> None:
    deep: object = {}
    for _ in range(900):
        deep = [deep]
    document = cluster("deep", spec=deep)
    page = {"metadata": {"resourceVersion": "1"}, "items": [document, cluster("b")]}
    api.lists = [saying(json.dumps(page).encode().replace(b"[{}]", b"[" * 2000 + b"]" * 2000))]
    assert await names(WatchSettings(api.url)) == ["deep", "b"]
    line = json.dumps({"type": "ADDED", "object": document}).encode().replace(b"[{}]", b"[" * 2000 + b"]" * 2000)
    api.watches = [streaming_then(line + b"\n")]
    assert await events(WatchSettings(api.url)) == [None, "ADDED"]


async def test_a_dead_peer_is_noticed_by_the_system(api: ManagementApi) -> None:
    with _socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15

"""The surroundings together with the proxy, inside this process: what users of the demonstration reach, over TLS."""

import asyncio
import contextlib
import functools
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest
import uvloop

from proxy import app, settings
from proxy.demo.kubernetes import child_objects
from proxy.demo.loopback import listening_socket, port_of
from proxy.demo.people import BY_USERNAME
from proxy.demo.run import Demonstration, demonstration
from proxy.demo.scenery import CHILD_CLUSTERS
from proxy.settings.risks import risks


def on_the_proxys_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Run a test on uvloop: the proxy serves on nothing else."""

    @functools.wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test())

    return run


@asynccontextmanager
async def everything() -> AsyncIterator[tuple[Demonstration, aiohttp.ClientSession]]:
    async with (
        demonstration(0) as running,
        app.running(settings.load(running.config_file)) as proxy,
        aiohttp.ClientSession(running.proxy_url, connector=aiohttp.TCPConnector(ssl=running.trust())) as http,
    ):
        assert proxy.url == running.proxy_url
        yield running, http


def token_of(running: Demonstration, username: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {running.tokens[BY_USERNAME[username]]}"}


async def test_configuration_is_one_that_serve_reads_without_a_warning() -> None:
    async with demonstration(0) as running:
        read = settings.load(running.config_file)
        assert risks(read, datetime.now(UTC)) == ()
    assert (read.public_url, read.listen.port) == (running.proxy_url, int(running.proxy_url.rpartition(":")[2]))
    assert {server.credential.kind for server in (read.management, *(cluster.api for cluster in read.clusters)) if server} == {
        "impersonate"
    }


async def test_folder_is_private_and_goes() -> None:
    async with demonstration(0) as running:
        assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
        secret = [path for path in running.folder.iterdir() if path.suffix in {".key", ".token"} or path.name == "kubeconfig"]
        assert len(secret) >= 9
        assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert not running.folder.exists()


async def test_folder_goes_when_something_fails() -> None:
    with contextlib.suppress(RuntimeError):
        async with demonstration(0) as running:
            raise RuntimeError("on purpose")
    assert not running.folder.exists()


async def test_taken_port_is_told_with_a_remedy() -> None:
    with listening_socket() as taken:
        port = port_of(taken)
        with pytest.raises(OSError, match="choose another with --port") as raised:
            async with demonstration(port):
                pass
    assert raised.value.filename == f"127.0.0.1:{port}"


async def test_chosen_port_is_the_proxys() -> None:
    with listening_socket() as found:
        port = port_of(found)
    async with demonstration(port) as running:
        assert running.proxy_url == f"https://127.0.0.1:{port}"


def test_stacklight_watches_the_nodes_that_the_cluster_has() -> None:
    for cluster in CHILD_CLUSTERS:
        nodes = [each["metadata"]["name"] for each in child_objects(str(cluster)) if each["kind"] == "Node"]
        assert list(cluster.nodes) == nodes


@on_the_proxys_loop
async def test_the_kubernetes_apis_see_the_user_and_the_role_that_let_them_in() -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    async with everything() as (running, http):
        for path, username, group in (
            ("/kaas", "team-a-reader", "m:kaas:team-a@reader"),
            ("/k8s/team-b/dev", "kaas-writer", "m:k8s:team-b:dev@cluster-admin"),
        ):
            url = f"{path}/apis/authentication.k8s.io/v1/selfsubjectreviews"
            async with http.post(url, json=review, headers=token_of(running, username)) as answer:
                seen = (await answer.json())["status"]["userInfo"]
            assert seen["username"] == username
            assert group in seen["groups"]


@on_the_proxys_loop
async def test_grafana_is_mounted_under_its_prefix() -> None:
    async with everything() as (running, http):
        headers = token_of(running, "prod-sl-admin")
        async with http.get("/sl/team-a/prod/grafana/login", headers=headers, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/sl/team-a/prod/grafana/")
        async with http.get("/sl/team-a/prod/grafana/", headers=headers) as answer:
            assert '<b id="login">prod-sl-admin</b>, role <b id="role">Admin</b>' in await answer.text()
        async with http.ws_connect("/sl/team-a/prod/grafana/api/live/ws", headers=headers) as socket:
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"


@on_the_proxys_loop
async def test_alertmanager_is_mounted_without_its_prefix() -> None:
    async with everything() as (running, http):
        headers = token_of(running, "dev-cluster-admin")
        silence = {"matchers": [{"name": "alertname", "value": "Watchdog", "isRegex": False}]}
        async with http.post("/sl/team-b/dev/alertmanager/api/v2/silences", json=silence, headers=headers) as answer:
            assert answer.status == 200
        async with http.get("/sl/team-b/dev/alertmanager/api/v2/silences", headers=headers) as answer:
            assert len(await answer.json()) == 1


@on_the_proxys_loop
async def test_a_person_signs_in_sees_the_portal_and_grafana_and_signs_out() -> None:
    async with everything() as (running, _):
        connector = aiohttp.TCPConnector(ssl=running.trust())
        jar = aiohttp.CookieJar(unsafe=True)
        html = {"Accept": "text/html"}
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, headers=html) as browser:
            async with browser.get(running.proxy_url + "/sl/team-a/prod/grafana/") as sign_in_page:
                assert str(sign_in_page.url).startswith(running.issuer)
            async with browser.post(sign_in_page.url, data={"username": "prod-sl-admin"}) as landed:
                assert str(landed.url) == running.proxy_url + "/sl/team-a/prod/grafana/"
                assert '<b id="login">prod-sl-admin</b>' in await landed.text()
            async with browser.get(running.proxy_url) as portal:
                assert "<bdi>prod-sl-admin</bdi>" in await portal.text()
            async with browser.get(running.proxy_url + "/kaas/api") as api:
                assert (api.status, api.history) == (401, ())
            origin = {"Origin": running.proxy_url}
            async with browser.post(running.proxy_url + "/oauth2/sign_out", headers=origin) as out:
                assert out.headers["Refresh"].startswith(f"0; url={running.issuer}/")
            async with browser.get(running.proxy_url, allow_redirects=False) as stranger:
                assert (stranger.status, stranger.headers["Location"]) == (302, "/oauth2/start?rd=%2F")

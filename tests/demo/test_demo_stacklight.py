"""The StackLight stand-ins, asked as Grafana's, Prometheus's and Alertmanager's clients ask."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from proxy.demo.loopback import listening_socket, serving
from proxy.demo.scenery import CHILD_CLUSTERS
from proxy.demo.stacklight import Alertmanager, Grafana, Prometheus

PROD = CHILD_CLUSTERS[0]
PREFIX = "/sl/team-a/prod/app"
ANN = {"X-WEBAUTH-USER": "ann", "X-WEBAUTH-ROLE": "Admin"}


@pytest.fixture(params=["", PREFIX], ids=["root", "prefix"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def client_of(stack: AsyncExitStack, app: Grafana | Prometheus | Alertmanager) -> aiohttp.ClientSession:
    origin = await stack.enter_async_context(serving(app.application(), listening_socket()))
    return await stack.enter_async_context(aiohttp.ClientSession(base_url=origin))


async def test_grafana_shows_whom_the_headers_name(stack: AsyncExitStack, prefix: str) -> None:
    http = await client_of(stack, Grafana(PROD, prefix))
    async with http.get(f"{prefix}/api/user", headers=ANN) as answer:
        assert (await answer.json()) | {"login": "ann", "orgRole": "Admin"} == await answer.json()
    async with http.get(f"{prefix}/", headers=ANN | {"X-WEBAUTH-USER": "<b>"}) as answer:
        text = await answer.text()
        assert "stand-in" in text
        assert "&lt;b&gt;" in text
        assert answer.cookies["grafana_session"]["path"] == f"{prefix}/"


@pytest.mark.parametrize("path", ["/", "/login", "/d/nodes", "/d/nodes/x", "/api/user", "/api/live/ws"])
async def test_grafana_believes_nobody_without_headers(stack: AsyncExitStack, path: str) -> None:
    http = await client_of(stack, Grafana(PROD, ""))
    async with http.get(path, allow_redirects=False) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(("path", "place"), [("/login", "/"), ("/d/nodes", "/d/nodes/node-overview")])
async def test_grafana_redirects_below_its_prefix(stack: AsyncExitStack, prefix: str, path: str, place: str) -> None:
    http = await client_of(stack, Grafana(PROD, prefix))
    async with http.get(prefix + path, headers=ANN, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, prefix + place)
    async with http.get(prefix + place, headers=ANN) as answer:
        assert answer.status == 200


async def test_grafana_live_echoes(stack: AsyncExitStack, prefix: str) -> None:
    http = await client_of(stack, Grafana(PROD, prefix))
    async with http.ws_connect(f"{prefix}/api/live/ws", headers=ANN) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_bytes() == b"\x00\xff"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_prometheus_answers_up(stack: AsyncExitStack, prefix: str, method: str) -> None:
    http = await client_of(stack, Prometheus(PROD, prefix))
    where = {"params": {"query": "up"}} if method == "GET" else {"data": {"query": "up"}}
    async with http.request(method, f"{prefix}/api/v1/query", **where) as answer:
        found = await answer.json()
    assert found["status"] == "success"
    assert [item["metric"]["instance"] for item in found["data"]["result"]] == [f"{node}:9100" for node in PROD.nodes]


@pytest.mark.parametrize(
    ("params", "status", "result"), [({"query": "nothing"}, 200, []), ({}, 400, None), ({"query": " "}, 400, None)]
)
async def test_prometheus_says_what_it_does_not_know(stack: AsyncExitStack, params, status: int, result) -> None:
    http = await client_of(stack, Prometheus(PROD, ""))
    async with http.get("/api/v1/query", params=params) as answer:
        assert answer.status == status
        assert (await answer.json()).get("data", {}).get("result") == result


async def test_prometheus_pages(stack: AsyncExitStack, prefix: str) -> None:
    http = await client_of(stack, Prometheus(PROD, prefix))
    async with http.get(f"{prefix}/") as answer:
        assert answer.url.path == f"{prefix}/graph"
        assert "stand-in" in await answer.text()
    async with http.get(f"{prefix}/api/v1/label/job/values") as answer:
        assert (await answer.json())["data"] == ["node-exporter"]
    async with http.get(f"{prefix}/-/healthy") as answer:
        assert answer.status == 200


async def test_alertmanager_keeps_silences(stack: AsyncExitStack, prefix: str) -> None:
    http = await client_of(stack, Alertmanager(PROD, prefix))
    wanted = {"matchers": [{"name": "alertname", "value": "Watchdog", "isRegex": False}], "comment": "<i>", "createdBy": "ann"}
    async with http.post(f"{prefix}/api/v2/silences", json=wanted) as answer:
        silence = (await answer.json())["silenceID"]
    async with http.get(f"{prefix}/api/v2/silences") as answer:
        assert [(item["id"], item["createdBy"]) for item in await answer.json()] == [(silence, "ann")]
    async with http.get(f"{prefix}/api/v2/alerts") as answer:
        assert (await answer.json())[0]["status"] == {"state": "suppressed", "silencedBy": [silence]}
    async with http.get(f"{prefix}/") as answer:
        assert "&lt;i&gt;" in await answer.text()
    for method, status in (("GET", 200), ("DELETE", 200), ("DELETE", 404), ("GET", 404)):
        async with http.request(method, f"{prefix}/api/v2/silence/{silence}") as answer:
            assert answer.status == status
    async with http.get(f"{prefix}/api/v2/status") as answer:
        assert (await answer.json())["cluster"]["status"] == "ready"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"{", b"\xff"])
async def test_alertmanager_refuses_what_is_no_silence(stack: AsyncExitStack, body: bytes) -> None:
    http = await client_of(stack, Alertmanager(PROD, ""))
    async with http.post("/api/v2/silences", data=body, headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 400


async def test_alertmanager_forgets_the_oldest_silence_rather_than_growing(stack: AsyncExitStack) -> None:
    app = Alertmanager(PROD, "", {str(number): {} for number in range(1000)})
    http = await client_of(stack, app)
    async with http.post("/api/v2/silences", json={"matchers": [1]}) as answer:
        assert answer.status == 200
    assert len(app.silences) == 1000
    assert "0" not in app.silences

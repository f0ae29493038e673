"""What the paths below /oauth2 answer to browsers and to programs; the way through a real issuer is in tests/demo/test_demo_run.py."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from console_site import Page, console, visitor

from proxy.console.pages import Pages
from proxy.console.sign_in_pages import CameFrom, add_sign_in
from proxy.demo.certificates import CertificateAuthority
from proxy.forwarding.tasks import TaskSet
from proxy.issuers.authenticator import Authenticator
from proxy.sessions.opening import opened
from proxy.sessions.settings import SessionSettings
from proxy.signin.room import sign_in_room
from proxy.signin.settings import SignInSettings

ENTRY = "https://entry.example"
HTML = {"Accept": "text/html"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[TestClient]:
    """A console that signs people in at an issuer which is not there."""
    tasks = TaskSet(asyncio.get_running_loop())
    settings = SignInSettings(ENTRY, "http://127.0.0.1:1", "mosk-proxy", ca_file=CertificateAuthority(tmp_path).file)
    async with opened(SessionSettings(tmp_path / "sessions.db")) as sessions:
        room = sign_in_room(settings, sessions, Authenticator([]), tasks)
        app: web.Application = console(visitor())
        add_sign_in(app, room, lambda _: CameFrom((), "192.0.2.1"), Pages(time.time))
        async with TestClient(TestServer(app)) as found:
            yield found
        await room.close()
        await tasks.close()


async def test_an_issuer_that_is_down_is_told_and_may_be_tried_again(client: TestClient) -> None:
    answer = await client.get("/oauth2/start?rd=/console/me", headers=HTML, allow_redirects=False)
    found = Page(await answer.text())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "the sign-in service does not answer" in found.text
    assert "/oauth2/start?rd=%2Fconsole%2Fme" in found.links
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_callback_of_nobody_offers_another_try(client: TestClient) -> None:
    page = await client.get("/oauth2/callback?code=c&state=s", headers=HTML)
    assert page.status == 400
    assert "/oauth2/start" in Page(await page.text()).links
    told = await client.get("/oauth2/callback?code=c&state=s")
    assert (told.status, (await told.json())["error"]) == (400, "sign_in_unknown")


async def test_who_is_signed_out_is_told_so(client: TestClient) -> None:
    back = await client.get("/oauth2/callback?state=signed-out", headers=HTML)
    assert "You are signed out here." in Page(await back.text()).text
    out = await client.post("/oauth2/sign_out", headers={"Origin": ENTRY})
    assert (out.status, out.headers.getall("Set-Cookie")) == (
        200,
        ["__Host-mosk=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"],
    )


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", "https://evil.example")],
        [("Origin", ENTRY), ("Origin", ENTRY)],
        [("Origin", ENTRY), ("Sec-Fetch-Site", "cross-site")],
    ],
)
async def test_only_a_page_of_ours_signs_out(client: TestClient, headers: list[tuple[str, str]]) -> None:
    out = await client.post("/oauth2/sign_out", headers=headers)
    assert (out.status, (await out.json())["error"]) == (403, "cross_origin")
    assert "Set-Cookie" not in out.headers


async def test_a_logout_token_that_is_none_is_refused(client: TestClient) -> None:
    for request in ({"data": {"logout_token": "x.y.z"}}, {"data": b"x"}, {"data": {"logout_token": "x" * 20_000}}):
        answer = await client.post("/oauth2/backchannel-logout", **request)
        assert answer.status in {400, 413}
    assert (await client.get("/oauth2/sign_out")).status == 405

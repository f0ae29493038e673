import asyncio

import aiohttp
import pytest

from proxy.client.errors import ClientError
from proxy.client.loopback import listening


def is_ours(query: str) -> bool:
    return query.endswith("state=s1")


async def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as browser, browser.request(method, url, headers=headers) as answer:
        if answer.content_type == "text/html":
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert answer.headers["Referrer-Policy"] == "no-referrer"
        return answer.status, await answer.text()


async def test_the_browser_s_answer_is_taken_once_and_told_how_it_ended():
    async with listening(is_ours) as loopback:
        assert loopback.redirect_uri.startswith("http://127.0.0.1:")
        assert "waiting" in repr(loopback)
        async with asyncio.TaskGroup() as group:
            browser = group.create_task(ask(f"{loopback.redirect_uri}?code=c1&state=s1"))
            assert await loopback.answer(5) == "code=c1&state=s1"
            assert "answered" in repr(loopback)
            assert (await ask(f"{loopback.redirect_uri}?code=c2&state=s1"))[0] == 410
            loopback.conclude("Signed in", "You are <ann>.", is_good=True)
        status, page = browser.result()
        assert status == 200
        assert "<h1>Signed in</h1><p>You are &lt;ann&gt;.</p>" in page
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(loopback.redirect_uri)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"query": "?code=c1&state=s2"}, 400),
        ({"query": ""}, 400),
        ({"path": "/"}, 404),
        ({"path": "/callback/"}, 404),
        ({"path": "/favicon.ico"}, 404),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"method": "POST"}, 405),
        ({"method": "HEAD"}, 405),
    ],
)
async def test_what_is_not_the_answer_changes_nothing(change, status):
    async with listening(is_ours) as loopback:
        url = loopback.redirect_uri.replace("/callback", change.pop("path", "/callback")) + change.pop(
            "query", "?code=c&state=s1"
        )
        assert (await ask(url, **change))[0] == status
        assert "waiting" in repr(loopback)


async def test_a_browser_that_never_returns_is_not_waited_for():
    async with listening(is_ours) as loopback:
        with pytest.raises(ClientError) as caught:
            await loopback.answer(0.02)
    hint = "run it again, or with --device where no browser can reach this machine"
    assert str(caught.value) == f"the browser did not come back within 0.02 s; {hint}"


async def test_a_command_that_ends_early_tells_the_browser_too():
    async with listening(is_ours) as loopback:
        browser = asyncio.get_running_loop().create_task(ask(f"{loopback.redirect_uri}?code=c1&state=s1"))
        await loopback.answer(5)
    status, page = await browser
    assert (status, "The command has ended." in page) == (400, True)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("http://localhost:0/", "http://localhost:PORT/"),
        ("http://127.0.0.1:0/a/b", "http://127.0.0.1:PORT/a/b"),
    ],
)
async def test_an_issuer_that_insists_gets_its_address(wanted, told):
    async with listening(is_ours, wanted) as loopback:
        port = loopback.redirect_uri.split(":")[2].partition("/")[0]
        assert loopback.redirect_uri == told.replace("PORT", port)
        assert (await ask(f"{loopback.redirect_uri}?state=s2"))[0] == 400


@pytest.mark.parametrize(
    "uri",
    [
        "https://localhost:8000/",
        "http://localhost/",
        "http://0.0.0.0:8000/",
        "http://evil.example:8000/",
        "http://localhost:8000/?x=1",
        "http://localhost:8000/#x",
        "http://ann@localhost:8000/",
        "http://localhost:99999/",
        "http://localhost:8000/{x}",
        "http://[::1/",
    ],
)
async def test_an_address_elsewhere_is_refused(uri):
    with pytest.raises(ClientError, match=r"must be http://127\.0\.0\.1:PORT/PATH or http://localhost:PORT/PATH"):
        async with listening(is_ours, uri):
            pass

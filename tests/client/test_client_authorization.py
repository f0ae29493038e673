import asyncio
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web as server
from client_issuer import Issuer

from proxy.client.authorization import Attempt, code_of, sign_in_with_browser
from proxy.client.errors import ClientError
from proxy.client.issuer import Metadata, discover

METADATA = Metadata("https://i", "https://i/auth", "https://i/token", "https://i/certs")
NAMED = Metadata("https://i", "https://i/auth", "https://i/token", "https://i/certs", None, None, True)


class Browser:
    """Opens what it is shown; `pages` are what its user sees in the end."""

    def __init__(self, change=lambda url: url):
        self.change, self.shown, self.pages, self.tasks = change, [], [], []

    def __call__(self, url: str) -> None:
        self.shown.append(url)
        self.tasks.append(asyncio.get_running_loop().create_task(self.open(self.change(url))))

    async def open(self, url: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            self.pages.append((answer.status, await answer.text()))

    async def closed(self) -> tuple[int, str]:
        await asyncio.gather(*self.tasks)
        return self.pages[-1]


async def sign_in(issuer: Issuer, client, browser: Browser, **others):
    found = await discover(client, issuer.url, "kaas")
    return await sign_in_with_browser(found, ("openid", "profile"), browser, **{"seconds": 5} | others)


async def test_a_user_signs_in(issuer, client):
    browser = Browser()
    granted = await sign_in(issuer, client, browser)
    status, page = await browser.closed()
    assert (status, "You are ann." in page) == (200, True)
    assert granted.tokens.id_token not in page
    asked = {name: values[0] for name, values in parse_qs(urlsplit(browser.shown[0]).query).items()}
    assert asked["response_type"] == "code"
    assert (asked["client_id"], asked["scope"], asked["code_challenge_method"]) == ("kaas", "openid profile", "S256")
    assert granted.claims["nonce"] == asked["nonce"]
    assert granted.tokens.refresh_token in issuer.refresh_tokens


async def test_no_two_sign_ins_share_anything():
    first, second = Attempt(), Attempt()
    assert {first.state, first.nonce, first.verifier}.isdisjoint({second.state, second.nonce, second.verifier})
    assert min(map(len, (first.state, first.nonce))) >= 43
    assert 43 <= len(first.verifier) <= 128
    assert first.verifier not in repr(first)


async def test_a_token_of_another_sign_in_is_refused_and_the_browser_told(issuer, client):
    issuer.answers["token"] = lambda form: server.json_response(issuer.tokens(nonce="other"))
    browser = Browser()
    with pytest.raises(ClientError, match="token of another sign-in"):
        await sign_in(issuer, client, browser)
    status, page = await browser.closed()
    assert (status, "Not signed in" in page) == (400, True)


async def test_an_answer_that_others_made_up_does_not_end_the_sign_in(issuer, client):
    async def forged(url: str) -> int:
        target = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        async with aiohttp.ClientSession() as session, session.get(f"{target}?code=evil&state=guessed") as answer:
            return answer.status

    class Attacked(Browser):
        async def open(self, url: str) -> None:
            assert await forged(url) == 400
            await super().open(url)

    browser = Attacked()
    await sign_in(issuer, client, browser)
    assert (await browser.closed())[0] == 200
    assert [form["code"] for name, form in issuer.asked if name == "token"] != ["evil"]


async def test_a_user_who_says_no_is_believed(issuer, client):
    def deny(form):
        raise server.HTTPFound(f"{form['redirect_uri']}?error=access_denied&error_description=No&state={form['state']}")

    issuer.answers["auth"] = deny
    browser = Browser()
    with pytest.raises(ClientError) as caught:
        await sign_in(issuer, client, browser)
    assert str(caught.value) == f"{issuer.url} refused: access_denied: No"
    assert (await browser.closed())[0] == 400


async def test_nobody_comes(issuer, client):
    with pytest.raises(ClientError, match="--device"):
        await sign_in(issuer, client, lambda url: None, seconds=0.01)


@pytest.mark.parametrize(
    ("query", "metadata", "code"),
    [
        ("code=c1&state=s&session_state=1", METADATA, "c1"),
        ("code=c1&state=s&iss=https%3A%2F%2Fi", METADATA, "c1"),
        ("code=c1&state=s&iss=https%3A%2F%2Fi", NAMED, "c1"),
    ],
)
def test_the_code_is_taken(query, metadata, code):
    assert code_of(query, metadata) == code


@pytest.mark.parametrize(
    ("query", "metadata", "reason"),
    [
        ("code=c1&state=s", NAMED, "another issuer, None"),
        ("code=c1&state=s&iss=https%3A%2F%2Fevil", METADATA, "another issuer, https://evil"),
        ("error=access_denied&iss=https%3A%2F%2Fevil", METADATA, "another issuer"),
        ("error=login_required", METADATA, "https://i refused: login_required"),
        ("error=x&error_description=%1B%5B2J", METADATA, "refused: x: [2J"),
        ("state=s", METADATA, "answered without a code"),
        ("code=&state=s", METADATA, "answered without a code"),
        ("code=c1&code=c2&state=s", METADATA, "answered without a code"),
    ],
)
def test_an_answer_without_a_code_of_this_issuer_is_refused(query, metadata, reason):
    with pytest.raises(ClientError) as caught:
        code_of(query, metadata)
    assert reason in str(caught.value)


@pytest.mark.parametrize("query", ["", "state=", "state={}x", "state={0}&state={0}", "%73tate=%00", "state={}&" + "x=&" * 30])
def test_only_the_state_of_this_attempt_is_ours(query):
    attempt = Attempt()
    assert attempt.is_answered_by(f"code=c&state={attempt.state}")
    assert not attempt.is_answered_by(query.format(attempt.state))

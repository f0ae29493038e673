"""The whole room with the demonstration's OpenID provider: over TLS, page by page, as a browser goes."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from scripted_issuer import query_of
from signin_desk import QUICK_KEYS, Browser, Clock, Desk

from proxy.demo.certificates import CertificateAuthority
from proxy.demo.loopback import listening_socket, port_of, serving
from proxy.demo.people import BY_USERNAME
from proxy.demo.provider import Provider
from proxy.errors import Unauthenticated
from proxy.forwarding.tasks import TaskSet
from proxy.identity.claims import IssuerRules
from proxy.issuers.authenticator import Authenticator
from proxy.issuers.settings import IssuerSettings
from proxy.sessions.opening import opened
from proxy.sessions.settings import SessionSettings
from proxy.signin.outcomes import Redirected
from proxy.signin.room import sign_in_room
from proxy.signin.settings import SignInSettings

PUBLIC_URL = "https://entry.example"


class Person:
    """Somebody with a browser: what the proxy and what the provider keep in it."""

    def __init__(self, browser: Browser, http: aiohttp.ClientSession) -> None:
        self.browser, self.http = browser, http

    async def sign_in(self, username: str, query: str = "") -> Redirected:
        begun = await self.browser.start(query)
        async with self.http.get(begun.location) as page:
            assert f'value="{username}"' in await page.text()
        async with self.http.post(begun.location, data={"username": username}, allow_redirects=False) as answer:
            return await self.browser.callback(answer.headers["Location"].partition("?")[2])


@pytest.fixture
async def person(tmp_path: Path, clock: Clock) -> AsyncIterator[Person]:
    authority = CertificateAuthority(tmp_path)
    certificate = authority.issue("provider")
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(listening_socket())
        provider = Provider(f"https://127.0.0.1:{port_of(listener)}", PUBLIC_URL, clock=clock, wall=clock)
        await stack.enter_async_context(serving(provider.application(), listener, certificate.ssl_context()))
        rules = IssuerRules(provider.issuer, frozenset({"kaas"}), extra_audiences=frozenset({"mosk-proxy"}))
        authenticator = Authenticator([IssuerSettings(rules, ca_file=authority.file)], clock, rhythm=QUICK_KEYS)
        reading = asyncio.get_running_loop().create_task(authenticator.run())
        stack.push_async_callback(asyncio.gather, reading, return_exceptions=True)
        stack.callback(reading.cancel)
        room_of_sessions = await stack.enter_async_context(opened(SessionSettings(tmp_path / "sessions.db"), clock=clock))
        tasks = TaskSet(asyncio.get_running_loop())
        stack.push_async_callback(tasks.close)
        settings = SignInSettings(
            PUBLIC_URL, provider.issuer, "mosk-proxy", "mosk-proxy-secret", ("openid", "profile", "email"), ca_file=authority.file
        )
        room = sign_in_room(settings, room_of_sessions, authenticator, tasks, clock=clock)
        stack.push_async_callback(room.close)
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=authority.file))
        jar = aiohttp.CookieJar(unsafe=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, cookie_jar=jar))
        yield Person(Browser(Desk(provider, room, room_of_sessions, authenticator, clock)), http)


async def test_from_nothing_to_a_session_and_out_again(person: Person, clock: Clock):
    browser, room = person.browser, person.browser.desk.room
    done = await person.sign_in("prod-sl-admin", "rd=/sl/team-a/prod/grafana/")
    assert (done.location, done.username) == ("/sl/team-a/prod/grafana/", "prod-sl-admin")
    session = room.browsers.known(browser.session_id)
    assert session.identity.groups == BY_USERNAME["prod-sl-admin"].roles
    assert session.identity.audiences >= {"mosk-proxy", "sl"}
    assert session.provider_session is not None

    for _ in range(3):  # the provider rotates refresh tokens, and ends the session when one is used twice
        clock.now += 290
        sessions = await asyncio.gather(*(room.browsers.verify(browser.session_id) for _ in range(20)))
        assert {each.identity.username for each in sessions} == {"prod-sl-admin"}
    assert len({each.contents.refresh_token for each in [session, *sessions]}) == 2

    out = browser.keep(await room.sign_out.sign_out(browser.lines, PUBLIC_URL, "same-origin"))
    assert browser.cookies == {}
    async with person.http.get(out.location) as page:
        assert 'name="confirm"' in await page.text(), "no ID token vouches for the wish, so the provider asks"
    async with person.http.post(out.location, data={**query_of(out.location), "confirm": "yes"}) as page:
        assert "signed out" in await page.text()
    async with person.http.get((await browser.start()).location) as page:
        assert re.search("Sign in to", await page.text()), "a sign-in begins anew"


async def test_a_code_is_good_once(person: Person):
    browser = person.browser
    begun = await browser.start()
    async with person.http.post(begun.location, data={"username": "kaas-writer"}, allow_redirects=False) as answer:
        back = answer.headers["Location"].partition("?")[2]
    kept = dict(browser.cookies)
    assert isinstance(await browser.callback(back), Redirected)
    browser.cookies |= kept
    assert (await browser.callback(back)).cause == "sign_in_used"


async def test_the_end_of_the_session_at_the_provider_is_the_end_here(person: Person, clock: Clock):
    browser, room = person.browser, person.browser.desk.room
    await person.sign_in("kaas-reader")
    session = room.browsers.known(browser.session_id)
    person.browser.desk.issuer._credentials.sign_out(session.identity.session_id)
    clock.now += 290
    with pytest.raises(Unauthenticated, match="not signed in"):
        await room.browsers.verify(browser.session_id)


async def test_a_signed_in_browser_is_sent_through_without_a_page(person: Person):
    await person.sign_in("kaas-reader")
    begun = await person.browser.start("rd=/console/me")
    async with person.http.get(begun.location, allow_redirects=False) as answer:
        assert answer.status == 302
        done = await person.browser.callback(answer.headers["Location"].partition("?")[2])
    assert (done.location, done.username) == ("/console/me", "kaas-reader")

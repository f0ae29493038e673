"""Tokens are renewed once for all who wait, in one worker and in several, and an issuer's silence ends nobody's session."""

import asyncio
from collections import Counter

import pytest
from scripted_issuer import SUBJECT, answering, hang, refusing
from signin_desk import Browser, Desk

from proxy.errors import Unauthenticated
from proxy.sessions.store import StoreUnavailable
from proxy.signin.failures import IssuerUnavailable


@pytest.fixture
async def browser(desk: Desk) -> Browser:
    """Signed in with tokens that are good for 300 seconds, and to be renewed after 240."""
    signed_in = desk.browser()
    await signed_in.sign_in()
    desk.issuer.asked.clear()
    return signed_in


async def test_fresh_tokens_are_left_alone(desk: Desk, browser: Browser, clock):
    clock.now += 239
    session = await desk.room.browsers.verify(browser.session_id)
    assert desk.room.browsers.known(browser.session_id) is session
    assert desk.issuer.asked == []


async def test_two_hundred_requests_cause_one_renewal(desk: Desk, browser: Browser, clock):
    clock.now += 301
    assert desk.room.browsers.known(browser.session_id) is None
    sessions = await asyncio.gather(*(desk.room.browsers.verify(browser.session_id) for _ in range(200)))
    assert len({id(session) for session in sessions}) == 1
    assert [form["grant_type"] for form in desk.issuer.asked] == ["refresh_token"]
    assert desk.issuer.asked[0]["refresh_token"] == "refresh-1"
    assert sessions[0].contents.refresh_token == "refresh-2"
    assert sessions[0].identity.expires_at == clock.now + 300 + 10
    assert desk.room.browsers.known(browser.session_id) is sessions[0]


async def test_workers_renew_once_between_them(desk: Desk, browser: Browser, make_desk, clock):
    desks = [desk, await make_desk(), await make_desk()]
    clock.now += 301
    waiting = [each.room.browsers.verify(browser.session_id) for each in desks for _ in range(70)]
    sessions = await asyncio.gather(*waiting)
    assert Counter(form["refresh_token"] for form in desk.issuer.asked) == {"refresh-1": 1}
    assert {session.contents.refresh_token for session in sessions} == {"refresh-2"}


async def test_a_renewal_goes_on_without_those_who_went_away(desk: Desk, browser: Browser, clock):
    clock.now += 301
    waiting = asyncio.get_running_loop().create_task(desk.room.browsers.verify(browser.session_id))
    await asyncio.sleep(0)
    waiting.cancel()
    session = await desk.room.browsers.verify(browser.session_id)
    assert session.contents.refresh_token == "refresh-2"
    assert len(desk.issuer.asked) == 1


async def test_a_holder_that_died_blocks_nobody_for_long(desk: Desk, browser: Browser, clock):
    clock.now += 301
    session = await desk.opened.sessions.find(browser.session_id)
    assert await desk.opened.sessions.claim(session, b"dead", 15)
    waiting = asyncio.get_running_loop().create_task(desk.room.browsers.verify(browser.session_id))
    await asyncio.sleep(0.12)
    assert not waiting.done()
    clock.now += 16
    assert (await waiting).contents.refresh_token == "refresh-2"


async def test_roles_follow_the_issuer(desk: Desk, browser: Browser, clock):
    desk.issuer.claims = {"iam_roles": ["m:kaas@writer"]}
    assert desk.room.browsers.known(browser.session_id).identity.groups == ("m:kaas@reader",)
    clock.now += 241
    assert (await desk.room.browsers.verify(browser.session_id)).identity.groups == ("m:kaas@writer",)


async def test_a_refresh_token_that_is_not_replaced_stays(desk: Desk, browser: Browser, clock):
    desk.issuer.answer = {"refresh_token": None}
    for _ in range(2):
        clock.now += 301
        await desk.room.browsers.verify(browser.session_id)
    assert [form["refresh_token"] for form in desk.issuer.asked] == ["refresh-1", "refresh-1"]


async def test_without_another_id_token_a_session_lasts_as_long_as_its_own(desk: Desk, browser: Browser, clock):
    desk.issuer.answer = {"id_token": None}
    clock.now += 250
    first = await desk.room.browsers.verify(browser.session_id)
    assert first.contents.refresh_token is None
    clock.now += 50
    assert await desk.room.browsers.verify(browser.session_id) is first
    assert len(desk.issuer.asked) == 1
    clock.now += 20
    with pytest.raises(Unauthenticated, match="not signed in"):
        await desk.room.browsers.verify(browser.session_id)


@pytest.mark.parametrize("behaviour", [refusing("invalid_grant"), refusing("unauthorized_client")])
async def test_a_session_that_the_issuer_has_ended_ends(desk: Desk, browser: Browser, make_desk, clock, behaviour):
    other = await make_desk()
    desk.issuer.behaviour = behaviour
    clock.now += 241
    with pytest.raises(Unauthenticated, match="not signed in") as refusal:
        await desk.room.browsers.verify(browser.session_id)
    assert refusal.value.error == ""
    for each in (desk, other):
        assert await each.opened.sessions.find(browser.session_id) is None
    assert len(desk.issuer.asked) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        hang,
        refusing("server_error", 500),
        refusing("temporarily_unavailable"),
        refusing("invalid_client", 401),
        answering(502, "<html>"),
    ],
)
async def test_an_issuer_that_does_not_answer_ends_no_session(desk: Desk, browser: Browser, clock, behaviour):
    desk.issuer.behaviour = behaviour
    clock.now += 250
    session = await desk.room.browsers.verify(browser.session_id)
    assert session.identity.username == "ann", "its token is still good"
    assert len(desk.issuer.asked) == 1
    assert desk.room.browsers.known(browser.session_id) is session, "nobody else waits for the issuer now"
    clock.now += 100
    with pytest.raises(IssuerUnavailable) as trouble:
        await desk.room.browsers.verify(browser.session_id)
    assert (trouble.value.status, trouble.value.retry_after) == (503, 5)
    desk.issuer.behaviour = None
    assert (await desk.room.browsers.verify(browser.session_id)).identity.username == "ann"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "somebody-else"},
        {"sid": "sid-2"},
        {"nonce": "of another sign-in"},
        {"azp": "kaas"},
        {"typ": "Bearer"},
        {"at_hash": "A" * 22},
        {"preferred_username": "system:admin"},
        {"aud": "stranger"},
    ],
)
async def test_a_token_that_does_not_continue_the_session_ends_it(desk: Desk, browser: Browser, clock, claims):
    desk.issuer.claims = claims
    clock.now += 250
    with pytest.raises(Unauthenticated, match="not signed in"):
        await desk.room.browsers.verify(browser.session_id)
    assert await desk.opened.sessions.find(browser.session_id) is None


async def test_a_session_without_sid_continues(desk: Desk, browser: Browser, clock):
    desk.issuer.claims = {"sid": None}
    clock.now += 250
    assert (await desk.room.browsers.verify(browser.session_id)).identity.subject == SUBJECT


async def test_a_session_that_ends_while_it_is_renewed_stays_ended(desk: Desk, browser: Browser, clock):
    session = await desk.opened.sessions.find(browser.session_id)

    async def ending(form):
        await desk.opened.sessions.end([session.key])
        return await answering(200, "{}")(form)

    desk.issuer.behaviour = ending
    clock.now += 250
    with pytest.raises(Unauthenticated, match="not signed in"):
        await desk.room.browsers.verify(browser.session_id)


async def test_a_short_disturbance_of_the_store_loses_no_refresh_token(desk: Desk, browser: Browser, clock):
    class Disturbed:
        """The store, of which the first attempts to replace fail."""

        def __init__(self, store):
            self.store, self.failures = store, 2

        def __getattr__(self, name):
            return getattr(self.store, name)

        async def replace(self, *arguments):
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("disturbed")
            return await self.store.replace(*arguments)

    sessions = desk.opened.sessions
    sessions._store = Disturbed(sessions._store)
    clock.now += 250
    assert (await desk.room.browsers.verify(browser.session_id)).contents.refresh_token == "refresh-2"
    assert len(desk.issuer.asked) == 1

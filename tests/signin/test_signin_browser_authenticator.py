import asyncio

import msgspec
import pytest
from scripted_issuer import refusing
from signin_desk import Browser, Desk

from proxy.errors import Unauthenticated, Unavailable
from proxy.sessions.store import StoreUnavailable


@pytest.fixture
async def browser(desk: Desk) -> Browser:
    signed_in = desk.browser()
    await signed_in.sign_in()
    return signed_in


async def test_a_session_is_known_at_once_and_noted_as_seen(desk: Desk, browser: Browser, clock):
    session = desk.room.browsers.known(browser.session_id)
    clock.now += 7
    assert desk.room.browsers.known(browser.session_id) is session
    assert session.last_seen == clock.now
    clock.now += 7
    assert desk.room.browsers.is_fresh(session)
    assert session.last_seen == clock.now


@pytest.mark.parametrize("cookie", [b"", b"A" * 43, b"A" * 44, b"\xff" * 43, b"a b", b"=" * 43])
async def test_a_cookie_of_nobody_is_nobody(desk: Desk, cookie):
    assert desk.room.browsers.known(cookie) is None
    with pytest.raises(Unauthenticated, match="not signed in"):
        await desk.room.browsers.verify(cookie)


async def test_every_byte_of_the_cookie_counts(desk: Desk, browser: Browser):
    session_id = browser.session_id
    for place in range(len(session_id)):
        other = session_id[:place] + (b"A" if session_id[place : place + 1] != b"A" else b"B") + session_id[place + 1 :]
        assert desk.room.browsers.known(other) is None
        with pytest.raises(Unauthenticated):
            await desk.room.browsers.verify(other)


async def test_another_worker_asks_the_store_once(desk: Desk, browser: Browser, make_desk):
    other = await make_desk()
    assert other.room.browsers.known(browser.session_id) is None
    sessions = await asyncio.gather(*(other.room.browsers.verify(browser.session_id) for _ in range(50)))
    assert len({id(session) for session in sessions}) == 1
    assert other.room.browsers.known(browser.session_id) is sessions[0]
    assert sessions[0].identity.token == sessions[0].contents.id_token.encode()


async def test_whoever_remembers_a_session_learns_of_its_end(desk: Desk, browser: Browser):
    session = desk.room.browsers.known(browser.session_id)
    await desk.opened.sessions.end([session.key])
    assert not desk.room.browsers.is_fresh(session)
    with pytest.raises(Unauthenticated, match="not signed in"):
        await desk.room.browsers.verify(browser.session_id)


@pytest.mark.parametrize(("step", "steps"), [(1801, 1), (1700, 26)], ids=["idle", "old"])
async def test_idle_and_old_sessions_are_not_fresh(desk: Desk, clock, step, steps):
    desk.issuer.lifetime = 80_000
    browser = desk.browser()
    await browser.sign_in()
    session = desk.room.browsers.known(browser.session_id)
    for number in range(steps):
        assert desk.room.browsers.is_fresh(session), number
        clock.now += step
    assert not desk.room.browsers.is_fresh(session)
    assert desk.room.browsers.known(browser.session_id) is None
    with pytest.raises(Unauthenticated, match="not signed in"):
        await desk.room.browsers.verify(browser.session_id)


async def test_a_session_without_refresh_token_ends_with_its_token(desk: Desk, clock):
    desk.issuer.answer = {"refresh_token": None}
    browser = desk.browser()
    await browser.sign_in()
    clock.now += 305
    assert desk.room.browsers.known(browser.session_id) is not None, "within the leeway"
    clock.now += 6
    assert desk.room.browsers.known(browser.session_id) is None
    with pytest.raises(Unauthenticated, match="not signed in"):
        await desk.room.browsers.verify(browser.session_id)
    assert await desk.opened.sessions.find(browser.session_id) is None


async def test_a_key_that_is_gone_makes_a_session_fetch_another_token(desk: Desk, browser: Browser):
    session = desk.room.browsers.known(browser.session_id)
    desk.authenticator.generation = object()
    assert not desk.room.browsers.is_fresh(session)
    again = await desk.room.browsers.verify(browser.session_id)
    assert again is session
    assert again.generation is desk.authenticator.generation


@pytest.fixture
async def disbelieving(browser: Browser, make_desk) -> Desk:
    """Another worker, to which the token of the session means nothing: its key is gone."""
    other = await make_desk()
    session = await other.opened.sessions.find(browser.session_id)
    session.contents = msgspec.structs.replace(session.contents, id_token="of.a.gone-key")
    return other


async def test_a_token_that_is_no_longer_believed_is_replaced(browser: Browser, disbelieving: Desk):
    renewed = await disbelieving.room.browsers.verify(browser.session_id)
    assert (renewed.contents.refresh_token, renewed.identity.username) == ("refresh-2", "ann")


async def test_one_that_cannot_be_replaced_ends_its_session(desk: Desk, browser: Browser, disbelieving: Desk):
    session = desk.room.browsers.known(browser.session_id)
    desk.issuer.behaviour = refusing("invalid_grant")
    with pytest.raises(Unauthenticated, match="not signed in"):
        await disbelieving.room.browsers.verify(browser.session_id)
    assert await desk.opened.sessions.load(session.key) is None


async def test_while_the_store_is_lost_cookies_are_503(desk: Desk, browser: Browser):
    session = desk.room.browsers.known(browser.session_id)
    desk.opened.sessions.note_trouble("gone")
    assert not desk.room.browsers.is_fresh(session)
    with pytest.raises(StoreUnavailable):
        desk.room.browsers.known(browser.session_id)
    with pytest.raises(StoreUnavailable):
        await desk.room.browsers.verify(browser.session_id)
    desk.opened.sessions.note_trouble(None)
    assert desk.room.browsers.known(browser.session_id) is session


async def test_a_mistake_of_ours_is_503_for_those_who_wait(desk: Desk, browser: Browser, clock, caplog):
    clock.now += 250
    desk.room.browsers._renewal = None
    with pytest.raises(Unavailable, match="cannot be looked up"):
        await desk.room.browsers.verify(browser.session_id)
    assert "task find session failed" in caplog.text

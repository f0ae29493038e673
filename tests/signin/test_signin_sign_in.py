"""From nothing to a session: every step of a sign-in, and what must not become one."""

import asyncio

import pytest
from scripted_issuer import CLIENT, answering, hang, query_of, refusing
from signin_desk import Browser, Desk

from proxy.signin.outcomes import Redirected, Refused, SignedOut


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return desk.browser()


async def test_a_browser_signs_in_and_returns_to_where_it_wanted(desk: Desk, browser: Browser):
    begun = await browser.start("rd=%2Fsl%2Fteam-a%2Fprod%2Fgrafana%2F%3Fa%3D1")
    assert isinstance(begun, Redirected)
    sent = query_of(begun.location)
    assert begun.location.startswith(f"{desk.issuer.url}/auth?")
    assert (sent["client_id"], sent["response_type"], sent["scope"]) == (CLIENT, "code", "openid profile")
    assert sent["redirect_uri"] == "https://entry.example/oauth2/callback"
    done = await browser.callback(desk.issuer.signs_in(begun.location))
    assert isinstance(done, Redirected)
    assert (done.location, done.status, done.username) == ("/sl/team-a/prod/grafana/?a=1", 303, "ann")
    assert list(browser.cookies) == ["__Host-mosk"], "the attempt's own cookie is gone"
    session = desk.room.browsers.known(browser.session_id)
    assert (session.identity.username, session.contents.refresh_token) == ("ann", "refresh-1")
    assert (session.contents.device, session.contents.address) == ("Firefox", "192.0.2.7")
    form = desk.issuer.asked[0]
    assert set(form) == {"grant_type", "code", "redirect_uri", "code_verifier"}
    assert form["redirect_uri"] == "https://entry.example/oauth2/callback"


async def test_nothing_secret_stands_in_a_location_or_in_a_cookie_in_the_clear(desk: Desk, browser: Browser):
    begun = await browser.start("rd=/console/me")
    done = await browser.callback(desk.issuer.signs_in(begun.location))
    session = desk.room.browsers.known(browser.session_id)
    shown = " ".join([begun.location, done.location, *begun.cookies, *done.cookies, repr(begun), repr(done), repr(session)])
    verifier = desk.issuer.asked[0]["code_verifier"]
    for secret in (verifier, session.contents.id_token, session.contents.refresh_token, "s3cret", "/console/me?"):
        assert secret not in shown
    assert query_of(begun.location)["nonce"] not in " ".join(begun.cookies)


async def test_each_sign_in_gives_another_session_and_ends_the_one_before(desk: Desk, browser: Browser):
    await browser.sign_in()
    first = browser.session_id
    await browser.sign_in()
    assert browser.session_id != first
    assert await desk.opened.sessions.find(first) is None
    assert await desk.opened.sessions.find(browser.session_id) is not None


async def test_a_planted_session_id_is_not_taken_over(desk: Desk, browser: Browser):
    browser.cookies["__Host-mosk"] = "A" * 43
    await browser.sign_in()
    assert browser.session_id != b"A" * 43
    assert await desk.opened.sessions.find(b"A" * 43) is None


async def test_tabs_sign_in_side_by_side(desk: Desk, browser: Browser):
    begun = [await browser.start(f"rd=/tab/{number}") for number in range(5)]
    for number in (3, 0, 4, 1, 2):
        done = await browser.callback(desk.issuer.signs_in(begun[number].location))
        assert done.location == f"/tab/{number}"
    assert list(browser.cookies) == ["__Host-mosk"]


async def test_a_sign_in_goes_on_at_another_worker(desk: Desk, make_desk, browser: Browser):
    other = await make_desk()
    begun = await browser.start("rd=/here")
    browser.desk = other
    done = await browser.callback(desk.issuer.signs_in(begun.location))
    assert done.location == "/here"
    assert (await desk.room.browsers.verify(browser.session_id)).identity.username == "ann"


BAD_CALLBACKS = [
    "",
    "code=abc",
    "code=abc&state=",
    "code=abc&state=%00",
    "code=abc&state=" + "A" * 200,
    "code=abc&state=" + "A" * 50_000,
    "code=abc&state=x&state=x",
    "error=access_denied&state=x",
    "&".join(f"p{number}=1" for number in range(100)),
]


async def test_a_callback_without_a_sign_in_of_ours_is_told(desk: Desk, browser: Browser):
    await browser.start()
    before = dict(browser.cookies)
    for query in BAD_CALLBACKS:
        outcome = await browser.callback(query)
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.cause, outcome.again) == (400, "sign_in_unknown", "/oauth2/start"), query
        assert "not begun in this browser, or too long ago" in outcome.message
    assert desk.issuer.asked == []
    assert browser.cookies == before


async def test_a_sign_in_of_another_browser_is_none_of_this_one(desk: Desk, browser: Browser):
    """Login CSRF: the attacker's own code and state in somebody else's browser."""
    attacker = desk.browser()
    begun = await attacker.start("rd=/attacker")
    await browser.start("rd=/victim")
    outcome = await browser.callback(desk.issuer.signs_in(begun.location))
    assert (outcome.status, outcome.cause, outcome.again) == (400, "sign_in_unknown", "/oauth2/start?rd=%2Fattacker")
    assert "__Host-mosk" not in browser.cookies
    assert desk.issuer.asked == []


async def test_the_cookie_of_one_attempt_does_not_serve_another(desk: Desk, browser: Browser):
    one, other = desk.browser(), desk.browser()
    begun = await one.start()
    await other.start()
    (name,), (value,) = one.cookies.keys(), other.cookies.values()
    browser.cookies = {name: value}
    assert (await browser.callback(desk.issuer.signs_in(begun.location))).cause == "sign_in_unknown"


async def test_every_byte_of_the_cookie_counts(desk: Desk, browser: Browser):
    begun = await browser.start()
    back = desk.issuer.signs_in(begun.location)
    ((name, value),) = browser.cookies.items()
    for place in range(0, len(value), 7):
        browser.cookies[name] = value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]
        assert (await browser.callback(back)).cause == "sign_in_unknown", place
        browser.cookies[name] = value[:place]
        assert (await browser.callback(back)).cause == "sign_in_unknown", place


async def test_a_sign_in_takes_ten_minutes_at_most(desk: Desk, browser: Browser, clock):
    begun = await browser.start()
    clock.now += 601
    assert (await browser.callback(desk.issuer.signs_in(begun.location))).cause == "sign_in_unknown"


async def test_a_finished_sign_in_is_finished(desk: Desk, browser: Browser):
    begun = await browser.start()
    kept = dict(browser.cookies)
    back = desk.issuer.signs_in(begun.location)
    await browser.callback(back)
    assert (await browser.callback(back)).cause == "sign_in_unknown", "its cookie is gone"
    thief = desk.browser()
    thief.cookies = dict(kept)
    outcome = await thief.callback(back)
    assert (outcome.status, outcome.cause) == (400, "sign_in_used"), "the issuer knows the code"
    thief.cookies = dict(kept)
    outcome = await thief.callback(desk.issuer.signs_in(begun.location))
    assert (outcome.status, outcome.cause) == (400, "sign_in_used"), "with another code for the same attempt"
    assert "__Host-mosk" not in thief.cookies


ANSWERS = [
    ({"iss": "https://attacker.example"}, 502, "not_accepted", "does not belong to this sign-in"),
    ({"iss": None}, 502, "not_accepted", "does not belong to this sign-in"),
    ({"iss": ""}, 502, "not_accepted", "does not belong to this sign-in"),
    ({"code": None}, 502, "not_accepted", "does not belong to this sign-in"),
    ({"code": ""}, 502, "not_accepted", "does not belong to this sign-in"),
    ({"code": "another"}, 400, "sign_in_used", "used already, or took too long"),
    ({"code": None, "error": "access_denied"}, 403, "issuer_error", "declined (access_denied)"),
    ({"code": None, "error": "login_required"}, 400, "issuer_error", "sign in again"),
    ({"code": None, "error": "temporarily_unavailable"}, 503, "issuer_unavailable", "busy"),
    ({"code": None, "error": "server_error"}, 503, "issuer_unavailable", "problem"),
    (
        {"code": None, "error": "unheard_of", "error_description": "odd%0D%0Aways%1B"},
        502,
        "issuer_error",
        "unheard_of: odd  ways)",
    ),
    ({"code": None, "error": "access_denied", "iss": "https://attacker.example"}, 502, "not_accepted", "does not belong"),
]


async def test_what_the_issuer_sends_back_is_judged(desk: Desk, browser: Browser):
    for changes, status, cause, message in ANSWERS:
        outcome = await browser.sign_in("rd=/sl/a/b/grafana/", **changes)
        assert isinstance(outcome, Refused), changes
        assert (outcome.status, outcome.cause, outcome.again) == (status, cause, "/oauth2/start?rd=%2Fsl%2Fa%2Fb%2Fgrafana%2F"), (
            changes
        )
        assert message in outcome.message
        assert browser.cookies == {}, "no session, and the attempt is over"


async def test_an_issuer_that_does_not_name_itself_may_leave_it_out(desk: Desk, browser: Browser):
    desk.issuer.metadata["authorization_response_iss_parameter_supported"] = False
    assert isinstance(await browser.sign_in(iss=None), Redirected)
    assert (await browser.sign_in(iss="https://attacker.example")).cause == "not_accepted"


async def test_the_verifier_is_proven(desk: Desk, browser: Browser):
    begun = await browser.start()
    back = desk.issuer.signs_in(begun.location.replace("code_challenge=", "code_challenge=x"))
    assert (await browser.callback(back)).cause == "sign_in_used"


BAD_ID_TOKENS = [
    ({"nonce": "of another sign-in"}, 502, "does not belong to this sign-in"),
    ({"nonce": None}, 502, "does not belong to this sign-in"),
    ({"aud": ["kaas"], "azp": "kaas"}, 502, "does not belong to this sign-in"),
    ({"azp": "kaas"}, 502, "does not belong to this sign-in"),
    ({"azp": None}, 502, "does not belong to this sign-in"),
    ({"at_hash": "AAAA"}, 502, "does not belong to this sign-in"),
    ({"typ": "Bearer"}, 502, "does not belong to this sign-in"),
    ({"aud": "stranger"}, 403, "token not for this service"),
    ({"preferred_username": "system:admin"}, 403, "username not accepted"),
    ({"preferred_username": None}, 403, "without a username"),
    ({"iam_roles": ["system:masters"]}, 403, "group not accepted"),
    ({"iss": "https://other.example"}, 403, "issuer not accepted"),
    ({"exp": 1, "iat": 0}, 403, "token expired"),
    ({"events": {}}, 403, "type not accepted"),
]


async def test_an_id_token_that_is_not_believed_makes_no_session(desk: Desk, browser: Browser):
    for claims, status, message in BAD_ID_TOKENS:
        desk.issuer.claims = claims
        begun = await browser.start()
        outcome = await browser.callback(desk.issuer.signs_in(begun.location))
        assert isinstance(outcome, Refused), claims
        assert (outcome.status, outcome.cause) == (status, "not_accepted"), claims
        assert message in outcome.message
        assert browser.cookies == {}


FAILING = [
    (refusing("invalid_grant"), 400, "sign_in_used"),
    (refusing("invalid_client", 401), 502, "issuer_error"),
    (refusing("server_error", 500), 503, "issuer_unavailable"),
    (refusing("temporarily_unavailable"), 503, "issuer_unavailable"),
    (answering(200, "<html>"), 503, "issuer_unavailable"),
    (answering(200, "{}"), 502, "not_accepted"),
    (answering(200, '{"id_token": 1}'), 503, "issuer_unavailable"),
    (answering(200, '{"id_token": "x"}'), 403, "not_accepted"),
    (answering(200, "[" * 100_000), 503, "issuer_unavailable"),
    (answering(200, '"' + "x" * 2_000_000), 503, "issuer_unavailable"),
    (answering(302, ""), 503, "issuer_unavailable"),
    (answering(503, "<html>busy"), 503, "issuer_unavailable"),
    (hang, 503, "issuer_unavailable"),
]


async def test_a_token_endpoint_that_fails_is_told(desk: Desk, browser: Browser):
    for behaviour, status, cause in FAILING:
        desk.issuer.behaviour = behaviour
        outcome = await browser.sign_in()
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.cause) == (status, cause), outcome
        assert (outcome.retry_after is not None) == (cause == "issuer_unavailable")
        assert "__Host-mosk" not in browser.cookies
        assert "s3cret" not in repr(outcome)


async def test_without_the_issuer_nobody_is_sent_there(desk: Desk, browser: Browser):
    desk.issuer.metadata["issuer"] = "https://other.example"
    outcome = await browser.start("rd=/console/me")
    assert isinstance(outcome, Refused)
    assert (outcome.status, outcome.cause, outcome.retry_after) == (503, "issuer_unavailable", 5)
    assert outcome.again == "/oauth2/start?rd=%2Fconsole%2Fme"
    assert browser.cookies == {}


async def test_without_the_store_nobody_is_sent_anywhere(desk: Desk, browser: Browser):
    begun = await browser.start()
    kept = dict(browser.cookies)
    desk.opened.sessions.note_trouble("gone")
    assert desk.issuer.asked == []
    for outcome in (await browser.start(), await browser.callback(desk.issuer.signs_in(begun.location))):
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.cause, outcome.retry_after) == (503, "store_unavailable", 2)
    assert browser.cookies == kept
    assert desk.issuer.asked == [], "the code is still good when the store is back"
    desk.opened.sessions.note_trouble(None)
    assert isinstance(await browser.callback(desk.issuer.signs_in(begun.location)), Redirected)


async def test_a_hostile_target_is_the_portal(desk: Desk, browser: Browser):
    for target in (
        "//evil.example",
        "https://evil.example/",
        "/%5cevil.example",
        "javascript:alert(1)",
        "/oauth2/start",
        "/a&rd=/b",
    ):
        assert (await browser.sign_in(f"rd={target}")).location == "/", target


async def test_a_configured_host_is_returned_to(desk: Desk, browser: Browser):
    assert (await browser.sign_in("rd=https://grafana.example/d/1")).location == "https://grafana.example/d/1"


async def test_cookies_of_attempts_are_bounded(desk: Desk, browser: Browser, clock):
    first = await browser.start("rd=/first")
    for number in range(12):
        clock.now += 1
        await browser.start(f"rd=/{number}")
    assert len(browser.cookies) == 8
    assert (await browser.callback(desk.issuer.signs_in(first.location))).cause == "sign_in_unknown"


async def test_after_sign_out_the_issuer_sends_browsers_to_the_callback_too(browser: Browser):
    assert await browser.callback("state=signed-out") == SignedOut()
    await browser.sign_in()
    assert await browser.callback("state=signed-out") == Redirected("/"), "a link tells nobody who is signed in otherwise"


async def test_a_public_client_names_itself_and_sends_no_secret(make_desk):
    desk = await make_desk(client_secret=None)
    assert isinstance(await desk.browser().sign_in(), Redirected)
    assert desk.issuer.asked[0]["client_id"] == CLIENT
    assert "Authorization" not in desk.issuer.headers[0]


async def test_many_sign_in_at_once(desk: Desk):
    browsers = [desk.browser() for _ in range(40)]
    outcomes = await asyncio.gather(*(browser.sign_in() for browser in browsers))
    assert {type(outcome) for outcome in outcomes} == {Redirected}
    assert len({browser.session_id for browser in browsers}) == 40

"""Out at a user's wish, and at the issuer's."""

import base64

import pytest
from scripted_issuer import CLIENT, ScriptedIssuer, answering, hang, query_of, refusing
from signin_desk import PUBLIC_URL, Browser, Desk

from proxy.signin.outcomes import Accepted, Redirected, Refused, SignedOut

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def browser(desk: Desk) -> Browser:
    signed_in = desk.browser()
    await signed_in.sign_in()
    return signed_in


async def sign_out(browser: Browser, origin: str | None = PUBLIC_URL, site: str | None = "same-origin"):
    return browser.keep(await browser.desk.room.sign_out.sign_out(browser.lines, origin, site))


async def test_out_here_and_at_the_issuer(desk: Desk, browser: Browser):
    session = await desk.opened.sessions.find(browser.session_id)
    outcome = await sign_out(browser)
    assert isinstance(outcome, Redirected)
    assert outcome.location.startswith(f"{desk.issuer.url}/logout?")
    assert query_of(outcome.location) == {
        "client_id": CLIENT,
        "post_logout_redirect_uri": f"{PUBLIC_URL}/oauth2/callback",
        "state": "signed-out",
        "logout_hint": "ann",
    }
    assert session.contents.id_token not in outcome.location
    assert (browser.cookies, outcome.username, session.is_current) == ({}, "ann", False)
    assert [form["token"] for form in desk.issuer.revoked] == ["refresh-1"]


async def test_a_replayed_cookie_is_worth_nothing(desk: Desk, browser: Browser):
    kept = browser.session_id
    await sign_out(browser)
    assert await desk.opened.sessions.find(kept) is None


FOREIGN = [
    (None, None),
    ("null", None),
    ("https://evil.example", "cross-site"),
    (PUBLIC_URL, "same-site"),
    (PUBLIC_URL + ".evil", None),
]


async def test_a_page_elsewhere_signs_nobody_out(desk: Desk, browser: Browser):
    for origin, site in FOREIGN:
        outcome = await sign_out(browser, origin, site)
        assert isinstance(outcome, Refused)
        assert (outcome.status, outcome.cause, outcome.cookies) == (403, "cross_origin", ())
    assert await desk.opened.sessions.find(browser.session_id) is not None


@pytest.mark.parametrize("cookies", [{}, {"__Host-mosk": "A" * 43}, {"__Host-mosk": "tampered"}])
async def test_without_a_session_there_is_nothing_to_do(desk: Desk, cookies):
    browser = desk.browser()
    browser.cookies = dict(cookies)
    assert isinstance(await sign_out(browser), SignedOut)
    assert browser.cookies == {}


async def test_without_the_store_the_cookie_stays(desk: Desk, browser: Browser):
    kept = dict(browser.cookies)
    desk.opened.sessions.note_trouble("gone")
    outcome = await sign_out(browser)
    assert isinstance(outcome, Refused)
    assert (outcome.status, outcome.cause, outcome.retry_after) == (503, "store_unavailable", 2)
    assert browser.cookies == kept


async def test_without_the_issuer_one_is_out_here_all_the_same(desk: Desk, browser: Browser, caplog):
    session_id = browser.session_id
    desk.issuer.metadata["issuer"] = "https://other.example"
    assert await sign_out(browser) == SignedOut(("__Host-mosk=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",), "ann")
    assert await desk.opened.sessions.find(session_id) is None
    assert "not at the issuer" in caplog.text


@pytest.mark.parametrize("missing", ["end_session_endpoint", "revocation_endpoint"])
async def test_an_issuer_may_lack_an_endpoint(desk: Desk, browser: Browser, missing):
    desk.issuer.metadata[missing] = None
    expected = SignedOut if missing == "end_session_endpoint" else Redirected
    assert isinstance(await sign_out(browser), expected)


async def test_a_revocation_that_fails_keeps_nobody_in(desk: Desk, browser: Browser, caplog):
    for behaviour in (refusing("invalid_client", 401), answering(500, "no"), hang):
        await browser.sign_in()
        session_id = browser.session_id
        desk.issuer.revocation = behaviour
        assert isinstance(await sign_out(browser), Redirected)
        assert await desk.opened.sessions.find(session_id) is None
    assert caplog.text.count("refresh token not revoked") == 3
    assert "refresh-" not in caplog.text


async def test_browsers_leave_the_default_port_out_of_their_origin(make_desk):
    desk = await make_desk(public_url="https://entry.example:443")
    browser = desk.browser()
    assert (await browser.sign_in("rd=https://entry.example/console/me")).location == "/console/me"
    assert isinstance(await sign_out(browser, "https://entry.example"), Redirected)


async def test_an_endpoint_with_a_query_keeps_it(desk: Desk, browser: Browser):
    desk.issuer.metadata["end_session_endpoint"] = f"{desk.issuer.url}/logout?realm=iam"
    outcome = await sign_out(browser)
    assert query_of(outcome.location)["realm"] == "iam"
    assert outcome.location.count("?") == 1


async def backchannel(desk: Desk, token: str, content_type: str | None = FORM):
    return await desk.room.sign_out.backchannel_logout(content_type, f"logout_token={token}".encode())


async def test_the_issuer_ends_the_sessions_of_a_sign_in_on_all_workers(desk: Desk, browser: Browser, make_desk):
    other = await make_desk()
    session = await other.opened.sessions.find(browser.session_id)
    assert await backchannel(desk, desk.issuer.logout_token()) == Accepted(1)
    assert await desk.opened.sessions.find(browser.session_id) is None
    assert await other.opened.sessions.load(session.key) is None


async def test_without_sid_all_sessions_of_the_user_end(desk: Desk, browser: Browser):
    desk.issuer.claims = {"sid": "sid-2"}
    elsewhere = desk.browser()
    await elsewhere.sign_in()
    assert await backchannel(desk, desk.issuer.logout_token(sid="sid-3")) == Accepted(0)
    assert await backchannel(desk, desk.issuer.logout_token(sub="somebody-else")) == Accepted(0), "of this sid, but another user"
    assert await backchannel(desk, desk.issuer.logout_token(sid=None)) == Accepted(2)


async def test_without_sub_the_sid_tells(desk: Desk, browser: Browser):
    assert await backchannel(desk, desk.issuer.logout_token(sub=None), FORM + "; charset=utf-8") == Accepted(1)


async def test_types_that_issuers_give_logout_tokens(desk: Desk, browser: Browser):
    for name in ("logout+jwt", "Logout+JWT", "application/logout+jwt", "JWT", None):
        await browser.sign_in()
        assert await backchannel(desk, desk.issuer.logout_token(header={"typ": name})) == Accepted(1), name


async def test_a_logout_token_counts_once_on_all_workers(desk: Desk, browser: Browser, make_desk):
    other = await make_desk()
    token = desk.issuer.logout_token()
    assert await backchannel(desk, token) == Accepted(1)
    await browser.sign_in()
    for each in (desk, other):
        outcome = await backchannel(each, token)
        assert (outcome.status, outcome.cause) == (400, "invalid_request")
    assert await desk.opened.sessions.find(browser.session_id) is not None


def forged(issuer: ScriptedIssuer) -> str:
    head, _, signature = issuer.logout_token().rpartition(".")
    return f"{head}.{signature[:40]}{'A' if signature[40] != 'A' else 'B'}{signature[41:]}"


def unsigned(issuer: ScriptedIssuer) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"logout+jwt"}').decode().rstrip("=")
    return f"{head}.{issuer.logout_token().split('.')[1]}."


BAD = {
    "an ID token": lambda issuer: issuer.mint(),
    "an ID token with events": lambda issuer: issuer.logout_token(nonce="n"),
    "without events": lambda issuer: issuer.logout_token(events=None),
    "for another client": lambda issuer: issuer.logout_token(aud="kaas"),
    "of another issuer": lambda issuer: issuer.logout_token(iss="https://other.example"),
    "of yesterday": lambda issuer: issuer.logout_token(iat=int(issuer.clock()) - 86_400, exp=None),
    "expired": lambda issuer: issuer.logout_token(exp=int(issuer.clock()) - 60),
    "of tomorrow": lambda issuer: issuer.logout_token(iat=int(issuer.clock()) + 86_400, exp=None),
    "without jti": lambda issuer: issuer.logout_token(jti=None),
    "for nobody": lambda issuer: issuer.logout_token(sub=None, sid=None),
    "of another type": lambda issuer: issuer.logout_token(header={"typ": "at+jwt"}),
    "a security event": lambda issuer: issuer.logout_token(header={"typ": "secevent+jwt"}),
    "of another key": lambda issuer: issuer.logout_token(header={"typ": "logout+jwt", "kid": "second"}),
    "forged": forged,
    "unsigned": unsigned,
    "no token": lambda issuer: "x",
    "nothing": lambda issuer: "",
    "too long": lambda issuer: "x" * 200_000,
    "not ASCII": lambda issuer: "%ff.%00.é",
}


async def test_a_bad_logout_token_ends_nothing(desk: Desk, browser: Browser):
    for name, make in BAD.items():
        outcome = await backchannel(desk, make(desk.issuer))
        assert isinstance(outcome, Refused), name
        assert (outcome.status, outcome.cause) == (400, "invalid_request"), name
        assert await desk.opened.sessions.find(browser.session_id) is not None, name


async def test_it_must_come_as_a_form(desk: Desk, browser: Browser):
    for content_type in [None, "", "application/json", "multipart/form-data", "text/plain"]:
        outcome = await backchannel(desk, desk.issuer.logout_token(), content_type)
        assert (outcome.status, outcome.cause) == (400, "invalid_request")


async def test_two_tokens_are_none(desk: Desk, browser: Browser):
    token = desk.issuer.logout_token()
    outcome = await backchannel(desk, f"{token}&logout_token={token}")
    assert (outcome.status, outcome.cause) == (400, "invalid_request")
    assert await desk.opened.sessions.find(browser.session_id) is not None


async def test_without_the_store_the_issuer_is_told(desk: Desk, browser: Browser):
    store = desk.opened.sessions._store
    await store.close()
    outcome = await backchannel(desk, desk.issuer.logout_token())
    assert (outcome.status, outcome.cause) == (503, "store_unavailable")

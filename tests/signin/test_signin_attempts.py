import re
from urllib.parse import quote

import pytest

from proxy.sessions.sealing import Sealer
from proxy.signin.attempts import (
    MOST_ATTEMPTS,
    attempt_of,
    new_attempt,
    sealed_cookie,
    sealed_state,
    surplus_cookies,
    target_of,
)

SEALER = Sealer([b"k" * 32])


def pair(line: str) -> bytes:
    """What a browser sends back of a `Set-Cookie` line."""
    return line.partition(";")[0].encode()


def test_state_and_cookie_together_are_the_attempt():
    attempt = new_attempt("/console/me")
    state, cookie = sealed_state(SEALER, attempt), sealed_cookie(SEALER, attempt, 1000)
    assert attempt_of(SEALER, state, [b"a=b; " + pair(cookie)], 1000) == attempt
    assert cookie.startswith(f"{attempt.cookie_name}=")
    assert cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600")
    assert re.fullmatch(r"__Host-mosk-signin-[A-Za-z0-9_-]{12}", attempt.cookie_name)


def test_what_is_derived_is_fit_for_its_use_and_tells_nothing_of_the_secret():
    one, other = new_attempt("/"), new_attempt("/")
    for text in (one.verifier, one.nonce):
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", text)  # RFC 7636 section 4.1
    assert len({one.verifier, one.nonce, other.verifier, other.nonce, one.replay_name, other.replay_name}) == 6
    assert one.secret.hex() not in repr(one)
    assert repr(one.secret) not in repr(one)


def test_state_is_fit_for_a_url_and_shows_no_target():
    state = sealed_state(SEALER, new_attempt("/sl/secret-project/"))
    assert quote(state, safe="") == state
    assert "secret" not in state


@pytest.mark.parametrize("later", [-599, 0, 599])
def test_an_attempt_is_good_for_ten_minutes(later):
    attempt = new_attempt("/")
    line = pair(sealed_cookie(SEALER, attempt, 1000))
    assert attempt_of(SEALER, sealed_state(SEALER, attempt), [line], 1000 + later) == attempt


@pytest.mark.parametrize("later", [-601, 600, 10_000])
def test_an_attempt_is_good_for_no_longer(later):
    attempt = new_attempt("/")
    line = pair(sealed_cookie(SEALER, attempt, 1000))
    assert attempt_of(SEALER, sealed_state(SEALER, attempt), [line], 1000 + later) is None


def test_what_does_not_belong_together_is_no_attempt():
    one, other = new_attempt("/one"), new_attempt("/other")
    state, line = sealed_state(SEALER, one), pair(sealed_cookie(SEALER, one, 0))
    value = line.partition(b"=")[2]
    foreign = sealed_state(Sealer([b"x" * 32]), one)
    cases = [
        (state, []),
        (state, [pair(sealed_cookie(SEALER, other, 0))]),
        (state, [other.cookie_name.encode() + b"=" + value]),
        (sealed_state(SEALER, other), [line]),
        (sealed_state(SEALER, other), [other.cookie_name.encode() + b"=" + value]),
        (state, [line, line]),
        (state, [line[:-1]]),
        (state, [line + b"="]),
        (state + "=", [line]),
        (state + "A", [line]),
        (state[:-1], [line]),
        (foreign, [line]),
        (value.decode(), [line]),
        (state, [one.cookie_name.encode() + b"=" + state.encode()]),
        ("", [line]),
        ("\xe9", [line]),
        ("A" * 10_000, [line]),
    ]
    assert [attempt_of(SEALER, *case, 0) for case in cases] == [None] * len(cases)


def test_a_target_is_told_of_a_state_of_ours_only():
    state = sealed_state(SEALER, new_attempt("/console/me"))
    assert target_of(SEALER, state) == "/console/me"
    assert target_of(SEALER, state[:-2]) is None
    assert target_of(Sealer([b"x" * 32]), state) is None


def test_the_oldest_attempts_make_room_and_what_is_not_ours_goes():
    attempts = [new_attempt("/") for _ in range(MOST_ATTEMPTS + 1)]
    lines = [pair(sealed_cookie(SEALER, attempt, 1000 + number)) for number, attempt in enumerate(attempts)]
    old = new_attempt("/")
    junk = [b"__Host-mosk-signin-junk=1", b"__Host-mosk-signin-=1", b"__Host-mosk=session", b'__Host-mosk-signin-"x=1', b"a=b"]
    gone = surplus_cookies(SEALER, [*lines, pair(sealed_cookie(SEALER, old, 0)), *junk], 1100)
    names = {line.partition("=")[0] for line in gone}
    assert names == {
        attempts[0].cookie_name,
        attempts[1].cookie_name,
        old.cookie_name,
        "__Host-mosk-signin-junk",
        "__Host-mosk-signin-",
    }
    assert all(line.endswith("; Max-Age=0") for line in gone)
    assert surplus_cookies(SEALER, lines[:3], 1100) == ()

import json
import threading
import time
from dataclasses import replace

import pytest
from client_issuer import ENTRY

from proxy.client.credential import current_login, exec_credential, is_fresh
from proxy.client.errors import ClientError, NotSignedIn, SessionEnded
from proxy.client.logins import Logins, Tokens


def made(now: float, lasts: int, lifetime: int = 300, refresh_token: str | None = "r1", name: str = "old") -> Tokens:
    """Tokens that last for so many seconds more."""
    expires_at = int(now) + lasts
    return Tokens(name, refresh_token, "ann", expires_at - lifetime, expires_at)


class Refresh:
    """What the issuer would do: `outcomes` are what it gives or raises, one a call."""

    def __init__(self, *outcomes, seconds: float = 0):
        self.outcomes, self.seconds, self.asked_with = list(outcomes), seconds, []

    def __call__(self, login):
        self.asked_with.append(login.tokens.refresh_token)
        time.sleep(self.seconds)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_the_credential_is_what_kubectl_reads():
    assert json.loads(exec_credential(Tokens("the.id.token", "secret", "ann", 0, 1_790_000_000))) == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {"interactive": False},
        "status": {"expirationTimestamp": "2026-09-21T14:13:20Z", "token": "the.id.token"},
    }


@pytest.mark.parametrize(
    ("lasts", "lifetime", "fresh"),
    [
        (61, 300, True),
        (60, 300, False),
        (0, 300, False),
        (-1, 300, False),
        (61, 3600, True),
        (2, 5, True),
        (1, 5, False),
        (0, 0, False),
    ],
)
def test_a_token_is_renewed_a_minute_before_its_end_or_a_fifth_of_a_short_life(lasts, lifetime, fresh):
    assert is_fresh(made(1000, lasts, lifetime), 1000) is fresh


def test_a_fresh_token_is_given_without_asking_anybody(logins, make_login):
    tokens = made(time.time(), 100)
    logins.save(make_login(tokens))
    login, given = current_login(logins, ENTRY, Refresh())
    assert (login.entry, given) == (ENTRY, tokens)
    assert not (logins.folder / "entry.example.lock").exists()


def test_who_has_not_signed_in_is_told_how(logins, make_login):
    for _ in range(2):
        with pytest.raises(NotSignedIn) as caught:
            current_login(logins, ENTRY, Refresh())
        assert str(caught.value) == "not signed in to https://entry.example; run: mosk-proxy login https://entry.example"
        logins.save(make_login(None))


def test_an_old_token_is_renewed_and_the_new_refresh_token_kept(logins, make_login):
    logins.save(make_login(made(time.time(), 10)))
    new = made(time.time(), 300, refresh_token="r2", name="new")
    refresh = Refresh(new)
    assert current_login(logins, ENTRY, refresh)[1] == new
    assert logins.load(ENTRY) == make_login(new)
    assert refresh.asked_with == ["r1"]


@pytest.mark.parametrize("lifetime", [300, 2])
def test_many_at_once_refresh_once(logins, make_login, lifetime):
    logins.save(make_login(made(time.time(), -1)))
    refresh = Refresh(made(time.time(), lifetime, lifetime, "r2", "new"), seconds=0.1)
    given = []
    threads = [
        threading.Thread(target=lambda: given.append(current_login(logins, ENTRY, refresh)[1].id_token)) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert (given, refresh.asked_with) == (["new"] * 20, ["r1"])


def test_an_issuer_that_fails_costs_all_who_wait_one_attempt(logins, make_login):
    logins.save(make_login(made(time.time(), -1)))
    refresh = Refresh(ClientError("no answer within 10 s"), seconds=0.1)
    told = []

    def ask():
        with pytest.raises(ClientError) as caught:
            current_login(logins, ENTRY, refresh)
        told.append(str(caught.value))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert (told, len(refresh.asked_with)) == (["no answer within 10 s"] * 10, 1)
    # Who comes later tries again.
    later = Refresh(made(time.time(), 300, name="new"))
    assert current_login(logins, ENTRY, later)[1].id_token == "new"


def test_a_failure_of_the_future_is_not_believed(logins, make_login):
    logins.save(make_login(made(time.time(), -1)))
    with logins.lock(ENTRY):
        (logins.folder / "entry.example.lock").write_text(f"{time.time_ns() + 10**12} clock set back")
    assert current_login(logins, ENTRY, Refresh(made(time.time(), 300, name="new")))[1].id_token == "new"


def test_a_token_that_is_still_good_is_given_when_the_issuer_fails(logins, make_login):
    old = made(time.time(), 30)
    logins.save(make_login(old))
    assert current_login(logins, ENTRY, Refresh(ClientError("down")))[1] == old
    assert current_login(logins, ENTRY, Refresh(SessionEnded("over")))[1] == old
    assert current_login(logins, ENTRY, Refresh())[1] == replace(old, refresh_token=None)


def test_a_session_that_ended_is_asked_for_once(logins: Logins, make_login):
    logins.save(make_login(made(time.time(), -1)))
    refresh = Refresh(SessionEnded("https://i/token: invalid_grant"))
    with pytest.raises(NotSignedIn, match=r"https://i/token: invalid_grant; run: mosk-proxy login https://entry\.example$"):
        current_login(logins, ENTRY, refresh)
    with pytest.raises(NotSignedIn, match=r"the session at http://127\.0\.0\.1:9/realm has ended; run: mosk-proxy login"):
        current_login(logins, ENTRY, refresh)
    assert refresh.asked_with == ["r1"]

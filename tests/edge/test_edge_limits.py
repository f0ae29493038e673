"""What one user may use: requests a second with a burst, and streams at once."""

from collections.abc import Callable

import pytest
from edge_door import POD, WRITER, Door, Wire

from proxy.edge.limits import UserLimits
from proxy.errors import TooManyRequests
from proxy.identity.principal import Identity
from proxy.policy.roles import RoleSet

Maker = Callable[..., Door]
WATCH = "/k8s/team-a/prod/api/v1/pods?watch=1"


def user(subject: str, issuer: str = "https://issuer.example") -> Identity:
    return Identity(issuer, subject, "ann", (), RoleSet.from_strings(()), frozenset(), 1e12, b"")


ANN, BOB, OTHER_ANN = user("ann"), user("bob"), user("ann", "https://other.example")


def accepted(limits: UserLimits, who: Identity, now: float, most: int = 100) -> int:
    """Count how many requests pass at one moment."""
    for count in range(most):
        try:
            limits.request(who, now)
        except TooManyRequests:
            return count
    return most


def test_without_a_limit_there_is_none() -> None:
    limits = UserLimits(None, None)
    assert accepted(limits, ANN, 0.0) == 100
    for _ in range(100):
        limits.stream_started(ANN)


def test_a_burst_of_twice_the_rate_and_then_the_rate() -> None:
    limits = UserLimits(5, None)
    assert accepted(limits, ANN, 10.0) == 10
    assert accepted(limits, ANN, 10.25) == 1
    assert accepted(limits, ANN, 11.25) == 5
    assert accepted(limits, ANN, 1000.0) == 10


def test_each_user_of_each_issuer_has_an_own_limit() -> None:
    limits = UserLimits(1, 1)
    assert [accepted(limits, who, 0.0) for who in (ANN, BOB, OTHER_ANN, ANN)] == [2, 2, 2, 0]
    for who in (ANN, BOB, OTHER_ANN):
        limits.stream_started(who)
    with pytest.raises(TooManyRequests):
        limits.stream_started(ANN)


def test_a_stream_that_ended_gives_its_place_back() -> None:
    limits = UserLimits(None, 2)
    for _ in range(5):
        limits.stream_started(ANN)
        limits.stream_started(ANN)
        with pytest.raises(TooManyRequests):
            limits.stream_started(ANN)
        limits.stream_ended(ANN)
        limits.stream_ended(ANN)
    assert limits._streams == {}


def test_users_who_may_do_all_again_are_forgotten() -> None:
    limits = UserLimits(1, None)
    for number in range(10_050):
        limits.request(user(str(number)), number / 100)
    assert len(limits._buckets) <= 10_000
    assert ("https://issuer.example", "10049") in limits._buckets


def test_other_limits_count_on_what_was_used() -> None:
    limits = UserLimits(5, 1)
    assert accepted(limits, ANN, 0.0) == 10
    limits.stream_started(ANN)
    limits.change(2, 2)
    assert accepted(limits, ANN, 0.5) == 1
    limits.stream_started(ANN)
    with pytest.raises(TooManyRequests):
        limits.stream_started(ANN)
    limits.change(None, None)
    assert accepted(limits, ANN, 0.5) == 100


def test_a_user_beyond_the_limit_is_429_and_another_is_not(make_door: Maker) -> None:
    entry = make_door(limits={"requests_per_user": 1})
    answers = [entry.ask("GET", POD) for _ in range(4)]
    assert {answer.status for answer in answers} == {200, 429}
    refused = answers[-1]
    assert (refused.status, refused["retry-after"], refused.json()["reason"]) == (429, "1", "TooManyRequests")
    wire = entry.connect()
    wire.send(entry.head("GET", POD, token=entry.issuer.token(WRITER, user="bob")))
    assert wire.answer().status == 200
    assert len(entry.upstream.taken()) == 3
    refusals = [line for line in entry.audit_lines(5) if line["status"] == 429]
    assert {(line["user"], line["decision"], line["reason"]) for line in refusals} == {
        ("ann", "refused", "too many requests from this user")
    }


def test_a_stream_beyond_the_limit_is_429_until_another_ends(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        wire.rest()

    entry = make_door(script, limits={"streams_per_user": 1})
    first, second = entry.connect(), entry.connect()
    first.send(entry.head("GET", WATCH))
    first.until(b"ok\r\n")
    for line in ((), ("Connection: Upgrade", "Upgrade: websocket")):
        second = entry.connect()
        second.send(entry.head("GET", WATCH, *line))
        answer = second.answer()
        assert (answer.status, answer["retry-after"]) == (429, "5")
    first.sock.close()
    entry.until(lambda: not entry.running.edge.limits._streams)
    third = entry.connect()
    third.send(entry.head("GET", WATCH))
    assert b"200 OK" in third.until(b"\r\n")
    assert entry.running.edge.counters.streams == {"watch": 1}

"""Requests and answers on their way, as transcripts: who sends what, what arrives, who closes first."""

import time
from collections.abc import Callable

import pytest
from edge_door import POD, Door, Wire

Maker = Callable[..., Door]


def test_a_request_arrives_with_its_path_and_ours_and_the_answer_comes_back(entry: Door) -> None:
    answer = entry.ask("GET", f"{POD}?limit=5&continue=a%2Fb", "X-Kept: One", "x-kept: two")
    assert (answer.status, answer.body, answer["content-type"]) == (200, b"ok", "text/plain")
    assert answer["x-content-type-options"] == "nosniff"
    (request,) = entry.upstream.taken()
    first, *lines = request.decode().split("\r\n")
    assert first == "GET /api/v1/namespaces/default/pods/web?limit=5&continue=a%2Fb HTTP/1.1"
    assert [line for line in lines if "kept" in line.lower()] == ["X-Kept: One", "x-kept: two"]
    assert f"Host: 127.0.0.1:{entry.upstream.port}" in lines
    assert "Authorization: Bearer secret-of-the-proxy" in lines


def once_then_hang_up(wire: Wire) -> None:
    """Answer the first request of a connection; end it on the second without an answer."""
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    wire.request()


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 200), ("POST", 502), ("PATCH", 502)])
def test_only_an_idempotent_request_is_tried_again(make_door: Maker, method: str, status: int) -> None:
    entry = make_door(once_then_hang_up)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.answer().status == 200
    wire.send(entry.head(method, POD))
    assert wire.answer().status == status


def test_a_body_that_was_begun_is_not_sent_again(make_door: Maker) -> None:
    entry = make_door(once_then_hang_up)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.answer().status == 200
    wire.send(entry.head("PUT", POD, "Content-Length: 2") + b"ab")
    assert wire.answer().status == 502
    assert sum(b"PUT" in request for request in entry.upstream.taken()) == 1


def test_a_silent_upstream_is_504(make_door: Maker) -> None:
    entry = make_door(lambda wire: (wire.request(), wire.rest()), timeouts={"response_seconds": 1})
    begin = time.monotonic()
    answer = entry.ask("GET", POD)
    assert (answer.status, answer.json()["reason"]) == (504, "Timeout")
    assert time.monotonic() - begin < 2.5


def test_a_slow_reader_holds_its_upstream_back(make_door: Maker) -> None:
    sent = [0]

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 80000000\r\n\r\n")
        for _ in range(800):
            wire.send(b"z" * 100_000)
            sent[0] += 100_000

    entry = make_door(script)
    wire = entry.connect()
    wire.sock.setsockopt(1, 8, 65536)
    wire.send(entry.head("GET", POD))
    time.sleep(0.7)
    assert 0 < sent[0] < 40_000_000
    wire.until(b"\r\n\r\n")
    assert len(wire.exactly(80_000_000)) == 80_000_000


def test_a_watch_flows_and_ends_in_a_clean_chunk(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            wire.send(b"2\r\n%d\n\r\n" % number)
            time.sleep(0.05)
        wire.send(b"0\r\n\r\n")

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", "/k8s/team-a/prod/api/v1/pods?watch=1"))
    wire.until(b"\r\n\r\n")
    assert wire.until(b"0\n\r\n") == b"2\r\n0\n\r\n"
    assert wire.until(b"0\r\n\r\n").endswith(b"2\n\r\n0\r\n\r\n")
    start, end = entry.audit_lines(2)
    assert (start["stage"], start["status"], end["stage"], end["status"], end["verb"]) == ("start", None, "end", 200, "watch")


def test_a_watch_has_no_time_limit_of_a_plain_request(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(2.2)
        wire.send(b"2\r\nok\r\n0\r\n\r\n")

    entry = make_door(script, timeouts={"response_seconds": 1, "body_idle_seconds": 1, "idle_seconds": 1})
    wire = entry.connect()
    wire.send(entry.head("GET", "/k8s/team-a/prod/api/v1/pods?watch=1"))
    assert wire.answer().body == b"ok"

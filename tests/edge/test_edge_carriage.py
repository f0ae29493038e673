"""Requests and answers on their way, as transcripts: who sends what, what arrives, who closes first."""

import contextlib
import hashlib
import time
from collections.abc import Callable

import pytest
from edge_door import POD, Door, Wire, answering

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




def test_a_repeated_header_block_is_judged_by_its_own_path(entry: Door) -> None:
    wire, head = entry.connect(), entry.head("GET", POD)
    wire.send(head)
    assert wire.answer().status == 200
    wire.send(head.replace(b"/k8s/team-a/", b"/k8s/team-b/"))
    assert wire.answer().status == 403
    wire.send(head.replace(b"/pods/web", b"/pods/../x"))
    assert wire.answer().status == 400


def test_pipelined_requests_are_answered_in_order(entry: Door) -> None:
    wire = entry.connect()
    wire.send(b"".join(entry.head("GET", f"{POD}-{number}") for number in range(8)))
    assert [wire.answer().status for _ in range(8)] == [200] * 8
    paths = [request.split(b" ")[1].rpartition(b"-")[2] for request in entry.upstream.taken()]
    assert paths == [b"%d" % number for number in range(8)]


def test_too_many_pipelined_requests_are_400(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", POD) * 40)
    assert wire.answer().status == 200
    answer = wire.answer()
    assert (answer.status, answer["connection"]) == (400, "close")
    assert wire.is_ended()
    assert len(entry.upstream.taken()) == 1


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_body_arrives_whole_and_so_does_what_follows_it(make_door: Maker, size: int, *, is_chunked: bool) -> None:
    digests = []

    def script(wire: Wire) -> None:
        while head := wire.until(b"\r\n\r\n"):
            body = wire._chunks() if b"chunked" in head else wire.exactly(size if b"POST" in head else 0)
            digests.append(hashlib.sha256(body).digest())
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    entry = make_door(script)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    framing, sent = (
        ("Transfer-Encoding: chunked", b"%x;a=b\r\n%b\r\n0\r\nX-Trailer: dropped\r\n\r\n" % (size, body))
        if is_chunked
        else (f"Content-Length: {size}", body)
    )
    wire = entry.connect()
    wire.send(entry.head("POST", POD, framing) + sent + entry.head("GET", POD))
    assert [wire.answer().status, wire.answer().status] == [200, 200]
    assert digests == [hashlib.sha256(body).digest(), hashlib.sha256(b"").digest()]


def test_the_body_is_asked_for_when_the_upstream_is_there(make_door: Maker) -> None:
    entry = make_door()
    wire = entry.connect()
    wire.send(entry.head("PUT", POD, "Content-Length: 4", "Expect: 100-continue"))
    assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"body")
    assert wire.answer().status == 200
    assert b"Expect" not in entry.upstream.taken()[0]


def test_a_body_is_not_asked_for_from_someone_who_is_refused(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("PUT", POD, "Content-Length: 4", "Expect: 100-continue", roles=()))
    answer = wire.answer()
    assert (answer.status, answer["connection"]) == (403, "close")


def test_a_client_that_is_still_sending_sees_the_early_refusal(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 80000000", roles=()))
    wire.send(b"x" * 200_000)
    time.sleep(0.1)
    assert wire.answer().status == 403


def test_a_body_beyond_the_limit_is_413_before_and_during(make_door: Maker) -> None:
    entry = make_door(limits={"body_bytes": 1000})
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 1001"))
    assert wire.answer().status == 413
    assert entry.upstream.taken() == []
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Transfer-Encoding: chunked") + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n")
    assert wire.answer().status == 413
    assert entry.ask("POST", POD, body=b"x" * 1000).status == 200




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


def test_a_stalled_head_a_stalled_body_and_an_idle_connection_are_ended(make_door: Maker) -> None:
    entry = make_door(timeouts={"header_seconds": 1, "body_idle_seconds": 1, "idle_seconds": 1})
    wires = [entry.connect() for _ in range(4)]
    begin = time.monotonic()
    wires[0].send(b"GET / HTT")
    wires[1].send(entry.head("POST", POD, "Content-Length: 10") + b"abc")
    wires[2].send(entry.head("GET", POD))
    assert wires[0].answer().status == 408
    assert wires[1].answer().status == 408
    assert wires[2].answer().status == 200
    assert all(wire.is_ended() for wire in wires)
    assert time.monotonic() - begin < 4


def test_a_client_that_leaves_takes_its_request_with_it(make_door: Maker) -> None:
    ended: list[float] = []

    def script(wire: Wire) -> None:
        wire.request()
        wire.rest()
        ended.append(time.monotonic())

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    while not entry.upstream.requests.qsize():
        time.sleep(0.01)
    left = time.monotonic()
    wire.sock.close()
    while not ended:
        time.sleep(0.01)
        assert time.monotonic() - left < 5
    assert ended[0] - left < 1
    (line,) = entry.audit_lines(1)
    assert (line["status"], line["reason"], line["decision"]) == (None, "the client ended the request", "allow")


def test_a_client_that_ends_its_side_still_gets_its_answer(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    wire.sock.shutdown(1)
    assert wire.answer().body == b"ok"


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


def test_a_drain_finishes_what_is_short_and_ends_streams_cleanly(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        request = wire.request()
        if b"watch=1" in request:
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
            wire.rest()
        else:
            time.sleep(0.5)
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    entry = make_door(script)
    idle, short, watch = entry.connect(), entry.connect(), entry.connect()
    watch.send(entry.head("GET", "/k8s/team-a/prod/api/v1/pods?watch=1"))
    watch.until(b"ok\r\n")
    short.send(entry.head("GET", POD))
    time.sleep(0.1)
    edge = entry.running.edge
    entry.call(lambda: edge.tasks.start(edge.drain(0, 5), "drain"))
    assert idle.is_ended()
    assert watch.rest() == b"0\r\n\r\n"
    answer = short.answer()
    assert (answer.body, answer["connection"]) == (b"done", None)
    with contextlib.closing((late := entry.connect()).sock):
        late.send(entry.head("GET", POD))
        answer = late.answer()
        assert (answer.status, answer["retry-after"], answer["connection"]) == (503, "1", "close")

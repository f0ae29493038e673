"""One client's connection: whose the bytes are, what waits, what is bounded, and how it ends."""

import contextlib
import socket
import time
from collections.abc import Callable

import pytest
from edge_door import POD, TLS, Door, Wire, answering

Maker = Callable[..., Door]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WATCH = "/k8s/team-a/prod/api/v1/pods?watch=1"
PAGE = b"GET / HTTP/1.1\r\nHost: entry.example\r\n\r\n"


def paths(entry: Door) -> list[bytes]:
    return [request.split(b" ")[1].rpartition(b"/")[2] for request in entry.upstream.taken()]


# pipelining


def test_pipelined_requests_are_answered_in_order(entry: Door) -> None:
    wire = entry.connect()
    wire.send(b"".join(entry.head("GET", f"{POD}-{number}") for number in range(8)))
    assert [wire.answer().status for _ in range(8)] == [200] * 8
    assert paths(entry) == [b"web-%d" % number for number in range(8)]


@pytest.mark.parametrize("count", [17, 40, 4000])
def test_too_many_pipelined_requests_are_400(entry: Door, count: int) -> None:
    wire = entry.connect()
    with contextlib.suppress(ConnectionError):
        wire.send(entry.head("GET", POD, "X-Padding: 1") + entry.head("GET", POD, token=None) * count)
    assert wire.answer().status == 200
    answer = wire.answer()
    assert (answer.status, answer["connection"]) == (400, "close")
    wire.rest()
    assert len(entry.upstream.taken()) == 1


def test_what_follows_an_overflow_is_never_a_request(make_door: Maker) -> None:
    entry = make_door(lambda wire: (wire.request(), time.sleep(0.2), wire.send(OK), wire.rest()))
    wire = entry.connect()
    wire.send(entry.head("GET", POD) + entry.head("GET", POD, token=None) * 40)
    time.sleep(0.05)
    wire.send(entry.head("GET", f"{POD}-smuggled"))
    assert [wire.answer().status, wire.answer().status] == [200, 400]
    assert wire.is_ended()
    assert paths(entry) == [b"web"]


@pytest.mark.parametrize("count", [16, 1000])
def test_many_requests_that_need_no_upstream_are_answered_or_refused_without_a_traceback(
    entry: Door, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    wire = entry.connect()
    with contextlib.suppress(ConnectionError):
        wire.send(PAGE * count)
    statuses = []
    while (answer := wire.answer()).status:
        statuses.append(answer.status)
        if len(statuses) == count:
            break
    assert set(statuses) <= {200, 400}
    assert statuses.count(400) <= 1
    assert "Traceback" not in caplog.text
    assert "Fatal" not in caplog.text
    if count == 16:
        assert statuses == [200] * 16


def test_a_head_in_two_parts_around_an_answer_is_read_in_order(make_door: Maker) -> None:
    """The second part comes in the same turn of the loop in which the answer does, before the first was looked at."""
    go: list[int] = []

    def script(wire: Wire) -> None:
        wire.request()
        while not go:
            time.sleep(0.001)
        wire.send(OK)
        go.clear()
        while wire.request():
            wire.send(OK)

    entry = make_door(script)
    wire, head = entry.connect(), entry.head("GET", f"{POD}-second")
    wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.send(entry.head("GET", f"{POD}-first") + head[:40])
    entry.until(entry.upstream.requests.qsize)
    time.sleep(0.05)
    with entry.held():
        go.append(1)
        while go:
            time.sleep(0.001)
        time.sleep(0.02)
        wire.send(head[40:])
        time.sleep(0.02)
    assert [wire.answer().status, wire.answer().status] == [200, 200]
    assert paths(entry) == [b"web-first", b"web-second"]


@pytest.mark.parametrize("size", [50_000, 1_000_000])
def test_a_client_that_does_not_read_its_answers_is_asked_for_no_more_requests(make_door: Maker, size: int) -> None:
    """It may ask again and again: its answers fill the socket's buffers and one of ours, and no more."""
    served = []

    def script(wire: Wire) -> None:
        while wire.request():
            served.append(1)
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size)

    entry = make_door(script)
    wire, sent = entry.connect(), 0
    wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    head = entry.head("GET", POD)
    while sent - len(served) < 15:
        wire.send(head)
        sent += 1
        time.sleep(0.002)
        assert len(served) * size < 15_000_000
    for _ in range(sent):
        answer = wire.answer()
        assert (answer.status, len(answer.body)) == (200, size)
    assert len(served) == sent


def test_a_client_that_never_reads_its_answers_is_given_up(make_door: Maker) -> None:
    """Its requests are done as far as their upstreams are concerned: only the connection is left."""
    entry = make_door(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"z" * 9_000_000), timeouts={"body_idle_seconds": 0.3}
    )
    wire = entry.connect()
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    wire.send(entry.head("GET", POD))
    entry.until(lambda: not entry.running.edge.connections, 3)


# repeated header blocks


def test_a_repeated_header_block_is_judged_by_its_own_path(entry: Door) -> None:
    wire, head = entry.connect(), entry.head("GET", POD)
    wire.send(head)
    assert wire.answer().status == 200
    wire.send(head.replace(b"/k8s/team-a/", b"/k8s/team-b/"))
    assert wire.answer().status == 403
    wire.send(head.replace(b"/pods/web", b"/pods/../x"))
    assert wire.answer().status == 400


# bodies


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_body_arrives_whole_and_so_does_what_follows_it(make_door: Maker, size: int, *, is_chunked: bool) -> None:
    bodies = []

    def script(wire: Wire) -> None:
        while head := wire.until(b"\r\n\r\n"):
            bodies.append(wire._chunks() if b"chunked" in head else wire.exactly(size if b"POST" in head else 0))
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
    assert [one == other for one, other in zip(bodies, [body, b""], strict=True)] == [True, True]


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


@pytest.mark.parametrize("listen", [None, TLS], ids=["plain", "TLS"])
def test_a_client_that_is_still_sending_sees_the_early_refusal(make_door: Maker, listen: dict | None) -> None:
    entry = make_door(**({"listen": listen} if listen else {}))
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 80000000", roles=()))
    wire.send(b"x" * 200_000)
    time.sleep(0.05)
    assert wire.answer().status == 403


def test_a_refused_body_that_goes_on_for_ever_is_cut(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 80000000", roles=()))
    with pytest.raises(ConnectionError):
        wire.send(b"x" * 70_000_000)
    assert entry.upstream.taken() == []


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


def test_a_body_that_breaks_off_takes_its_request_with_it(make_door: Maker) -> None:
    ended = []
    entry = make_door(lambda wire: (wire.until(b"\r\n\r\n"), ended.append(wire.rest())))
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 100") + b"half")
    time.sleep(0.05)
    wire.sock.close()
    entry.until(lambda: ended, 1)
    assert ended == [b"half"]


# time limits


def test_a_stalled_head_a_stalled_body_and_an_idle_connection_are_ended(make_door: Maker) -> None:
    entry = make_door(timeouts={"header_seconds": 0.4, "body_idle_seconds": 0.4, "idle_seconds": 0.4})
    wires = [entry.connect() for _ in range(4)]
    begin = time.monotonic()
    wires[0].send(b"GET /k8s/a HTT")
    wires[1].send(entry.head("POST", POD, "Content-Length: 10") + b"abc")
    wires[2].send(entry.head("GET", POD))
    for wire, status in zip(wires, [408, 408, 200], strict=False):
        answer = wire.answer()
        assert answer.status == status
        assert status == 200 or answer.json()["reason"] == "Timeout"
    assert all(wire.is_ended() for wire in wires)
    assert time.monotonic() - begin < 2.5


def test_a_head_that_trickles_has_no_more_time_than_one_that_stalls(make_door: Maker) -> None:
    entry = make_door(timeouts={"header_seconds": 0.4})
    wire, begin = entry.connect(), time.monotonic()
    wire.sock.settimeout(0.05)
    with pytest.raises(ConnectionError):  # noqa: PT012 (sends until it is refused)
        while time.monotonic() - begin < 5:
            wire.send(b"X")
            with contextlib.suppress(TimeoutError):
                if wire.sock.recv(1000) == b"":
                    raise ConnectionResetError
    assert time.monotonic() - begin < 3.5


def test_an_upstream_that_stops_taking_the_body_is_to_blame_for_it(make_door: Maker) -> None:
    release = []

    def script(wire: Wire) -> None:
        wire.until(b"\r\n\r\n")
        while not release:
            time.sleep(0.01)

    entry = make_door(script, timeouts={"body_idle_seconds": 0.4})
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 90000000"))
    wire.sock.settimeout(0.2)
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _ in range(900):
            wire.send(b"x" * 100_000)
    wire.sock.settimeout(5)
    answer = wire.answer()
    release.append(1)
    assert (answer.status, answer.json()["message"]) == (504, "the upstream stopped taking the request's body")


# ends


def test_a_client_that_leaves_takes_its_request_with_it(make_door: Maker) -> None:
    ended: list[float] = []

    def script(wire: Wire) -> None:
        wire.request()
        wire.rest()
        ended.append(time.monotonic())

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    entry.until(entry.upstream.requests.qsize)
    left = time.monotonic()
    wire.sock.close()
    entry.until(lambda: ended)
    assert ended[0] - left < 1
    (line,) = entry.audit_lines(1)
    assert (line["status"], line["reason"], line["decision"]) == (None, "the client ended the request", "allow")


def test_a_client_that_ends_its_side_still_gets_its_answers(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", POD) * 3)
    wire.sock.shutdown(socket.SHUT_WR)
    assert [wire.answer().body for _ in range(3)] == [b"ok"] * 3
    assert wire.is_ended()


@pytest.mark.parametrize("first", [POD, "/nowhere"])
def test_a_client_that_has_left_keeps_no_stream_that_it_asked_for_before(make_door: Maker, first: str) -> None:
    """Its end of connection came while another request was being answered, and is not told twice."""

    def script(wire: Wire) -> None:
        if b"watch=1" in wire.request():
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            wire.rest()
        else:
            time.sleep(0.1)
            wire.send(OK)

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", first) + entry.head("GET", WATCH))
    wire.sock.shutdown(socket.SHUT_WR)
    entry.until(lambda: not entry.running.edge.connections, 3)
    entry.until(lambda: entry.upstream.serving == sum(pool.idle for pool in entry.running.edge.site.pools.values()))


@pytest.mark.parametrize(("version", "lines"), [("1.1", ("Connection: close",)), ("1.0", ())])
def test_a_client_that_wants_no_more_is_told_so_and_closed(entry: Door, version: str, lines: tuple[str, ...]) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", POD, *lines).replace(b"HTTP/1.1", b"HTTP/" + version.encode()))
    answer = wire.answer()
    assert (answer.status, answer["connection"]) == (200, "close")
    assert wire.is_ended()


def test_http_1_0_may_keep_its_connection(entry: Door) -> None:
    wire = entry.connect()
    for _ in range(2):
        wire.send(entry.head("GET", POD, "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = wire.answer()
        assert (answer.body, answer["connection"]) == (b"ok", "keep-alive")

"""One request to an upstream and its answer back: what is tried again, what is waited for, and who may switch protocols."""

import base64
import time
from collections.abc import Callable

import pytest
from edge_door import POD, TLS, Answer, Door, Wire, answering

Maker = Callable[..., Door]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WATCH = "/k8s/team-a/prod/api/v1/pods?watch=1"
EXEC = f"{POD}/exec?command=sh&stdin=true"
LIVE = "/sl/team-a/prod/grafana/api/live/ws"


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


# trying again


def once_then_hang_up(wire: Wire) -> None:
    """Answer the first request of a connection; end it on the second without an answer."""
    wire.request()
    wire.send(OK)
    wire.request()


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 200), ("HEAD", 200), ("OPTIONS", 200), ("PUT", 200), ("DELETE", 200), ("POST", 502), ("PATCH", 502)],
)
def test_only_an_idempotent_request_is_tried_again(make_door: Maker, method: str, status: int) -> None:
    entry = make_door(once_then_hang_up)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.answer().status == 200
    wire.send(entry.head(method, POD))
    assert wire.until(b"\r\n\r\n").split(b" ")[1] == b"%d" % status
    assert entry.upstream.connections == (2 if status == 200 else 1)


def test_it_is_tried_again_once(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        if wire.request() and not served:
            served.append(1)
            wire.send(OK)
            wire.request()

    served: list[int] = []
    entry = make_door(script)
    wire = entry.connect()
    for status in (200, 502):
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == status
    assert len(entry.upstream.taken()) == 3


def test_nothing_is_tried_again_on_a_first_connection(make_door: Maker) -> None:
    entry = make_door(lambda wire: wire.request())
    assert entry.ask("GET", POD).status == 502
    assert len(entry.upstream.taken()) == 1


@pytest.mark.parametrize("begin", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"])
def test_nothing_is_tried_again_after_a_byte_of_an_answer(make_door: Maker, begin: bytes) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        wire.request()
        wire.send(begin)

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.answer().status == 200
    wire.send(entry.head("GET", POD))
    answer = wire.answer()
    assert (wire.answer() if answer.status == 102 else answer).status == 502
    assert entry.upstream.connections == 1


def test_a_body_that_was_begun_is_not_sent_again(make_door: Maker) -> None:
    entry = make_door(once_then_hang_up)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.answer().status == 200
    wire.send(entry.head("PUT", POD, "Content-Length: 2") + b"ab")
    assert wire.answer().status == 502
    assert sum(b"PUT" in request for request in entry.upstream.taken()) == 1


def test_a_long_running_request_never_takes_a_connection_that_was_used(make_door: Maker) -> None:
    entry = make_door()
    wire = entry.connect()
    for target in (POD, WATCH, POD, f"{POD}/log?follow=true"):
        wire.send(entry.head("GET", target))
        assert wire.answer().status == 200
    assert entry.upstream.connections == 3


# bodies and early answers


def test_an_answer_that_comes_before_the_body_ended_ends_the_connection(make_door: Maker) -> None:
    entry = make_door(
        lambda wire: (wire.until(b"\r\n\r\n"), wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"), wire.rest())
    )
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 1000") + b"begin")
    answer = wire.answer()
    assert (answer.status, answer.body, answer["connection"]) == (413, b"big", "close")
    assert wire.is_ended()
    assert entry.running.edge.site.pools["k8s/team-a/prod"].idle == 0


def test_a_body_that_comes_while_the_upstream_is_dialled_is_held(make_door: Maker) -> None:
    entry = make_door()
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Content-Length: 300000") + b"x" * 300_000)
    assert wire.answer().status == 200
    (request,) = entry.upstream.taken()
    assert request.endswith(b"\r\n\r\n" + b"x" * 300_000)


def test_a_body_that_comes_while_the_token_is_looked_at_is_held(make_door: Maker) -> None:
    """The key is not known: its issuer is asked, and meanwhile the body arrives."""
    entry = make_door()
    head = entry.head("POST", POD, "Content-Length: 300000", token=entry.issuer.token(kid="two"))
    wire = entry.connect()
    wire.send(head + b"x" * 300_000)
    answer = wire.answer()
    assert (answer.status, answer["connection"]) == (401, "close")
    assert entry.upstream.taken() == []


# time


def test_a_silent_upstream_is_504(make_door: Maker) -> None:
    entry = make_door(lambda wire: (wire.request(), wire.rest()), timeouts={"response_seconds": 0.4})
    begin = time.monotonic()
    answer = entry.ask("GET", POD)
    assert (answer.status, answer.json()["reason"]) == (504, "Timeout")
    assert time.monotonic() - begin < 2
    entry.until(lambda: entry.running.edge.site.pools["k8s/team-a/prod"].active == 0)


def test_an_answer_that_stops_is_cut(make_door: Maker) -> None:
    entry = make_door(
        lambda wire: (wire.request(), wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), wire.rest()),
        timeouts={"body_idle_seconds": 0.4},
    )
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    wire.until(b"half")
    assert wire.is_reset()
    (line,) = entry.audit_lines(1)
    assert (line["status"], line["reason"]) == (200, "the answer stopped")


def test_an_answer_that_moves_may_take_its_time(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            time.sleep(0.15)
            wire.send(b"x")

    entry = make_door(script, timeouts={"body_idle_seconds": 0.4, "response_seconds": 0.4})
    assert entry.ask("GET", POD).body == b"xxxxxxxx"


def test_a_watch_has_no_time_limit_of_a_plain_request(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        time.sleep(0.6)
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        time.sleep(0.6)
        wire.send(b"2\r\nok\r\n0\r\n\r\n")

    entry = make_door(script, timeouts={"response_seconds": 0.2, "body_idle_seconds": 0.2, "idle_seconds": 0.2})
    wire = entry.connect()
    wire.send(entry.head("GET", WATCH))
    assert wire.answer().body == b"ok"


def test_a_watch_flows_and_ends_in_a_clean_chunk(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            wire.send(b"2\r\n%d\n\r\n" % number)
            time.sleep(0.03)
        wire.send(b"0\r\n\r\n")

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", WATCH))
    wire.until(b"\r\n\r\n")
    assert wire.until(b"0\n\r\n") == b"2\r\n0\n\r\n"
    assert wire.until(b"0\r\n\r\n").endswith(b"2\n\r\n0\r\n\r\n")
    wire.send(entry.head("GET", POD))
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def watched(wire: Wire) -> None:
    """Answer a watch with one event and then silence."""
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    wire.rest()


def test_a_stream_has_a_longest_life(make_door: Maker) -> None:
    entry = make_door(watched, timeouts={"stream_hours": 0.5 / 3600})
    wire, begin = entry.connect(), time.monotonic()
    wire.send(entry.head("GET", WATCH))
    assert wire.rest().endswith(b"2\r\nok\r\n0\r\n\r\n")
    assert 0.4 < time.monotonic() - begin < 2


def test_a_stream_outlives_its_token_unless_it_is_told_to_follow_it(make_door: Maker) -> None:
    wires = {}
    for follows in (True, False):
        entry = make_door(
            watched,
            issuers=[{"issuer": "https://issuer.example", "audiences": ["k8s"], "jwks_file": "jwks.json", "leeway_seconds": 0}],
            timeouts={"stream_follows_token": follows},
        )
        wires[follows] = wire = entry.connect()
        wire.send(entry.head("GET", WATCH, token=entry.issuer.token(exp=int(time.time()) + 2)))
        wire.until(b"ok\r\n")
    begin = time.monotonic()
    assert wires[True].rest() == b"0\r\n\r\n"
    assert time.monotonic() - begin < 3
    wires[False].sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        wires[False].more()


@pytest.mark.parametrize("listen", [None, TLS], ids=["plain", "TLS"])
def test_a_slow_reader_holds_its_upstream_back(make_door: Maker, listen: dict | None) -> None:
    sent, size = [0], 40_000_000

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            wire.send(b"z" * 100_000)
            sent[0] += 100_000

    entry = make_door(script, **({"listen": listen} if listen else {}))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    time.sleep(0.5)
    assert 0 < sent[0] < 25_000_000
    wire.until(b"\r\n\r\n")
    assert len(wire.exactly(size)) == size


# switching protocols


def switching(
    protocol: bytes, *, status: bytes = b"101 Switching Protocols", connection: bytes = b"Upgrade"
) -> Callable[[Wire], None]:
    """Make a script that switches to `protocol` and echoes once."""

    def script(wire: Wire) -> None:
        wire.request()
        upgrade = b"Upgrade: " + protocol + b"\r\n" if protocol else b""
        wire.send(b"HTTP/1.1 " + status + b"\r\nConnection: " + connection + b"\r\n" + upgrade + b"X-Kept: 1\r\n\r\n")
        while wire.more():
            wire.send(wire.buffer)
            wire.buffer = b""

    return script


def shaken_hands(entry: Door, head: bytes) -> tuple[Wire, Answer]:
    wire = entry.connect()
    wire.send(head)
    return wire, wire.answer()


@pytest.mark.parametrize(
    ("target", "asked", "granted", "method"),
    [
        (EXEC, "websocket", b"websocket", "GET"),
        (EXEC, "WebSocket", b"WEBSOCKET", "GET"),
        (EXEC, "SPDY/3.1", b"SPDY/3.1", "POST"),
        (f"{POD}/attach", "spdy/3.1", b"SPDY/3.1", "GET"),
        (f"{POD}/portforward", "SPDY/3.1", b"SPDY/3.1", "POST"),
        (f"{POD}/proxy/x", "SPDY/3.1", b"SPDY/3.1", "GET"),
        ("/kaas/api/v1/namespaces/team-a/pods/web/exec", "websocket", b"websocket", "GET"),
        (LIVE, "websocket", b"websocket", "GET"),
    ],
)
def test_a_switch_to_the_protocol_that_was_asked_for(
    make_door: Maker, target: str, asked: str, granted: bytes, method: str
) -> None:
    entry = make_door(switching(granted))
    roles = ["m:kaas@management-admin", "m:kaas@writer"]
    wire, answer = shaken_hands(entry, entry.upgrade(target, asked, "Content-Length: 0", method=method, roles=roles))
    assert (answer.status, answer["upgrade"], answer["connection"]) == (101, granted.decode(), "Upgrade")
    assert (answer["x-kept"], answer["content-length"]) == ("1", None)
    wire.send(b"\x00bytes\xff")
    assert wire.exactly(7) == b"\x00bytes\xff"
    (request,) = entry.upstream.taken()
    expected = b"SPDY/3.1" if asked.lower() == "spdy/3.1" else b"websocket"
    assert b"\r\nConnection: Upgrade\r\nUpgrade: " + expected + b"\r\nContent-Length: 0\r\n" in request


@pytest.mark.parametrize(
    ("asked", "script"),
    [
        ("websocket", switching(b"SPDY/3.1")),
        ("websocket", switching(b"h2c")),
        ("websocket", switching(b"websocket, h2c")),
        ("SPDY/3.1", switching(b"websocket")),
        ("websocket", switching(b"")),
        ("websocket", switching(b"", connection=b"close")),
        ("h2c", switching(b"h2c")),
    ],
)
def test_a_switch_to_any_other_is_502_and_the_end(make_door: Maker, asked: str, script: Callable[[Wire], None]) -> None:
    entry = make_door(script)
    wire, answer = shaken_hands(entry, entry.upgrade(EXEC, asked) + b"early bytes")
    assert (answer.status, answer["connection"]) == (502, "close")
    assert wire.is_ended()
    assert b"early" not in b"".join(entry.upstream.taken())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 2\r\n\r\nno",
    ],
)
@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
@pytest.mark.parametrize("when", ["before", "behind"])
def test_what_follows_a_refused_upgrade_reaches_nobody(make_door: Maker, answer: bytes, protocol: str, when: str) -> None:
    """CVE-2018-1002105: the connection stayed open as a tunnel that nobody had judged."""
    entry = make_door(answering(answer, OK))
    smuggled = entry.head("GET", f"{POD}-smuggled")
    wire = entry.connect()
    wire.send(entry.upgrade(EXEC, protocol) + (smuggled if when == "before" else b""))
    found = wire.answer()
    assert (found.status, found.body, found["connection"]) == (int(answer[9:12]), b"no", "close")
    assert found["upgrade"] is None
    if when == "behind":
        wire.send(smuggled)
    assert wire.is_ended()
    assert not any(b"smuggled" in request for request in entry.upstream.taken())
    assert entry.upstream.connections == 1


@pytest.mark.parametrize(
    ("target", "protocol"),
    [
        (POD, "h2c"),
        (POD, "TLS/1.0"),
        (POD, "SPDY/3.1"),
        (LIVE, "SPDY/3.1"),
        (EXEC, "tcp"),
        (EXEC, "spdy/3"),
    ],
)
def test_an_upgrade_that_is_not_permitted_is_an_ordinary_request(entry: Door, target: str, protocol: str) -> None:
    lines = ("HTTP2-Settings: AAMAAABkAAQAAP__",)
    wire, answer = shaken_hands(entry, entry.upgrade(target, protocol, *lines, method="POST"))
    assert (answer.status, answer.body, answer["upgrade"]) == (200, b"ok", None)
    (request,) = entry.upstream.taken()
    assert not {b"upgrade", b"http2-settings", b"connection"} & {line.split(b":")[0].lower() for line in request.split(b"\r\n")}
    wire.send(entry.head("GET", "/k8s/team-b/prod/api/v1/pods"))
    assert wire.answer().status == 403
    assert entry.upstream.taken() == []


def test_the_second_request_behind_an_ordinary_one_is_judged_even_when_it_came_along(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.upgrade(POD, "h2c") + entry.head("GET", "/k8s/team-b/prod/api/v1/pods"))
    assert [wire.answer().status, wire.answer().status] == [200, 403]
    assert len(entry.upstream.taken()) == 1


def test_a_connection_option_of_several_lines_asks_for_an_upgrade_too(make_door: Maker) -> None:
    entry = make_door(switching(b"websocket"))
    head = entry.head("GET", EXEC, "Connection: keep-alive", "Upgrade: websocket", "Connection: X-Other , uPgRaDe")
    assert shaken_hands(entry, head)[1].status == 101


def test_a_token_among_the_sub_protocols_opens_and_goes_no_further(make_door: Maker) -> None:
    entry = make_door(switching(b"websocket"))
    token = base64.urlsafe_b64encode(entry.issuer.token().encode()).decode().rstrip("=")
    offered = f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token},v4.channel.k8s.io"
    _, answer = shaken_hands(entry, entry.upgrade(EXEC, "websocket", f"Sec-WebSocket-Protocol: {offered}", token=None))
    assert answer.status == 101
    (request,) = entry.upstream.taken()
    assert b"\r\nSec-WebSocket-Protocol: v5.channel.k8s.io,v4.channel.k8s.io\r\n" in request
    assert token.encode() not in request


def test_exec_needs_the_right_to_write_whatever_its_method(entry: Door) -> None:
    """A reader may get the pod, and might get what it does not know to be a write."""
    target = "/kaas/apis/kaas.mirantis.com/v1alpha1/namespaces/team-a/machines/web"
    reader = ["m:kaas:team-a@reader"]
    assert entry.ask("GET", target, roles=reader).status == 200
    entry.upstream.taken()
    for protocol, method in (("websocket", "GET"), ("SPDY/3.1", "GET"), ("SPDY/3.1", "POST")):
        wire, answer = shaken_hands(entry, entry.upgrade(f"{target}/exec", protocol, method=method, roles=reader))
        assert answer.status == 403
        wire.sock.close()
    assert entry.upstream.taken() == []


def test_a_stream_leaves_a_line_at_its_start_and_at_its_end(make_door: Maker) -> None:
    entry = make_door(switching(b"websocket"))
    wire, _ = shaken_hands(entry, entry.upgrade(EXEC, "websocket"))
    (start,) = entry.audit_lines(1)
    assert (start["stage"], start["status"], start["verb"], start["decision"]) == ("start", None, "get", "allow")
    assert (start["duration_ms"], start["bytes_in"], start["path"]) == (None, 0, EXEC.partition("?")[0])
    wire.send(b"12345")
    wire.exactly(5)
    wire.sock.close()
    _, end = entry.audit_lines(2)
    assert (end["stage"], end["status"], end["bytes_in"], end["bytes_out"]) == ("end", 101, 5, 5)
    assert end["request_id"] == start["request_id"]
    assert end["duration_ms"] > 0

"""Upgraded connections as transcripts: opaque bytes both ways, who ends which direction, and what waits for whom."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import pytest
from edge_door import TLS, Door, Wire

Maker = Callable[..., Door]
EXEC = "/k8s/team-a/prod/api/v1/namespaces/default/pods/web/exec?command=sh"
LIVE = "/sl/team-a/prod/grafana/api/live/ws"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def scripted(then: Callable[[Wire], None]) -> Callable[[Wire], None]:
    """Make a script that switches to WebSocket, then goes on."""

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(SWITCH)
        then(wire)

    return script


def echo(wire: Wire) -> None:
    """Send everything back until the other side ends, then end."""
    while wire.more():
        wire.send(wire.buffer)
        wire.buffer = b""


def opened(entry: Door, target: str = EXEC) -> Wire:
    """Open a tunnel."""
    wire = entry.connect()
    wire.send(entry.upgrade(target, "websocket"))
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    return wire


def is_over(entry: Door) -> bool:
    """Whether nothing of any tunnel is left in the proxy."""
    edge = entry.running.edge
    return not edge.connections and not edge.counters.in_flight and not any(edge.counters.streams.values())


@pytest.fixture(params=["plain", "TLS"])
def echoing(request: pytest.FixtureRequest, make_door: Maker) -> Door:
    return make_door(scripted(echo), **({"listen": TLS} if request.param == "TLS" else {}))


def test_bytes_go_both_ways_unchanged(echoing: Door) -> None:
    wire = opened(echoing)
    for message in (b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256))):
        wire.send(message)
        assert wire.exactly(len(message)) == message


def test_a_megabyte_each_way(echoing: Door) -> None:
    wire, piece = opened(echoing), bytes(range(250)) * 300
    for _ in range(14):
        wire.send(piece)
    assert [wire.exactly(len(piece)) == piece for _ in range(14)] == [True] * 14
    wire.sock.close()
    echoing.until(lambda: is_over(echoing))
    (line,) = [line for line in echoing.audit_lines(2) if line["stage"] == "end"]
    assert (line["status"], line["bytes_in"], line["bytes_out"]) == (101, 14 * len(piece), 14 * len(piece))


def test_early_bytes_are_held_until_the_switch(make_door: Maker) -> None:
    seen: list[bytes] = []

    def script(wire: Wire) -> None:
        wire.request()
        wire.sock.settimeout(0.15)
        with contextlib.suppress(TimeoutError):
            seen.append(wire.sock.recv(100))
        wire.sock.settimeout(5)
        wire.send(SWITCH + b"welcome")
        seen.append(wire.exactly(5))

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.upgrade(EXEC, "websocket") + b"ear")
    wire.send(b"ly")
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    assert wire.exactly(7) == b"welcome"
    entry.until(lambda: seen)
    assert seen == [b"early"]


def test_the_end_of_the_clients_side_is_passed_on_and_the_answer_still_comes(make_door: Maker) -> None:
    received: list[bytes] = []

    def tail(wire: Wire) -> None:
        received.append(wire.rest())
        wire.send(b"the answer to all of it")

    entry = make_door(scripted(tail))
    wire = opened(entry)
    wire.send(b"standard input")
    wire.sock.shutdown(socket.SHUT_WR)
    assert wire.rest() == b"the answer to all of it"
    assert received == [b"standard input"]
    entry.until(lambda: is_over(entry))


def test_the_end_of_the_upstreams_side_is_passed_on_and_it_still_receives(make_door: Maker) -> None:
    received: list[bytes] = []

    def head(wire: Wire) -> None:
        wire.send(b"all there is")
        wire.sock.shutdown(socket.SHUT_WR)
        received.append(wire.rest())

    entry = make_door(scripted(head))
    wire = opened(entry)
    assert wire.rest() == b"all there is"
    wire.send(b"thank you")
    wire.sock.shutdown(socket.SHUT_WR)
    entry.until(lambda: received)
    assert received == [b"thank you"]
    entry.until(lambda: is_over(entry))


def test_an_end_that_came_before_the_switch_is_passed_on(make_door: Maker) -> None:
    received: list[bytes] = []

    def script(wire: Wire) -> None:
        wire.request()
        time.sleep(0.1)
        wire.send(SWITCH)
        received.append(wire.rest())
        wire.send(b"done")

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.upgrade(EXEC, "websocket") + b"all")
    wire.sock.shutdown(socket.SHUT_WR)
    wire.until(b"\r\n\r\n")
    assert wire.rest() == b"done"
    assert received == [b"all"]
    entry.until(lambda: is_over(entry))


def test_over_tls_the_end_of_one_side_ends_both(make_door: Maker) -> None:
    entry = make_door(scripted(lambda wire: wire.send(b"last words")), listen=TLS)
    wire = opened(entry)
    assert wire.rest() == b"last words"
    assert not wire.was_cut
    wire.sock.close()
    entry.until(lambda: is_over(entry))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_ends_both(make_door: Maker, how: str) -> None:
    ended: list[bytes] = []
    entry = make_door(scripted(lambda wire: ended.append(wire.rest())))
    wire = opened(entry)
    (wire.reset if how == "reset" else wire.sock.close)()
    entry.until(lambda: ended and is_over(entry), 1)
    start, end = entry.audit_lines(2)
    assert (start["stage"], end["stage"], end["status"]) == ("start", "end", 101)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_upstream_that_leaves_ends_both(make_door: Maker, how: str) -> None:
    entry = make_door(scripted(lambda wire: wire.reset() if how == "reset" else wire.sock.close()))
    wire = opened(entry)
    assert wire.is_ended()
    wire.sock.close()
    entry.until(lambda: is_over(entry), 1)


@pytest.mark.parametrize("direction", ["to the upstream", "to the client"])
def test_a_side_that_does_not_read_holds_the_other_back(make_door: Maker, direction: str) -> None:
    release, sent, size = threading.Event(), [0], 30_000_000

    def pump(wire: Wire) -> None:
        wire.sock.settimeout(20)
        for _ in range(size // 100_000):
            wire.send(b"z" * 100_000)
            sent[0] += 100_000

    def wait(wire: Wire) -> bytes:
        assert release.wait(10)
        return wire.exactly(size)

    received: list[int] = []
    is_up = direction == "to the upstream"
    entry = make_door(scripted((lambda wire: received.append(len(wait(wire)))) if is_up else pump))
    wire = opened(entry)
    if is_up:
        sender = threading.Thread(target=pump, args=(wire,))
        sender.start()
    time.sleep(0.4)
    assert 0 < sent[0] < size
    release.set()
    if is_up:
        sender.join()
    else:
        received.append(len(wire.exactly(size)))
    entry.until(lambda: received == [size])


def test_early_bytes_hold_the_client_back_too(make_door: Maker) -> None:
    """More than the high-water mark before the switch, and an upstream that does not read after it."""
    release, sent, size = threading.Event(), [0], 30_000_000

    def script(wire: Wire) -> None:
        wire.request()
        time.sleep(0.2)
        wire.send(SWITCH)
        release.wait(10)

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.upgrade(EXEC, "websocket"))

    def pump() -> None:
        with contextlib.suppress(OSError):
            for _ in range(size // 100_000):
                wire.send(b"z" * 100_000)
                sent[0] += 100_000

    sender = threading.Thread(target=pump)
    sender.start()
    time.sleep(0.8)
    assert 0 < sent[0] < size
    wire.sock.shutdown(socket.SHUT_RDWR)
    release.set()
    sender.join()


def test_a_live_connection_of_an_application_is_a_tunnel_too(make_door: Maker) -> None:
    entry = make_door(scripted(echo))
    wire = opened(entry, LIVE)
    wire.send(b"frame")
    assert wire.exactly(5) == b"frame"
    (request,) = entry.upstream.taken()
    assert request.startswith(b"GET /api/live/ws HTTP/1.1\r\n")
    assert b"\r\nX-WEBAUTH-USER: ann\r\n" in request
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in request

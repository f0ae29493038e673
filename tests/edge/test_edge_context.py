"""What all connections share: room for them, the sweep, the log, the drain."""

import contextlib
import os
import resource
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from edge_door import POD, Door, Wire

Maker = Callable[..., Door]


@contextlib.contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Leave so many descriptors beside those that the proxy spares."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 64 + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_that_would_take_the_last_descriptors_is_closed_at_once(make_door: Maker) -> None:
    with few_descriptors(left=80):
        entry = make_door()
        wires = [entry.connect() for _ in range(45)]
        assert wires[0].sock.send(entry.head("GET", POD))
        assert wires[0].answer().status == 200
        assert wires[-1].is_ended()
        turned_away = entry.running.edge.counters.turned_away
        assert set(turned_away) == {"descriptors"}
        assert entry.running.edge.counters.connections == 45 - turned_away["descriptors"] == len(entry.running.edge.connections)
        with urllib.request.urlopen(f"{entry.admin_url}/metrics", timeout=5) as answer:
            count = f'mosk_proxy_connections_refused_total{{cause="descriptors"}} {turned_away["descriptors"]}.0'
            assert count in answer.read().decode()
        entry.hang_up()
        entry.until(lambda: not entry.running.edge.connections)
        assert entry.ask("GET", POD).status == 200


def test_a_connection_beyond_the_limit_is_closed_at_once(make_door: Maker) -> None:
    entry = make_door(limits={"connections": 2})
    first, second = entry.connect(), entry.connect()
    for wire in (first, second):
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == 200
    assert entry.connect().is_ended()
    assert entry.running.edge.counters.turned_away == {"limits.connections": 1}
    second.sock.shutdown(socket.SHUT_RDWR)
    entry.until(lambda: len(entry.running.edge.connections) == 1)
    assert entry.ask("GET", POD).status == 200


# draining

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
WATCH = "/k8s/team-a/prod/api/v1/pods?watch=1"
EXEC = f"{POD}/exec?command=sh"


def streaming(wire: Wire) -> None:
    """Answer a watch with one event and silence, an upgrade with a flood, anything else after a while."""
    request = wire.request()
    if b"/silent" in request:
        wire.rest()
    elif b"watch=1" in request:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        wire.rest()
    elif b"Upgrade: websocket" in request:
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        wire.send(b"z" * 30_000_000)
    else:
        time.sleep(0.4)
        wire.send(OK)


def drain(entry: Door, delay: float, seconds: float) -> None:
    edge = entry.running.edge
    entry.call(lambda: edge.tasks.start(edge.drain(delay, seconds), "drain"))


def watching(entry: Door) -> Wire:
    wire = entry.connect()
    wire.send(entry.head("GET", WATCH))
    wire.until(b"ok\r\n")
    return wire


def test_a_drain_finishes_what_is_short_and_ends_streams_cleanly(make_door: Maker) -> None:
    entry = make_door(streaming)
    idle, short, watch = entry.connect(), entry.connect(), watching(entry)
    short.send(entry.head("GET", POD))
    entry.until(lambda: entry.running.edge.counters.in_flight == 2)
    drain(entry, 0, 5)
    assert idle.is_ended()
    assert watch.rest() == b"0\r\n\r\n"
    answer = short.answer()
    assert (answer.body, answer["connection"]) == (b"done", None)
    assert short.is_ended()
    assert [line["status"] for line in entry.audit_lines(3) if line["stage"] == "end"] == [200, 200]


def test_a_request_during_a_drain_is_503_and_told_to_come_back(make_door: Maker) -> None:
    entry = make_door(streaming)
    watches = [watching(entry) for _ in range(8)]
    kept = entry.connect()
    kept.send(entry.head("GET", POD)[:-2])
    drain(entry, 0, 2)
    entry.until(lambda: entry.running.edge.is_draining)
    kept.send(b"\r\n")
    for wire in (kept, entry.connect()):
        if wire is not kept:
            wire.send(entry.head("GET", "/"))
        answer = wire.answer()
        assert (answer.status, answer["retry-after"], answer["connection"]) == (503, "1", "close")
        assert wire.is_ended()
    assert {line["reason"] for line in entry.audit_lines(10) if line["status"] == 503} == {"the proxy is shutting down"}
    assert [watch.rest() for watch in watches] == [b"0\r\n\r\n"] * 8


def test_streams_end_spread_over_the_time_and_before_it_is_over(make_door: Maker) -> None:
    entry = make_door(streaming)
    watches = [watching(entry) for _ in range(8)]
    ended: list[float] = []
    begin = time.monotonic()
    drain(entry, 0, 1)
    for watch in watches:
        threading.Thread(target=lambda wire: (wire.rest(), ended.append(time.monotonic() - begin)), args=(watch,)).start()
    entry.until(lambda: len(ended) == 8)
    assert max(ended) - min(ended) > 0.3
    assert max(ended) < 1


def test_one_stream_that_does_not_end_keeps_no_other_from_its_clean_end(make_door: Maker) -> None:
    entry = make_door(streaming)
    stuck = [entry.connect() for _ in range(6)]
    for wire in stuck:
        wire.send(entry.upgrade(EXEC, "websocket"))
        wire.until(b"\r\n\r\n")
    watches = [watching(entry) for _ in range(6)]
    drain(entry, 0, 1.5)
    assert [watch.rest() for watch in watches] == [b"0\r\n\r\n"] * 6
    entry.until(lambda: not entry.running.edge.connections)


def test_a_stream_that_has_no_answer_yet_is_told_to_come_back(make_door: Maker) -> None:
    entry = make_door(streaming)
    wire = entry.connect()
    wire.send(entry.head("GET", "/k8s/team-a/prod/api/v1/silent?watch=1"))
    entry.until(entry.upstream.requests.qsize)
    drain(entry, 0, 2)
    answer = wire.answer()
    assert (answer.status, answer["retry-after"]) == (503, "1")


def test_a_drain_serves_for_the_delay_and_a_hurry_ends_it(make_door: Maker) -> None:
    entry = make_door(streaming)
    watch = watching(entry)
    drain(entry, 30, 30)
    entry.until(lambda: entry.running.edge.is_leaving)
    assert entry.ask("GET", POD).body == b"done"
    entry.call(entry.running.edge.hurry)
    watch.rest()
    entry.until(lambda: not entry.running.edge.connections)


def test_a_connection_that_says_nothing_does_not_hold_a_drain_up(make_door: Maker) -> None:
    entry = make_door(streaming)
    watches = [watching(entry) for _ in range(4)]
    drain(entry, 0, 20)
    entry.until(lambda: entry.running.edge.is_draining)
    silent, begin = entry.connect(), time.monotonic()
    for watch in watches:
        watch.sock.close()
    assert silent.is_ended()
    assert time.monotonic() - begin < 4
    entry.until(lambda: not entry.running.edge.connections)


# the log


def test_a_flood_of_malformed_requests_is_a_line_a_second(entry: Door, caplog: pytest.LogCaptureFixture) -> None:
    edge = entry.running.edge
    before = sum(edge.counters.malformed.values())
    for count in (60, 1):
        caplog.clear()
        edge._next_log_line = 0.0  # a second has passed
        for _ in range(count):
            wire = entry.connect()
            wire.send(b"GARBAGE\r\n\r\n")
            assert wire.answer().status == 400
    lines = [record.getMessage() for record in caplog.records if record.name == "mosk_proxy.edge"]
    assert lines == ["malformed request from 127.0.0.1: malformed request (and 59 lines not shown)"]
    assert sum(edge.counters.malformed.values()) == before + 61

"""TLS handshakes at the public listener: counted from the accept, bounded in time, ended quietly."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

import pytest
from edge_door import POD, TLS, Door, client_tls

Maker = Callable[..., Door]


def silent(entry: Door) -> socket.socket:
    """Connect and say nothing."""
    return socket.create_connection(("127.0.0.1", entry.port), timeout=5)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_handshakes_under_way_count_as_connections(make_door: Maker) -> None:
    entry = make_door(listen=TLS, limits={"connections": 2})
    edge = entry.running.edge
    with silent(entry) as first, silent(entry) as second:
        entry.until(lambda: len(edge.handshakes) == 2)
        assert edge.counters.connections == 0
        with silent(entry) as third:
            assert third.recv(10) == b""
        assert edge.counters.turned_away == {"limits.connections": 1}
        first.close()
        entry.until(lambda: len(edge.handshakes) == 1)
        wire = entry.connect()
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == 200
        # One that has become a connection still counts, once.
        entry.until(lambda: (len(edge.handshakes), edge.counters.connections) == (1, 1))
        with silent(entry) as third:
            assert third.recv(10) == b""
        # The one that is complete last is not refused for the place that it holds itself.
        with client_tls().wrap_socket(second, server_hostname="entry.example") as tls:
            tls.sendall(entry.head("GET", POD))
            assert tls.recv(12) == b"HTTP/1.1 200"
    assert edge.counters.turned_away == {"limits.connections": 2, "handshake": 1}


def test_a_handshake_has_as_long_as_a_head(make_door: Maker, caplog: pytest.LogCaptureFixture) -> None:
    entry = make_door(listen=TLS, timeouts={"header_seconds": 0.1})
    for said in (b"", b"\x16\x03\x01"):
        with silent(entry) as sock:
            sock.sendall(said)
            assert sock.recv(10) == b""
    entry.until(lambda: not len(entry.running.edge.handshakes))
    assert entry.running.edge.counters.turned_away == {"handshake": 2}
    assert not lines(caplog)


def test_what_is_no_tls_costs_one_line_a_second_and_nothing_else(make_door: Maker, caplog: pytest.LogCaptureFixture) -> None:
    entry = make_door(listen=TLS)
    for _ in range(5):
        with silent(entry) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(100) == b""
    silent(entry).close()
    entry.until(lambda: entry.running.edge.counters.turned_away == {"handshake": 6})
    assert lines(caplog) == ["no TLS handshake with 127.0.0.1: http request"]
    assert not any(record.exc_info for record in caplog.records)
    assert entry.ask("GET", POD).status == 200


def test_a_client_that_does_not_believe_us_is_told_of_by_its_alert(make_door: Maker, caplog: pytest.LogCaptureFixture) -> None:
    entry = make_door(listen=TLS)
    with silent(entry) as sock, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(sock, server_hostname="entry.example")
    entry.until(lambda: entry.running.edge.counters.turned_away == {"handshake": 1})
    assert lines(caplog) == ["no TLS handshake with 127.0.0.1: tlsv1 alert unknown ca"]


def test_the_end_of_the_listener_ends_handshakes(make_door: Maker) -> None:
    entry = make_door(listen=TLS)
    with silent(entry) as sock:
        entry.until(lambda: len(entry.running.edge.handshakes) == 1)
        entry.call(entry.running.edge.close)
        assert sock.recv(10) == b""


def test_a_drain_waits_for_no_handshake(make_door: Maker) -> None:
    entry = make_door(listen=TLS)
    with silent(entry) as sock:
        entry.until(lambda: len(entry.running.edge.handshakes) == 1)
        asyncio.run_coroutine_threadsafe(entry.running.edge.drain(0, 5), entry.loop).result(timeout=1)
        assert sock.recv(10) == b""

"""The public listening socket."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from edge_door import POD, TLS, Door, Wire

from proxy.edge.listener import listening

Maker = Callable[..., Door]


async def test_a_port_that_is_taken_is_told_by_name(entry: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use") as refusal:
            async with listening(entry.running.edge, "127.0.0.1", port, None):
                pass
    assert refusal.value.filename == f"127.0.0.1:{port}"


async def test_an_address_that_is_not_ours_is_told_by_name(entry: Door) -> None:
    with pytest.raises(OSError, match=r"Cannot assign requested address|Can't assign") as refusal:
        async with listening(entry.running.edge, "192.0.2.1", 1, None):
            pass
    assert refusal.value.filename == "192.0.2.1:1"


async def test_leaving_ends_accepting(entry: Door) -> None:
    async with listening(entry.running.edge, "127.0.0.1", 0, None) as port:
        socket.create_connection(("127.0.0.1", port)).close()
        await asyncio.sleep(0.02)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_an_ipv6_client_is_named_without_brackets_and_an_ipv4_one_as_such(make_door: Maker) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    entry = make_door(listen={"address": "::", "port": 1})
    for family, address, shown in ((socket.AF_INET6, "::1", "::1"), (socket.AF_INET, "127.0.0.1", "127.0.0.1")):
        sock = socket.socket(family)
        sock.connect((address, entry.port))
        wire = Wire(sock)
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == 200
        sock.close()
        assert f"\r\nX-Forwarded-For: {shown}\r\n".encode() in entry.upstream.taken()[0]


def test_a_handshake_that_does_not_end_is_ended(make_door: Maker) -> None:
    entry = make_door(listen=TLS, timeouts={"header_seconds": 0.3})
    sock = socket.create_connection(("127.0.0.1", entry.port), timeout=5)
    sock.sendall(b"\x16\x03\x01")
    assert sock.recv(10) == b""
    sock.close()


def test_plain_http_to_a_tls_port_is_ended_without_a_traceback(make_door: Maker, caplog: pytest.LogCaptureFixture) -> None:
    entry = make_door(listen=TLS)
    sock = socket.create_connection(("127.0.0.1", entry.port), timeout=5)
    sock.sendall(entry.head("GET", "/"))
    while sock.recv(1000):
        pass
    sock.close()
    assert entry.ask("GET", "/").status == 200
    assert "Traceback" not in caplog.text

"""The public listening socket."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

import pytest
from edge_door import POD, TLS, Door, Wire

from proxy.edge.listener import bound_socket, listening, sharing_sockets

Maker = Callable[..., Door]


def bind_alone(address: str, port: int) -> None:
    bound_socket(address, port).close()


def bind_two(address: str, port: int) -> None:
    with sharing_sockets(address, port, 2):
        pass


@pytest.mark.parametrize("bind", [bind_alone, bind_two])
def test_a_port_that_is_taken_is_told_by_name(bind: Callable[[str, int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use") as refusal:
            bind("127.0.0.1", port)
    assert refusal.value.filename == f"127.0.0.1:{port}"


@pytest.mark.parametrize("bind", [bind_alone, bind_two])
def test_an_address_that_is_not_ours_is_told_by_name(bind: Callable[[str, int], None]) -> None:
    with pytest.raises(OSError, match=r"Cannot assign requested address|Can't assign") as refusal:
        bind("192.0.2.1", 1)
    assert refusal.value.filename == "192.0.2.1:1"


@pytest.mark.parametrize("bind", [bind_alone, bind_two])
def test_a_port_that_sockets_share_is_taken_for_any_other_process(bind: Callable[[str, int], None]) -> None:
    with sharing_sockets("127.0.0.1", 0, 2) as (first, second):
        port = first.getsockname()[1]
        assert second.getsockname()[1] == port
        with pytest.raises(OSError, match="Address already in use") as refusal:
            bind("127.0.0.1", port)
    assert refusal.value.filename == f"127.0.0.1:{port}"


def test_sockets_that_share_a_port_all_get_connections_before_anybody_accepts() -> None:
    with sharing_sockets("127.0.0.1", 0, 3) as sockets, contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(socket.create_connection(sockets[0].getsockname(), timeout=5))
        accepted = [0, 0, 0]
        for number, sock in enumerate(sockets):
            with contextlib.suppress(BlockingIOError):
                while True:
                    stack.enter_context(sock.accept()[0])
                    accepted[number] += 1
    assert sum(accepted) == 60
    assert min(accepted) > 0


async def test_leaving_ends_accepting(entry: Door) -> None:
    sock = bound_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    async with listening(entry.running.edge, sock, None):
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

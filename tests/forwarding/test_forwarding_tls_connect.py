"""Dialling with TLS."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from edge_door import Door, client_tls, server_tls
from tls_peer import Ours, Peer, on_uvloop, server_context, until

from proxy.forwarding.tls_connect import connect_tls
from proxy.forwarding.tls_transport import BioPair


class Dialled:
    """A listener, and ours on its way to it."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.made: list[Ours] = []
        self.bios = BioPair()
        self.loop = asyncio.get_running_loop()

    def dial(self, server_name: str = "upstream.example", port: int = 0) -> "asyncio.Task[Ours]":
        return self.loop.create_task(
            connect_tls(self.make, "127.0.0.1", port or self.listener.getsockname()[1], client_tls(), server_name, self.bios)
        )

    def make(self) -> Ours:
        self.made.append(Ours(self.bios))
        return self.made[-1]

    async def accept(self) -> socket.socket:
        sock, _ = await asyncio.wait_for(self.loop.sock_accept(self.listener), 5)
        return sock


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Dialled]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        dialled = Dialled(listener)
        yield dialled
        for ours in dialled.made:
            ours.transport.abort()
        await until(lambda: all(ours.told[-1] == "lost" for ours in dialled.made))


@on_uvloop
async def test_a_connection_is_there_when_its_handshake_is_complete() -> None:
    async with listening() as dialled:
        dialling = dialled.dial()
        with await dialled.accept() as sock:
            assert not dialling.done()
            await Peer.on(sock, server_context(), None).shake_hands()
            ours = await dialling
        assert [ours] == dialled.made
        assert ours.told[0] == "made"


@pytest.mark.parametrize(
    ("by", "name", "reason"), [("other", "upstream.example", "verify failed"), ("authority", "a", "mismatch")]
)
@on_uvloop
async def test_a_server_that_is_not_the_one_is_an_error(tmp_path: Path, by: str, name: str, reason: str) -> None:
    async with listening() as dialled:
        dialling = dialled.dial(name)
        with await dialled.accept() as sock:
            with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
                await Peer.on(sock, server_tls(tmp_path, by=by), None).shake_hands()
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                await dialling
        assert not dialled.made


@on_uvloop
async def test_a_server_that_leaves_is_an_error() -> None:
    async with listening() as dialled:
        dialling = dialled.dial()
        (await dialled.accept()).close()
        with pytest.raises(ConnectionResetError):
            await dialling


@on_uvloop
async def test_a_server_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    async with listening() as dialled:
        with pytest.raises(ConnectionRefusedError):
            await dialled.dial(port=port)


@on_uvloop
async def test_a_name_that_is_none_is_an_error() -> None:
    async with listening() as dialled:
        with pytest.raises(ValueError, match="idna"):
            await dialled.dial(".example")


@on_uvloop
async def test_who_waits_no_more_ends_the_connection() -> None:
    async with listening() as dialled:
        dialling = dialled.dial()
        with await dialled.accept() as sock:
            assert await dialled.loop.sock_recv(sock, 10_000)
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling
            assert await asyncio.wait_for(dialled.loop.sock_recv(sock, 10), 5) == b""
        assert not dialled.made


def test_all_pools_of_a_proxy_share_one_pair(entry: Door) -> None:
    pools = entry.running.edge.site.pools.values()
    assert len(pools) > 2
    assert len({id(pool._bios) for pool in pools}) == 1

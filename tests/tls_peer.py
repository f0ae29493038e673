"""Ours and a peer at the two ends of a real connection: ours is the transport under test, the peer can misbehave in any way."""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop
from edge_door import client_tls, server_tls

from proxy.forwarding.tls_transport import BioPair, TlsTransport


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test as the proxy runs: what asyncio's own loop does differently is not what is tested."""

    @functools.wraps(test)
    def run(*arguments, **options) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(test(*arguments, **options), 10))

    return run


@functools.cache
def server_context() -> ssl.SSLContext:
    with TemporaryDirectory() as folder:
        return server_tls(Path(folder))


def assert_empty(bios: BioPair) -> None:
    """Whatever is left in a pair is taken for another connection's; nobody may be told anything before it is gone."""
    assert (bios.incoming.pending, bios.outgoing.pending) == (0, 0)


class Ours(asyncio.Protocol):
    """A protocol that keeps what it is told; `on_data` may act on each piece of data."""

    def __init__(self, bios: BioPair) -> None:
        self.bios = bios
        self.told: list[str] = []
        self.received = b""
        self.pieces: list[int] = []
        self.error: Exception | None = None
        self.on_data: Callable[[], None] | None = None
        self.transport: TlsTransport

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.tell("made")

    def tell(self, what: str) -> None:
        assert_empty(self.bios)
        self.told.append(what)

    def data_received(self, data: bytes) -> None:
        assert_empty(self.bios)
        self.received += data
        self.pieces.append(len(data))
        if self.on_data is not None:
            self.on_data()

    def eof_received(self) -> None:
        self.tell("eof")

    def pause_writing(self) -> None:
        self.tell("pause")

    def resume_writing(self) -> None:
        self.tell("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.tell("lost")
        self.error = exc


class Waiting:
    """Waits for handshakes; `takes_in` says whether they may begin, `make` makes protocols."""

    def __init__(self, bios: BioPair, make: type["Ours"], *, takes_in: bool) -> None:
        self.bios = bios
        self.make = make
        self.takes_in = takes_in
        self.transports: list[TlsTransport] = []
        self.protocols: list[Ours] = []
        self.errors: list[Exception] = []

    def begins(self, transport: TlsTransport) -> bool:
        self.transports.append(transport)
        return self.takes_in

    def completed(self, transport: TlsTransport) -> Ours:
        assert_empty(self.bios)
        self.protocols.append(self.make(self.bios))
        return self.protocols[-1]

    def failed(self, transport: TlsTransport, error: Exception) -> None:
        assert_empty(self.bios)
        self.errors.append(error)


class Peer:
    """The other end: OpenSSL on a pair of its own over a plain socket, moved by hand."""

    def __init__(self, sock: socket.socket, session: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.sock, self.tls, self.incoming, self.outgoing = sock, session, incoming, outgoing
        self.loop = asyncio.get_running_loop()

    @classmethod
    def on(cls, sock: socket.socket, context: ssl.SSLContext, server_name: str | None) -> "Peer":
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_side=server_name is None, server_hostname=server_name)
        return cls(sock, session, incoming, outgoing)

    async def put(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.loop.sock_sendall(self.sock, data)

    async def take(self) -> bool:
        """Receive once; False at the end of the TCP stream."""
        data = await asyncio.wait_for(self.loop.sock_recv(self.sock, 65536), 5)
        self.incoming.write(data)
        return bool(data)

    async def shake_hands(self, *, with_last: bytes = b"", and_end: bool = False) -> None:
        """Complete a handshake; `with_last` is data that goes out in one piece with the last of it, close_notify behind it."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self.put(self.outgoing.read())
                assert await self.take(), "ended within the handshake"
        last = self.outgoing.read() + (self.encrypted(with_last) if with_last else b"")
        await self.put(last + self.close_notify() if and_end else last)

    def encrypted(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    async def send(self, data: bytes) -> None:
        await self.put(self.encrypted(data))

    async def receive(self, size: int) -> bytes:
        """Read so many bytes, or up to a clean end; ssl.SSLEOFError when there is none."""
        pieces: list[bytes] = []
        while size > 0:
            try:
                piece = self.tls.read(min(size, 65536))
            except ssl.SSLWantReadError:
                if not await self.take():
                    raise ssl.SSLEOFError("no close_notify") from None
                continue
            except ssl.SSLZeroReturnError:
                break
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def close_notify(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


class Connections:
    """Makes connections with ours on the server's or the client's side, all on one pair."""

    def __init__(self, side: str, make: type[Ours] = Ours, *, takes_in: bool = True) -> None:
        self.side = side
        self.bios = BioPair()
        self.waiting = Waiting(self.bios, make, takes_in=takes_in)
        self.loop = asyncio.get_running_loop()
        self.sockets: list[socket.socket] = []

    async def raw(self) -> socket.socket:
        """Connect ours to a plain socket; it has begun its handshake if it is the client."""
        ours, theirs = _connected()
        self.sockets.append(theirs)
        theirs.setblocking(False)
        name = None if self.side == "server" else "upstream.example"
        context = server_context() if name is None else client_tls()
        make = functools.partial(TlsTransport, context, self.bios, self.waiting, name)
        if name is None:
            await self.loop.connect_accepted_socket(make, ours)
        else:
            await self.loop.create_connection(make, sock=ours)
        return theirs

    async def peer(self) -> Peer:
        """Connect ours to a peer that has not yet shaken hands."""
        if self.side == "server":
            return Peer.on(await self.raw(), client_tls(), "upstream.example")
        return Peer.on(await self.raw(), server_context(), None)

    async def open(self) -> tuple[Peer, Ours]:
        """Connect, shake hands, and see the first data through: session tickets come before it."""
        peer = await self.peer()
        known = len(self.waiting.protocols)
        await peer.shake_hands(with_last=b"!")
        await until(lambda: len(self.waiting.protocols) > known and self.waiting.protocols[known].received)
        ours = self.waiting.protocols[known]
        ours.received = b""
        ours.pieces.clear()
        return peer, ours


@contextlib.asynccontextmanager
async def connecting(side: str, make: type[Ours] = Ours, *, takes_in: bool = True) -> AsyncIterator[Connections]:
    """Make connections until the context is left; then nothing may be left in the pair that they share."""
    connections = Connections(side, make, takes_in=takes_in)
    try:
        yield connections
    finally:
        for sock in connections.sockets:
            sock.close()
        for transport in connections.waiting.transports:
            transport.abort()
        await until(lambda: all(protocol.told[-1] == "lost" for protocol in connections.waiting.protocols))
    assert_empty(connections.bios)


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    ours.setblocking(False)
    return ours, theirs

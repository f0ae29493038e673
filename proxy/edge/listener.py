"""The public listening sockets, and the TLS context that is reloaded under them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

from proxy.edge.context import Edge
from proxy.forwarding.tls_transport import BioPair, TlsTransport

_BACKLOG: Final = 4096


@asynccontextmanager
async def listening(edge: Edge, sock: socket.socket, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Accept connections for `edge` on a bound socket, which is closed at the end."""
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(_protocols(edge, tls), sock=sock, backlog=_BACKLOG)
    except BaseException:
        sock.close()
        raise
    try:
        yield
    finally:
        server.close()


def _protocols(edge: Edge, tls: ssl.SSLContext | None) -> Callable[[], asyncio.Protocol]:
    """Return what makes the protocol of an accepted connection."""
    if tls is None:
        return edge.connection
    bios = BioPair()
    return lambda: TlsTransport(tls, bios, edge.handshakes)


def bound_socket(address: str, port: int) -> socket.socket:
    """Return a socket bound to `address` and `port` (0: any); raises OSError when they cannot be had."""
    return _bound(address, port, shares=False)


@contextlib.contextmanager
def sharing_sockets(address: str, port: int, count: int) -> Iterator[tuple[socket.socket, ...]]:
    """Yield so many sockets that listen on one port: the kernel gives each its share of the connections (SO_REUSEPORT).

    Raises OSError when they cannot be had, also when another process shares out the same port.
    """
    with contextlib.ExitStack() as stack:
        # The first one does not share until it has the port: otherwise a second proxy would join ours instead of being told.
        first = stack.enter_context(_bound(address, port, shares=False))
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = first.getsockname()[1]
        others = [stack.enter_context(_bound(address, port, shares=True)) for _ in range(count - 1)]
        for sock in (first, *others):
            _listen(sock, address, port)
        yield (first, *others)


def _bound(address: str, port: int, *, shares: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address, port))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _named(error, address, port) from error
    return sock


def _listen(sock: socket.socket, address: str, port: int) -> None:
    try:
        sock.listen(_BACKLOG)
    except OSError as error:
        raise _named(error, address, port) from error


def _named(error: OSError, address: str, port: int) -> OSError:
    return OSError(error.errno, error.strerror, f"{address}:{port}")

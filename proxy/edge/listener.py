"""The public listening socket, and the TLS context that is reloaded under it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from proxy.edge.context import Edge

_BACKLOG: Final = 4096


@asynccontextmanager
async def listening(edge: Edge, address: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Accept connections for `edge`; yields the port bound. Raises OSError when it cannot be had."""
    loop = asyncio.get_running_loop()
    sock = _bound_socket(address, port)
    try:
        server = await loop.create_server(
            edge.connection,
            sock=sock,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=edge.settings.header_seconds if tls is not None else None,
        )
    except BaseException:
        sock.close()
        raise
    try:
        yield sock.getsockname()[1]
    finally:
        server.close()


def _bound_socket(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, error.strerror, f"{address}:{port}") from error
    return sock

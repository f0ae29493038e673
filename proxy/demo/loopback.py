"""Servers on 127.0.0.1 whose port is known before they start."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

ADDRESS = "127.0.0.1"
_SHUTDOWN_SECONDS = 1


def listening_socket(port: int = 0) -> socket.socket:
    """A socket that listens on a port of 127.0.0.1, a free one for 0; raises OSError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def port_of(listener: socket.socket) -> int:
    """The port that a socket listens on."""
    port: int = listener.getsockname()[1]
    return port


def free_port(wanted: int = 0) -> int:
    """A port of 127.0.0.1 on which nothing listens at this moment; raises OSError if `wanted` is given and taken."""
    with listening_socket(wanted) as listener:
        return port_of(listener)


@asynccontextmanager
async def serving(
    application: web.Application, listener: socket.socket, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve an aiohttp application on a listening socket while the context lasts; gives its origin."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listener, ssl_context=ssl_context).start()
        yield f"{'https' if ssl_context else 'http'}://{ADDRESS}:{port_of(listener)}"
    finally:
        await runner.cleanup()
        listener.close()

"""The console on sockets that nobody can dial: each connection is one end of a pair made inside the process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiohttp import web

SHUTDOWN_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 75.0

Dial: TypeAlias = Callable[[], Awaitable[socket.socket]]


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[Dial]:
    """Run an application and yield what connects to it: each call returns a non-blocking stream socket of its own."""
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=KEEP_ALIVE_SECONDS, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    server = runner.server
    assert server is not None  # noqa: S101 (for the type: setup has just made it)

    async def dial() -> socket.socket:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(server, far)
        except BaseException:
            near.close()
            far.close()
            raise
        return near

    try:
        yield dial
    finally:
        await runner.cleanup()

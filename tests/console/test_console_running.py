"""The console at the other end of a pair of sockets, on both event loops."""

import asyncio
import socket

import pytest
import uvloop
from console_site import console, visitor

from proxy.console.running import running

GET = b"GET /console/me HTTP/1.1\r\nHost: console\r\n\r\n"


async def read_answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, await reader.readexactly(length)


async def transcript():
    async with running(console(visitor("m:kaas@reader"))) as dial:
        first, second = await dial(), await dial()
        assert first.family == socket.AF_UNIX
        assert not first.getsockname()
        reader, writer = await asyncio.open_connection(sock=first)
        for _ in range(2):
            writer.write(GET)
            head, body = await read_answer(reader)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"m:kaas@reader" in body
        other, other_writer = await asyncio.open_connection(sock=second)
        other_writer.write(GET)
        assert (await read_answer(other))[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert await asyncio.wait_for(reader.read(), 3) == b""
    writer.close()
    other_writer.close()


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_connections_are_kept_and_end_with_the_console(factory):
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(transcript())

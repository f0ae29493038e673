"""The upstream of large and long answers: downloads, uploads, tunnels and watches.

    python -m bench.stream_upstream

Prints the port it took on 127.0.0.1 and runs until it is ended. What it answers to is in `bench.streams`; `POST /event` sends an event
to all watches, and only the direct way reaches it, since proxies forward nothing but `/api`. Anything else gets 400 and the end.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import uvloop

from bench import streams
from bench.upstream import WRONG, answer_of, body_of
from bench.workload import HEAD_END, WrongAnswer, content_length

WATCH_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
BURST_UP, BURST_DOWN = len(streams.burst(masked=True)), streams.burst(masked=False)
body = lru_cache(maxsize=8)(body_of)


@lru_cache(maxsize=8)
def answer(size: int) -> bytes:
    """A whole answer with a body of so many bytes."""
    return answer_of(body(size))


class StreamUpstream(asyncio.Protocol):
    """One connection; `take` is what is done with the bytes that come now."""

    __slots__ = ("left", "received", "size", "take", "transport", "watches")

    def __init__(self, watches: set["StreamUpstream"]) -> None:
        self.watches = watches
        self.received = b""
        self.left = 0
        self.size = 0
        self.take: Callable[[bytes], None] = self.take_head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, _: Exception | None) -> None:
        self.watches.discard(self)

    def data_received(self, data: bytes) -> None:
        self.take(data)

    def take_head(self, data: bytes) -> None:
        """Bytes of a request head, and perhaps of what follows it."""
        self.received += data
        head, found, rest = self.received.partition(HEAD_END)
        if found:
            self.received = b""
            method, target, _ = head.split(b" ", 2)
            self.begin(method, target, head)
            if rest:
                self.take(rest)

    def begin(self, method: bytes, target: bytes, head: bytes) -> None:
        """Answer a request, or get ready for what follows its head."""
        size = streams.size_of(target)
        if method == b"GET" and size:
            self.transport.write(answer(size))
        elif method == b"PUT" and size:
            self.begin_upload(size, head)
        elif target == streams.WATCH.encode():
            self.watches.add(self)
            self.transport.write(WATCH_HEAD + streams.chunk(streams.event(0)))
        elif target == streams.EXEC.encode():
            self.begin_tunnel(head)
        elif method == b"POST" and target.startswith(b"/event/"):
            self.tell_watches(int(target.removeprefix(b"/event/")))
        else:
            self.refuse()

    def refuse(self) -> None:
        """Nothing that was asked for."""
        self.transport.write(WRONG)
        self.transport.close()
        self.take = self.ignore

    def ignore(self, data: bytes) -> None:
        """The connection is being closed."""

    def begin_upload(self, size: int, head: bytes) -> None:
        """A body of the size that the path names, or nothing."""
        try:
            self.left = content_length(head)
        except WrongAnswer:
            self.left = 0
        if self.left != size:
            self.refuse()
            return
        self.size = size
        self.take = self.take_body

    def take_body(self, data: bytes) -> None:
        """Compare with what must come; answer when all is there."""
        if not body(self.size).startswith(data, self.size - self.left):
            self.refuse()
            return
        self.left -= len(data)
        if not self.left:
            self.take = self.take_head
            self.transport.write(answer(200))

    def begin_tunnel(self, head: bytes) -> None:
        """Switch protocols (RFC 6455 section 4.2.2)."""
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        key = next((value for name, value in fields.items() if name.lower() == b"sec-websocket-key"), b"")
        accept = base64.b64encode(hashlib.sha1(key + WEBSOCKET).digest()).decode()
        self.transport.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {streams.PROTOCOL}\r\n\r\n".encode()
        )
        self.left = BURST_UP
        self.take = self.take_frames

    def take_frames(self, data: bytes) -> None:
        """A burst for each burst."""
        self.left -= len(data)
        while self.left <= 0:
            self.left += BURST_UP
            self.transport.write(BURST_DOWN)

    def tell_watches(self, number: int) -> None:
        """Send an event to all watches, then say to how many."""
        told = streams.chunk(streams.event(number))
        for watch in self.watches:
            watch.transport.write(told)
        count = b"%d" % len(self.watches)
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(count), count))


async def serve() -> None:
    """Listen on a free port of 127.0.0.1, print it, and answer for ever."""
    watches: set[StreamUpstream] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: StreamUpstream(watches), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())

"""The standard streams over WebSocket: each binary message begins with the number of its channel.

Channels: k8s.io/apimachinery/pkg/util/remotecommand/constants.go.
"""

import json

from aiohttp import WSMsgType, web

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.standard_streams import Sink, StandardStreams, Wanted

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK = 32768


class WebSocketChannels:
    """v4 and v5 of the protocol; in v5 the client can end stdin."""

    def __init__(self, socket: web.WebSocketResponse, wanted: Wanted) -> None:
        self._socket = socket
        self._wanted = wanted
        stderr = STDOUT if wanted.tty else STDERR
        self.streams = StandardStreams(self._sink(STDOUT), self._sink(stderr), tty=wanted.tty)

    async def greet(self) -> None:
        """An empty message says that the command starts, as a real API server does."""
        await self._send(STDOUT if self._wanted.stdout else ERROR, b"")
        if not self._wanted.stdin:
            await self.streams.stdin.end()

    async def listen(self) -> None:
        """Feeds stdin and the window until the client is gone."""
        while (message := await self._socket.receive()).type in (WSMsgType.BINARY, WSMsgType.TEXT):
            if message.type is WSMsgType.BINARY and message.data:
                await self._take(message.data[0], bytes(message.data[1:]))

    async def finish(self, status: Document) -> None:
        """Tells how the command ended."""
        self.streams.stdin.abandon()
        await self._send(ERROR, json.dumps(status).encode())

    async def _take(self, channel: int, payload: bytes) -> None:
        if channel == STDIN and self._wanted.stdin:
            await self.streams.stdin.put(payload)
        elif channel == CLOSE and payload == bytes((STDIN,)):
            await self.streams.stdin.end()
        elif channel == RESIZE:
            self.streams.window.resize(payload)

    def _sink(self, channel: int) -> Sink:
        async def write(chunk: bytes) -> None:
            for start in range(0, len(chunk), _CHUNK):
                await self._send(channel, chunk[start : start + _CHUNK])

        return write

    async def _send(self, channel: int, payload: bytes) -> None:
        await self._socket.send_bytes(bytes((channel,)) + payload)

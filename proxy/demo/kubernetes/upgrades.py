"""Connections that stop being HTTP: the socket under a SPDY/3.1 upgrade, and bytes inside WebSocket messages."""

import asyncio

from aiohttp import WSMsgType, web
from multidict import CIMultiDict

_CHUNK = 65536


class SocketPipe:
    """The bytes of the client's connection after a 101 answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """At least one byte; b"" at the end."""
        return await self._reader.read(_CHUNK)

    async def write(self, chunk: bytes) -> None:
        """Raises ConnectionError when the client is gone."""
        self._writer.write(chunk)
        await self._writer.drain()

    def close(self) -> None:
        """Sends what is written, then closes."""
        self._writer.close()


class WebSocketPipe:
    """The bytes inside the binary messages of a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """At least one byte; b"" at the end."""
        while (message := await self._socket.receive()).type in (WSMsgType.BINARY, WSMsgType.TEXT):
            if message.type is WSMsgType.BINARY and message.data:
                return bytes(message.data)
        return b""

    async def write(self, chunk: bytes) -> None:
        """Raises ConnectionError when the client is gone."""
        await self._socket.send_bytes(chunk)


class _Switched(asyncio.StreamReaderProtocol):
    """Takes the place of aiohttp's protocol on the transport; tells it when the connection is lost."""

    def __init__(self, reader: asyncio.StreamReader, former: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._former = former

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._former.connection_lost(exc)


class Upgraded(web.StreamResponse):
    """A 101 answer after which the connection belongs to `pipe`.

    aiohttp parses what follows an upgrade that it does not know as HTTP. So its protocol leaves the transport as soon as
    the answer is written, which is before the client may send anything else.
    """

    def __init__(self, protocol: str, headers: CIMultiDict[str]) -> None:
        super().__init__(status=101, headers=headers)
        self.headers["Connection"] = "Upgrade"
        self.headers["Upgrade"] = protocol

    async def take_over(self, request: web.BaseRequest) -> SocketPipe:
        """Raises ConnectionError when the client is gone already."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        await self.prepare(request)
        self.force_close()
        reader = asyncio.StreamReader(_CHUNK)
        protocol = _Switched(reader, request.protocol)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return SocketPipe(reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop()))

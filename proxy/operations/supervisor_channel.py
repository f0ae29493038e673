"""What a supervisor and a worker say to each other, over a socket pair that nobody else can reach.

A frame is four bytes of length, big-endian, and one message in MessagePack. The end of the stream is a message too: the other side is
gone, or about to be.
"""

import asyncio
import enum
import socket
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import msgspec

_LENGTH_BYTES: Final = 4
# Figures of some hundred thousand upstreams.
_MOST_BYTES: Final = 256 << 20


class Order(enum.Enum):
    """What a worker shall do: end when its requests have, end now, read everything again."""

    DRAIN = "drain"
    HURRY = "hurry"
    RELOAD = "reload"


class Subject(enum.Enum):
    """What a worker is asked about."""

    READY = "ready"
    METRICS = "metrics"


class Ordered(msgspec.Struct, frozen=True, tag="ordered", array_like=True):
    """An order."""

    order: Order


class Question(msgspec.Struct, frozen=True, tag="question", array_like=True):
    """A question; its answer has the same number."""

    number: int
    subject: Subject


class Beat(msgspec.Struct, frozen=True, tag="beat", array_like=True):
    """The worker's loop goes round."""


class Serving(msgspec.Struct, frozen=True, tag="serving", array_like=True):
    """The worker accepts connections."""


class Failed(msgspec.Struct, frozen=True, tag="failed", array_like=True):
    """The worker cannot go on, for a reason in one line."""

    reason: str


class Reloaded(msgspec.Struct, frozen=True, tag="reloaded", array_like=True):
    """The worker has taken over another configuration."""


class Answer(msgspec.Struct, frozen=True, tag="answer", array_like=True):
    """The answer to a question; what `body` holds depends on its subject."""

    number: int
    body: bytes


Message: TypeAlias = Ordered | Question | Beat | Serving | Failed | Reloaded | Answer

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Message)


class Channel(asyncio.Protocol):
    """One end; `receive` gets each message. `lost` is done when the other end is gone, or has sent what is no message."""

    def __init__(self, receive: Callable[[Message], None]) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._receive = receive
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    async def open(self, sock: socket.socket) -> None:
        """Speak over one end of a socket pair, which belongs to the channel from now on."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=sock)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._transport is not None and (message := self._next_message()) is not None:
            self._receive(message)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, message: Message) -> None:
        """Send a message; into the void when the other end is gone."""
        if self._transport is not None:
            body = _encoder.encode(message)
            self._transport.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)

    async def close(self) -> None:
        """Send what waits and close."""
        if self._transport is not None:
            self._transport.close()
        await asyncio.wait({self.lost})

    def _next_message(self) -> Message | None:
        try:
            frame = self._next_frame()
            return None if frame is None else _decoder.decode(frame)
        except ValueError:  # msgspec.DecodeError is one
            self._drop()
            return None

    def _next_frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < _LENGTH_BYTES:
            return None
        end = _LENGTH_BYTES + int.from_bytes(buffer[:_LENGTH_BYTES], "big")
        if end > _MOST_BYTES:
            raise ValueError("a frame is too long")
        if len(buffer) < end:
            return None
        frame = bytes(buffer[_LENGTH_BYTES:end])
        del buffer[:end]
        return frame

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

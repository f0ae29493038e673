"""One SPDY/3.1 connection as the server: streams that the client opens, over any pipe of bytes."""

from collections.abc import Callable
from typing import Protocol

from proxy.demo.kubernetes.byte_queue import ByteQueue
from proxy.demo.kubernetes.spdy_frames import BrokenFrame, Chunk, Codec, Frame, GoAway, Ping, Reset, SynReply, SynStream

_MAX_STREAMS = 1000


class Pipe(Protocol):
    """Bytes both ways, with back-pressure."""

    async def read(self) -> bytes:
        """At least one byte; b"" at the end."""

    async def write(self, chunk: bytes) -> None:
        """Returns when more may be written; raises ConnectionError when the peer is gone."""


class Stream:
    """One stream: `input` is what the client sends."""

    def __init__(self, number: int, headers: dict[str, str], send: "SpdyConnection") -> None:
        self.number = number
        self.headers = headers
        self.input = ByteQueue()
        self._connection = send
        self._finished = False

    async def write(self, chunk: bytes) -> None:
        """Sends in frames of at most 64 KiB."""
        for start in range(0, len(chunk), 65536):
            await self._connection.send(Chunk(self.number, chunk[start : start + 65536]))

    async def finish(self) -> None:
        """Nothing more will be written."""
        if not self._finished:
            self._finished = True
            await self._connection.send(Chunk(self.number, b"", fin=True))


class SpdyConnection:
    """Answers each new stream and hands it to `opened`; `run` reads until the client goes."""

    def __init__(self, pipe: Pipe, opened: Callable[[Stream], None]) -> None:
        self._pipe = pipe
        self._opened = opened
        self._codec = Codec()
        self._streams: dict[int, Stream] = {}

    async def run(self) -> None:
        """Returns at the end of the connection, whatever ended it."""
        try:
            while received := await self._pipe.read():
                for frame in self._codec.feed(received):
                    await self._handle(frame)
        except (BrokenFrame, ConnectionError):
            return

    async def send(self, frame: Frame) -> None:
        """Raises ConnectionError when the client is gone."""
        await self._pipe.write(self._codec.encode(frame))

    async def close(self) -> None:
        """Ends all streams and says good-bye."""
        for stream in list(self._streams.values()):
            await stream.finish()
        await self.send(GoAway(max(self._streams, default=0)))

    def forget(self, stream: Stream) -> None:
        """Both sides are done with the stream."""
        self._streams.pop(stream.number, None)

    async def _handle(self, frame: Frame) -> None:
        match frame:
            case SynStream(number, headers, fin):
                await self._open(number, dict(headers), fin=fin)
            case Chunk(number, payload, fin) if number in self._streams:
                await self._streams[number].input.put(payload)
                if fin:
                    await self._streams[number].input.end()
            case Reset(number) if number in self._streams:
                await self._streams[number].input.end()
            case Ping(number) if number % 2:
                await self.send(frame)

    async def _open(self, number: int, headers: dict[str, str], *, fin: bool) -> None:
        if len(self._streams) >= _MAX_STREAMS or number in self._streams:
            await self.send(Reset(number))
            return
        stream = Stream(number, headers, self)
        self._streams[number] = stream
        await self.send(SynReply(number))
        if fin:
            await stream.input.end()
        self._opened(stream)

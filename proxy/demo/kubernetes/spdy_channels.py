"""The standard streams over SPDY/3.1: one stream a channel, named by its header `streamtype`."""

import asyncio
import json

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.spdy_connection import Stream
from proxy.demo.kubernetes.standard_streams import Sink, StandardStreams, Wanted, Window

_STREAMS_SECONDS = 30.0


class SpdyChannels:
    """v4 of the protocol: how the command ended is JSON on the error stream."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._streams: dict[str, Stream] = {}
        self._complete = asyncio.Event()
        self._window = Window()

    def opened(self, stream: Stream) -> None:
        """The client opened one more."""
        self._streams[stream.headers.get("streamtype", "")] = stream
        if self._expected() <= self._streams.keys():
            self._complete.set()

    async def ready(self) -> StandardStreams:
        """Once the client has opened all that its query names; raises TimeoutError."""
        async with asyncio.timeout(_STREAMS_SECONDS):
            await self._complete.wait()
        stdout = self._sink("stdout")
        streams = StandardStreams(
            stdout, stdout if self._wanted.tty else self._sink("stderr"), window=self._window, tty=self._wanted.tty
        )
        if "stdin" in self._streams:
            streams.stdin = self._streams["stdin"].input
        else:
            await streams.stdin.end()
        return streams

    async def follow_resizes(self) -> None:
        """Never returns."""
        await self._complete.wait()
        if "resize" in self._streams:
            while line := await self._streams["resize"].input.readline():
                self._window.resize(line)
        await asyncio.Event().wait()

    async def finish(self, status: Document) -> None:
        """Tells how the command ended."""
        await self._streams["error"].write(json.dumps(status).encode())

    def _expected(self) -> set[str]:
        wanted = self._wanted
        named = {"stdin": wanted.stdin, "stdout": wanted.stdout, "stderr": wanted.stderr and not wanted.tty, "resize": wanted.tty}
        return {"error", *(name for name, expected in named.items() if expected)}

    def _sink(self, name: str) -> Sink:
        stream = self._streams.get(name)

        async def write(chunk: bytes) -> None:
            if stream is not None:
                await stream.write(chunk)

        return write

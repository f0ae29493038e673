"""A bounded queue of bytes between a connection and what runs in a pod."""

import asyncio

_CHUNKS = 64


class ByteQueue:
    """One writer, one reader; `put` waits while the reader is behind.

    With `lasting_end` false, reading goes on after an end: a terminal's Ctrl-D ends one command's input, not the shell's.
    """

    def __init__(self, *, lasting_end: bool = True) -> None:
        self._lasting_end = lasting_end
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(_CHUNKS)
        self._rest = b""
        self._ended = False
        self._abandoned = False

    async def put(self, chunk: bytes) -> None:
        """Nothing may follow `end`; empty chunks are dropped."""
        if chunk and not self._abandoned:
            await self._chunks.put(chunk)

    async def end(self) -> None:
        """The reader gets b"" once it has read all."""
        if not self._abandoned:
            await self._chunks.put(b"")

    @property
    def abandoned(self) -> bool:
        """Whether nobody will read any more."""
        return self._abandoned

    def abandon(self) -> None:
        """The reader is gone: drop what is there and what follows, so that the writer never waits."""
        self._abandoned = True
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def read(self) -> bytes:
        """What is there, at least one byte; b"" at the end."""
        if self._rest:
            chunk, self._rest = self._rest, b""
            return chunk
        if self._ended:
            return b""
        chunk = await self._chunks.get()
        self._ended = not chunk and self._lasting_end
        return chunk

    async def readline(self) -> bytes:
        """Up to and including the next line feed, or what is left before the end."""
        line = b""
        while chunk := await self.read():
            head, feed, self._rest = chunk.partition(b"\n")
            line += head + feed
            if feed:
                break
        return line

    async def read_all(self, limit: int) -> bytes:
        """Everything to the end; raises OverflowError beyond the limit."""
        parts, size = [], 0
        while chunk := await self.read():
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                raise OverflowError
        return b"".join(parts)

"""How message bodies are delimited (RFC 9112 sections 6 and 7): the strict decoder of chunked requests, and chunk encoding.

llhttp reads heads; request bodies are read here, because httptools cannot say where in its input a message ended, and what
follows a body must wait its turn unread. The decoder refuses whatever it does not know to the byte.
"""

import re
from typing import Final

from proxy.errors import HeadersTooLarge, Malformed

LAST_CHUNK: Final = b"0\r\n\r\n"
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e]*)?")
_TRAILER_LINE: Final = re.compile(rb"([A-Za-z0-9-]+):[\t\x20-\x7e]*")
_NEVER_TRAILERS: Final = frozenset({b"content-length", b"transfer-encoding", b"host"})
_LONGEST_BODY: Final = 1 << 62
# A chunk of one byte has five around it.
_OVERHEAD_PER_BODY_BYTE: Final = 8


class ChunkedDecoder:
    """Decodes one chunked body fed in pieces of any size; trailers are checked and dropped.

    `overhead` counts every byte that is not body (size lines, extensions, line ends, trailers). Raises Malformed, and
    HeadersTooLarge when one line or the trailers pass `limit`, or all of it passes `limit` and a small multiple of the body so far:
    that bounds what an endless extension or trailer may cost, and lets a long upload in small chunks come to its end.
    """

    __slots__ = (
        "_body_bytes",
        "_in_trailers",
        "_limit",
        "_line",
        "_missing_crlf",
        "_remaining",
        "_trailer_bytes",
        "is_complete",
        "overhead",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = b""
        self._remaining = 0
        self._body_bytes = self._trailer_bytes = 0
        self._missing_crlf = False
        self._in_trailers = False
        self.overhead = 0
        self.is_complete = False

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the body bytes in `data`, in order, and what is left behind the end of the body."""
        pieces: list[bytes] = []
        position, end = 0, len(data)
        while position < end and not self.is_complete:
            if self._remaining:
                piece = data[position : position + self._remaining]
                pieces.append(piece)
                self._remaining -= len(piece)
                self._body_bytes += len(piece)
                position += len(piece)
            else:
                position = self._read_line(data, position)
        return pieces, data[position:] if position < end else b""

    def _read_line(self, data: bytes, position: int) -> int:
        """Take one line, or the part of it that is there; return the position behind it."""
        found = data.find(b"\n", position)
        behind = len(data) if found < 0 else found + 1
        self._count(behind - position)
        self._line += data[position:behind]
        if found >= 0:
            line, self._line = self._line, b""
            if not line.endswith(b"\r\n"):
                raise Malformed("malformed chunked body")
            self._take_line(line[:-2])
        return behind

    def _count(self, size: int) -> None:
        self.overhead += size
        if self._in_trailers:
            self._trailer_bytes += size
        allowance = self._limit + _OVERHEAD_PER_BODY_BYTE * self._body_bytes
        if self.overhead > allowance or len(self._line) + size > self._limit or self._trailer_bytes > self._limit:
            raise HeadersTooLarge("too many bytes around the request's chunks")

    def _take_line(self, line: bytes) -> None:
        if self._missing_crlf:
            if line:
                raise Malformed("malformed chunked body")
            self._missing_crlf = False
        elif self._in_trailers:
            self._take_trailer(line)
        else:
            self._take_size(line)

    def _take_size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None or (size := int(match.group(1), 16)) > _LONGEST_BODY:
            raise Malformed("malformed chunked body")
        self._remaining = size
        self._missing_crlf = size > 0
        self._in_trailers = size == 0

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.is_complete = True
            return
        match = _TRAILER_LINE.fullmatch(line)
        if match is None or match.group(1).lower() in _NEVER_TRAILERS:
            raise Malformed("malformed trailer")


def chunk(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Encode one non-empty chunk as pieces that need no copy of `data`."""
    return b"%x\r\n" % len(data), data, b"\r\n"

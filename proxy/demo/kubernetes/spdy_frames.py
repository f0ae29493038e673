"""SPDY/3.1 frames, without any input or output: bytes in, frames out, and back.

Only what Kubernetes' stream multiplexing uses; there is no flow control in it (github.com/moby/spdystream sends no
WINDOW_UPDATE and expects none). Source: SPDY Protocol, draft 3.1, section 2.6.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_FIN = 0x01
_CONTROL = 0x8003
_MAX_FRAME = 1 << 20
_MAX_HEADERS = 1 << 16

# The compression dictionary of section 2.6.10.1: words with their 32-bit lengths before them, then plain text.
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.replace("_", " ").encode() for word in _WORDS.split()) + _TEXT.encode()


@dataclass(frozen=True, slots=True)
class SynStream:
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A data frame."""

    stream: int
    payload: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int


@dataclass(frozen=True, slots=True)
class Ping:
    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_stream: int


Frame = SynStream | SynReply | Chunk | Reset | Ping | GoAway


class BrokenFrame(Exception):
    """The peer's bytes are no SPDY/3.1."""


class Codec:
    """The two directions of one connection: each has one compression context for all its header blocks."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, received: bytes) -> Iterator[Frame]:
        """The frames now complete; frames of other types are skipped. Raises BrokenFrame."""
        self._buffer += received
        while len(self._buffer) >= 8:
            length = int.from_bytes(self._buffer[5:8], "big")
            if length > _MAX_FRAME:
                raise BrokenFrame("frame too long")
            if len(self._buffer) < 8 + length:
                return
            head, body = bytes(self._buffer[:8]), bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            try:
                frame = self._decode(head, body)
            except (zlib.error, struct.error, UnicodeDecodeError) as error:
                raise BrokenFrame("malformed frame") from error
            if frame is not None:
                yield frame

    def encode(self, frame: Frame) -> bytes:
        """The frame's bytes; header blocks must be sent in the order in which they were encoded."""
        match frame:
            case SynStream(stream, headers, fin):
                return _control(_SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + self._pack(headers), _FIN if fin else 0)
            case SynReply(stream, headers):
                return _control(_SYN_REPLY, struct.pack(">I", stream) + self._pack(headers))
            case Chunk(stream, payload, fin):
                return struct.pack(">II", stream, (_FIN if fin else 0) << 24 | len(payload)) + payload
            case Reset(stream):
                return _control(_RST_STREAM, struct.pack(">II", stream, 5))
            case Ping(ping):
                return _control(_PING, struct.pack(">I", ping))
            case GoAway(last_stream):
                return _control(_GOAWAY, struct.pack(">II", last_stream, 0))

    def _decode(self, head: bytes, body: bytes) -> Frame | None:
        fin = bool(head[4] & _FIN)
        if not head[0] & 0x80:
            return Chunk(int.from_bytes(head[:4], "big"), body, fin)
        control, kind = struct.unpack(">HH", head[:4])
        if control != _CONTROL:
            raise BrokenFrame("not version 3")
        return self._decode_control(kind, body, fin=fin)

    def _decode_control(self, kind: int, body: bytes, *, fin: bool) -> Frame | None:
        if kind == _SYN_STREAM:
            return SynStream(_number(body), self._unpack(body[10:]), fin)
        if kind == _SYN_REPLY:
            return SynReply(_number(body), self._unpack(body[4:]))
        if kind == _HEADERS:
            # not used, but its block must pass through the compression context
            self._unpack(body[4:])
        simple: Mapping[int, Callable[[int], Frame]] = {_RST_STREAM: Reset, _PING: Ping, _GOAWAY: GoAway}
        return simple[kind](_number(body)) if kind in simple else None

    def _pack(self, headers: Mapping[str, str]) -> bytes:
        block = struct.pack(">I", len(headers)) + b"".join(
            struct.pack(">I", len(text)) + text for pair in headers.items() for text in (part.encode() for part in pair)
        )
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def _unpack(self, packed: bytes) -> dict[str, str]:
        block = self._inflate.decompress(packed, _MAX_HEADERS)
        if self._inflate.unconsumed_tail:
            raise BrokenFrame("header block too long")
        texts, place = [], 4
        for _ in range(2 * _number(block)):
            length = _number(block[place:])
            texts.append(block[place + 4 : place + 4 + length].decode())
            place += 4 + length
        return dict(zip(texts[::2], texts[1::2], strict=True))


def _number(body: bytes) -> int:
    return int(struct.unpack(">I", body[:4])[0])


def _control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", _CONTROL, kind, flags << 24 | len(body)) + body

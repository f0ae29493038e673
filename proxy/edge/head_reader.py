"""Reads one request head from a stream: llhttp judges it piece by piece, we find its end and count its bytes.

httptools cannot stop inside its input, so it is fed heads alone, cut to the byte: whatever follows a head stays unread until its
turn, and a message that llhttp would delimit otherwise than we do cannot smuggle another one.
"""

from dataclasses import dataclass

import httptools

from proxy.errors import HeadersTooLarge, Malformed, RequestError
from proxy.routing.request_head import (
    Field,
    HeaderBlock,
    RequestLine,
    check_header_block,
    check_target_authority,
    parse_request_line,
)

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bounds of a request head, in bytes and fields."""

    request_line_bytes: int
    header_bytes: int
    headers: int


@dataclass(frozen=True, slots=True)
class ParsedHead:
    """A checked head, the bytes of its header block (from the CRLF that ends the request line on), and what followed it."""

    line: RequestLine
    block: HeaderBlock
    raw_block: bytes
    rest: bytes


class HeadReader:
    """Reads one head; a new one is made for the next."""

    __slots__ = ("_fields", "_is_complete", "_limits", "_parser", "_raw", "_skipped", "_whole")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._fields: list[Field] = []
        self._raw = bytearray()
        self._whole = b""
        self._skipped = 0
        self._is_complete = False

    @property
    def received(self) -> bytes:
        """What came of the head so far."""
        return self._whole or bytes(self._raw)

    def feed(self, data: bytes) -> ParsedHead | None:
        """Take more bytes; return the head once it is whole. Raises Malformed and HeadersTooLarge."""
        try:
            parsed = self._take(data)
        except RequestError:
            self._parser = None
            raise
        if parsed is not None:
            # It knows our methods, we know it: left so, each head would wait for the garbage collector.
            self._parser = None
        return parsed

    def _take(self, data: bytes) -> ParsedHead | None:
        if not self._raw:
            # RFC 9112 section 2.2: empty lines before a request line are ignored; they count all the same.
            stripped = data.lstrip(b"\r\n")
            self._skipped += len(data) - len(stripped)
            data = stripped
            end = data.find(_END)
            if end >= 0:
                return self._take_at_once(data, end + len(_END))
        raw = self._raw
        search_from, seen = max(len(raw) - 3, 0), len(raw)
        raw += data
        end = raw.find(_END, search_from)
        behind = len(raw) if end < 0 else end + len(_END)
        self._check_size(raw, behind)
        if behind > seen:
            self._parse(bytes(raw[seen:behind]))
        return None if end < 0 else self._finish(bytes(raw[:behind]), bytes(raw[behind:]))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))
        if len(self._fields) > self._limits.headers:
            raise HeadersTooLarge(f"more than {self._limits.headers} header fields")

    def on_headers_complete(self) -> None:
        self._is_complete = True

    def _take_at_once(self, data: bytes, behind: int) -> ParsedHead:
        """Read a head that came whole, without collecting it."""
        head = self._whole = data[:behind]
        self._check_size(data, behind)
        self._parse(head)
        return self._finish(head, data[behind:])

    def _check_size(self, raw: bytes | bytearray, size: int) -> None:
        limits = self._limits
        line_end = raw.find(b"\r\n", 0, limits.request_line_bytes + 2)
        if line_end < 0 and size > limits.request_line_bytes:
            raise HeadersTooLarge(f"request line longer than {limits.request_line_bytes} bytes")
        if size + self._skipped - max(line_end, 0) > limits.header_bytes:
            raise HeadersTooLarge(f"request headers longer than {limits.header_bytes} bytes")

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            raise Malformed("malformed request", detail="bytes behind a head that was refused")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The end of a head that asks for an upgrade; whether it may is decided later.
            return
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, RequestError):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise Malformed("malformed request", detail=str(error)) from error

    def _finish(self, head: bytes, rest: bytes) -> ParsedHead:
        if not self._is_complete:
            raise Malformed("malformed request")
        line_end = head.index(b"\r\n")
        line = parse_request_line(head[:line_end])
        block = check_header_block(self._fields, is_http11=line.is_http11)
        check_target_authority(line.target, block.host)
        return ParsedHead(line, block, head[line_end:], rest)

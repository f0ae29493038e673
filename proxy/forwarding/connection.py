"""One connection to an upstream: reads answers with llhttp and hands them to the exchange it serves.

What it trusts: nothing. Bytes without an exchange end the connection; an answer that cannot be delimited without doubt is an error;
a body that ends with the connection is complete only after a clean end of stream (on TLS: close_notify), as uvloop reports it.
A parser is thrown away wherever it cannot know what comes next: behind an answer to HEAD, and behind a body whose bytes went past it.
A whole head of the plainest kind is read by one expression instead, strict enough that llhttp would read the same.
"""

import asyncio
from typing import Final, Protocol

import httptools

from proxy.errors import BadGateway, RequestError
from proxy.forwarding.tunnel import HIGH_WATER
from proxy.routing.request_head import Field
from proxy.wire.inbound import AnswerHead, BodyKind

_LARGEST_HEAD: Final = 131072
_FIRST_BYTE: Final = b"HTTP/"[0]
_SWITCHING: Final = 101
_FINAL: Final = 200


class Answering(Protocol):
    """What a connection tells the exchange that it serves, in this order; `is_sent`: the whole request was written."""

    is_sent: bool

    def interim(self, status: int, fields: list[Field], version: str) -> None:
        """Learn of a 1xx answer."""

    def plain_answer(self, data: bytes) -> tuple[AnswerHead, int] | None:
        """Read the answer's head if it is whole and plain; return it and its length in `data`."""

    def answer_started(self, status: int, fields: list[Field], version: str) -> AnswerHead:
        """Read the answer's head; raises RequestError to refuse it."""

    def answer_body(self, data: bytes) -> None:
        """Take body bytes, not empty."""

    def answer_at_once(self, body: bytes) -> None:
        """Send the answer that was begun, with a body of the length that it announced: it is complete, as by `answer_complete`."""

    def answer_complete(self, trailers: list[Field]) -> None:
        """Send what was collected: the answer ended well, and the connection is no longer the exchange's."""

    def flush(self) -> None:
        """Send what was collected: one read is over, the answer is not."""

    def switched(self, status: int, fields: list[Field], version: str, early: bytes) -> None:
        """Learn that the upstream switched protocols; `early` is what followed its head."""

    def upstream_failed(self, error: RequestError) -> None:
        """Learn that there will be no (more) answer on this connection."""

    def upstream_writable(self, *, writable: bool) -> None:
        """Learn whether more of the request may be written."""


class ReturnsTo(Protocol):
    """The pool, as its connections see it."""

    def release(self, connection: "UpstreamConnection") -> None:
        """Take the connection back."""

    def lost(self, connection: "UpstreamConnection") -> None:
        """Note that the connection is gone."""


# Takes the place of a parser whose connection is gone: the two know each other, and would wait for the garbage collector.
_GONE: Final = httptools.HttpResponseParser(object())


class UpstreamConnection(asyncio.Protocol):
    """Serves one exchange at a time; `answers` counts those that were complete."""

    __slots__ = (
        "_answer",
        "_exchange",
        "_fields",
        "_has_surplus",
        "_head_size",
        "_is_clean_end",
        "_is_done",
        "_is_parser_behind",
        "_parser",
        "_pool",
        "_remaining",
        "_trailers",
        "answers",
        "idle_since",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, pool: ReturnsTo | None) -> None:
        self._pool = pool
        self._exchange: Answering | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[Field] = []
        self._trailers: list[Field] = []
        self._answer: AnswerHead | None = None
        self._head_size = 0
        self._remaining = 0
        self._is_clean_end = self._is_done = self._has_surplus = self._is_parser_behind = False
        self.answers = 0
        self.idle_since = 0.0

    def __repr__(self) -> str:
        state = "idle" if self._exchange is None else "waiting for an answer" if self._answer is None else "receiving"
        return f"UpstreamConnection({state}, {self.answers} answers so far)"

    @property
    def was_stale(self) -> bool:
        """Whether a failure may only mean that it was closed while idle: it had served before, and no byte of an answer came."""
        return self.answers > 0 and self._answer is None and not self._head_size

    def is_usable(self) -> bool:
        """Whether a request may be written."""
        return not self.transport.is_closing()

    def send(self, exchange: Answering, head: bytes) -> None:
        """Begin an exchange."""
        self._exchange = exchange
        self.transport.write(head)

    def detach(self) -> asyncio.Transport:
        """Give the transport away, to a tunnel."""
        self._exchange = None
        self._parser = _GONE
        if self._pool is not None:
            self._pool.lost(self)
            self._pool = None
        return self.transport

    def abandon(self) -> None:
        """End the connection under an exchange that wants no more of it."""
        self._exchange = None
        self.transport.abort()

    def close(self) -> None:
        """End an idle connection."""
        self.transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream transport, by create_connection
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            # An answer that nobody asked for: never reuse what it came on.
            self.transport.abort()
            return
        if self._remaining:
            self._receive_body(exchange, data)
        elif self._answer is None and not self._head_size and (plain := exchange.plain_answer(data)) is not None:
            answer, size = plain
            if len(data) - size == answer.length:
                self._receive_at_once(exchange, answer, data[size:])
            else:
                self._answer = answer
                self._remaining = answer.length
                self._receive_body(exchange, data[size:])
        elif self._answer is None and not self._head_size and data[0] != _FIRST_BYTE:
            # llhttp reads RTSP/1.0 as if it were HTTP/1.0.
            self._head_size = len(data)
            self._fail(exchange, BadGateway("the upstream's answer is malformed", detail="not HTTP"))
        else:
            self._parse(exchange, data)

    def eof_received(self) -> bool:
        self._is_clean_end = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pool is not None:
            self._pool.lost(self)
        exchange, answer = self._exchange, self._answer
        self._exchange = None
        self._parser = _GONE
        if exchange is None:
            return
        if answer is not None and answer.body is BodyKind.CLOSE and self._is_clean_end and exc is None:
            exchange.answer_complete([])
        else:
            exchange.upstream_failed(
                BadGateway("the upstream closed the connection before its answer was complete", detail=str(exc or "closed"))
            )

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_writable(writable=False)

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_writable(writable=True)

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self._is_done:
            self._has_surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_done:
            self._has_surplus = True
        elif self._answer is None:
            self._fields.append((name, value))
        else:
            self._trailers.append((name, value))

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or self._is_done:
            return
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        if status == _SWITCHING:
            return
        if 100 <= status < _FINAL:  # noqa: PLR2004 (1xx)
            self._head_size = 1  # the next head may begin within this read
            fields, self._fields = self._fields, []
            exchange.interim(status, fields, version)
        else:
            answer = self._answer = exchange.answer_started(status, self._fields, version)
            if answer.body is BodyKind.LENGTH:
                self._remaining = answer.length
                self._is_parser_behind = True

    def on_body(self, data: bytes) -> None:
        exchange, answer = self._exchange, self._answer
        if exchange is None or answer is None or self._is_done or answer.body is BodyKind.NONE:
            # Bytes behind the head of an answer that has no body (RFC 9112 section 6.3).
            self._has_surplus = True
            return
        if answer.body is BodyKind.LENGTH:
            self._remaining -= len(data)
        self._head_size = 0
        exchange.answer_body(data)

    def on_message_complete(self) -> None:
        self._is_done = self._answer is not None
        self._is_parser_behind = False

    # what the callbacks share

    def _parse(self, exchange: Answering, data: bytes) -> None:
        # What is not body is counted, a head like endless trailers: body bytes set it back.
        self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            exchange.switched(
                self._parser.get_status_code(), self._fields, self._parser.get_http_version(), data[upgrade.args[0] :]
            )
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, RequestError):
                raise
            self._fail(exchange, error.__context__)
        except httptools.HttpParserError as error:
            if self._is_done:
                self._has_surplus = True
                self._complete(exchange)
            else:
                self._fail(exchange, BadGateway("the upstream's answer is malformed", detail=str(error)))
        else:
            self._after_read(exchange)

    def _after_read(self, exchange: Answering) -> None:
        answer = self._answer
        if self._is_done:
            self._complete(exchange)
        elif self._head_size > _LARGEST_HEAD:
            self._fail(exchange, BadGateway("the upstream's answer is malformed", detail="head or trailers too large"))
        elif answer is None:
            return
        elif answer.body is BodyKind.NONE:
            # llhttp waits for the body that an answer to HEAD announces.
            self._parser = httptools.HttpResponseParser(self)
            self._complete(exchange)
        else:
            exchange.flush()

    def _receive_body(self, exchange: Answering, data: bytes) -> None:
        """Pass body bytes of known length on without parsing them."""
        missing = self._remaining - len(data)
        self._has_surplus = missing < 0
        body = data[: self._remaining] if self._has_surplus else data
        if body:
            exchange.answer_body(body)
        if missing > 0:
            self._remaining = missing
            exchange.flush()
            return
        if self._is_parser_behind:
            self._parser = httptools.HttpResponseParser(self)
            self._is_parser_behind = False
        self._complete(exchange)

    def _receive_at_once(self, exchange: Answering, answer: AnswerHead, body: bytes) -> None:
        """Take a plain answer that one read brought whole; what `_receive_body` and `_complete` do, without their cases."""
        self._exchange = None
        self.answers += 1
        if self._pool is None or not (answer.keep_alive and exchange.is_sent) or self.transport.is_closing():
            self.transport.close()
        else:
            self._pool.release(self)
        exchange.answer_at_once(body)

    def _complete(self, exchange: Answering) -> None:
        """End the exchange; only now, when a whole read was looked at, may the connection serve another."""
        answer, trailers, surplus = self._answer, self._trailers, self._has_surplus
        self._exchange = self._answer = None
        self._fields, self._trailers = [], []
        self._remaining = self._head_size = 0
        self._is_done = self._has_surplus = False
        self.answers += 1
        if (
            self._pool is None
            or surplus
            or answer is None
            or not (answer.keep_alive and exchange.is_sent)
            or self.transport.is_closing()
        ):
            self.transport.close()
        else:
            self._pool.release(self)
        exchange.answer_complete(trailers)

    def _fail(self, exchange: Answering, error: RequestError) -> None:
        self._exchange = None
        self.transport.abort()
        exchange.upstream_failed(error)

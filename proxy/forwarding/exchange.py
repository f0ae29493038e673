"""One request on its way to an upstream and its answer on the way back.

Theory of operation. `start` takes an idle connection or asks for one; the head is written when there is one, body bytes that came
earlier follow it (at most one high-water mark of them and one read). The answer's pieces are collected during one read of the
upstream and handed to the client in one write. Either side that cannot take more pauses the other. Once a byte of the answer has
gone to the client there is no second try and no error page: an upstream that breaks off aborts the client's transfer, so that a
truncated answer never looks complete (RFC 9112 section 8).
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, Protocol

from msgspec import Struct

from proxy.errors import BadGateway, GatewayTimeout, RequestError, Unavailable
from proxy.forwarding.connection import UpstreamConnection
from proxy.forwarding.pool import Pool
from proxy.forwarding.tunnel import HIGH_WATER
from proxy.routing.request_head import Field
from proxy.wire.framing import LAST_CHUNK, chunk
from proxy.wire.inbound import AnswerHead, AnswerRules, BodyKind, answer_bytes, read_answer, read_plain_answer
from proxy.wire.managed import HOP_BY_HOP

# RFC 9110 section 9.2.2
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_NEVER_TRAILERS: Final = HOP_BY_HOP | {
    b"content-length",
    b"host",
    b"set-cookie",
    b"location",
    b"content-type",
    b"content-encoding",
}
_SWITCHING: Final = 101


class Downstream(Protocol):
    """The client's side, as an exchange sees it."""

    def write_answer(self, pieces: Sequence[bytes]) -> None:
        """Send parts of the answer."""

    def ready_for_body(self) -> None:
        """Learn that the request's body may come."""

    def pause_body(self) -> None:
        """Stop the request's body for a while."""

    def resume_body(self) -> None:
        """Let the request's body come again."""

    def answer_done(self, *, keep_alive: bool) -> None:
        """Learn that the answer is complete."""

    def answer_failed(self, error: RequestError) -> None:
        """Learn that there is no answer; nothing of one was sent."""

    def answer_broken(self, error: RequestError) -> None:
        """Learn that the answer broke off in the middle."""

    def switch(self, head: bytes, upstream: UpstreamConnection, early: bytes) -> None:
        """Become a tunnel: send `head`, then join both transports."""


class Request(Struct, frozen=True):
    """What an exchange carries: the serialised head, and what is needed to read the answer."""

    method: str
    head: bytes
    rules: AnswerRules
    has_body: bool
    is_chunked: bool
    is_http11: bool
    keep_alive: bool
    is_long_running: bool
    upgrade: bytes | None

    def __repr__(self) -> str:
        return f"Request({self.method}, {len(self.head)} bytes)"


class Stage(Enum):
    """How far an exchange got."""

    CONNECTING = auto()
    SENT = auto()
    ANSWERING = auto()
    DONE = auto()


# Names in this module: a member looked up on its class costs a descriptor call at each request.
_CONNECTING, _SENT, _ANSWERING, _DONE = Stage
_CHUNKED, _CLOSE = BodyKind.CHUNKED, BodyKind.CLOSE


class Exchange:
    """Carries `request` over a connection of `pool`; `now` is the loop's time."""

    __slots__ = (
        "_body",
        "_body_kind",
        "_connection",
        "_downstream",
        "_head",
        "_held",
        "_held_size",
        "_is_retried",
        "_pool",
        "bytes_in",
        "bytes_out",
        "is_sent",
        "keep_alive",
        "moved",
        "progress",
        "request",
        "stage",
        "status",
    )

    def __init__(self, downstream: Downstream, pool: Pool, request: Request, now: float) -> None:
        self._downstream = downstream
        self._pool = pool
        self.request = request
        self._connection: UpstreamConnection | None = None
        self._head: bytes | None = None
        self._body: list[bytes] = []
        self._body_kind = BodyKind.NONE
        self._held: list[bytes] | None = None
        self._held_size = 0
        self._is_retried = False
        self.is_sent = not request.has_body
        self.keep_alive = request.keep_alive
        self.stage = _CONNECTING
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.progress = now
        self.moved = False

    def __repr__(self) -> str:
        return f"Exchange({self.request.method} over {self._pool.name}, {self.stage.name.lower()}, status {self.status or 'none yet'})"

    def start(self) -> None:
        """Take a connection, or ask for one; raises Unavailable when the pool refuses."""
        request = self.request
        fresh = request.is_long_running or request.upgrade is not None
        connection = self._pool.acquire(self, fresh=fresh)
        if connection is not None:
            self.connected(connection)

    # the request's body, from the client

    def body(self, data: bytes) -> None:
        """Carry body bytes on, or hold them until there is a connection."""
        self.bytes_in += len(data)
        self.moved = True
        connection = self._connection
        if connection is None:
            self._hold(data)
        elif self.request.is_chunked:
            connection.transport.writelines(chunk(data))
        else:
            connection.transport.write(data)

    def body_complete(self) -> None:
        """Note that the request is whole."""
        self.is_sent = True
        if self._connection is not None and self.request.is_chunked:
            self._connection.transport.write(LAST_CHUNK)

    # the client's side in general

    def cancel(self) -> None:
        """End the exchange because the client wants no more of it."""
        self.stage = _DONE
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None

    def pause_answer(self) -> None:
        """Read no more of the answer: the client does not keep up."""
        if self._connection is not None:
            self._connection.transport.pause_reading()

    def resume_answer(self) -> None:
        """Read on."""
        self.moved = True
        if self._connection is not None:
            self._connection.transport.resume_reading()

    def expire(self, now: float, response_seconds: float, idle_seconds: float) -> None:
        """Fail when the answer, or the next part of it, is overdue; long-running requests have no such limit."""
        if self.moved:
            # The clock is read by the sweep alone, not for each piece that moves.
            self.moved = False
            self.progress = now
        waited = now - self.progress
        if self.stage is _SENT and self.is_sent and not self.request.is_long_running:
            if waited > response_seconds:
                self._fail(GatewayTimeout("the upstream did not answer in time", detail=f"no answer for {waited:.0f} s"))
        elif self.stage is _ANSWERING and not self.request.is_long_running and waited > idle_seconds:
            self._fail(GatewayTimeout("the answer stopped", detail=f"nothing moved for {waited:.0f} s"))

    def end_stream(self) -> None:
        """End a long-running answer in a way that its client takes for the end: used by drain and by the longest life."""
        self._connection_gone()
        if self.stage is _ANSWERING and self._body_kind is not BodyKind.LENGTH:
            self.keep_alive = False
            self.answer_complete([])
        else:
            self._give_up(Unavailable("the request was ended before its answer began", retry_after=1))

    # the pool's answer

    def connected(self, connection: UpstreamConnection) -> bool:
        """Send the request; False when it is no longer wanted."""
        if self.stage is not _CONNECTING:
            return False
        self._connection = connection
        self.stage = _SENT
        request = self.request
        connection.send(self, request.head)
        if request.has_body:
            self._send_held(connection)
        return True

    def not_connected(self, error: RequestError) -> None:
        """Give up: there is no connection to be had."""
        if self.stage is _CONNECTING:
            self._give_up(error)

    # the answer, from the upstream

    def interim(self, status: int, fields: list[Field], version: str) -> None:
        """Pass a 1xx on, to clients that know of them (RFC 9110 section 15.2)."""
        if self.request.is_http11:
            head = read_answer(status, fields, self.request.rules, self.request.method, version)
            self._downstream.write_answer((answer_bytes(head, framing=b""),))

    def answer_started(self, status: int, fields: list[Field], version: str) -> AnswerHead:
        """Read and rewrite the head; raises BadGateway."""
        request = self.request
        answer = read_answer(status, fields, request.rules, request.method, version)
        self._begin_answer(answer)
        return answer

    def plain_answer(self, data: bytes) -> tuple[AnswerHead, int] | None:
        """Read and rewrite a head that is whole and plain."""
        found = read_plain_answer(data, self.request.rules, self.request.method)
        if found is not None:
            self._begin_answer(found[0])
        return found

    def _begin_answer(self, answer: AnswerHead) -> None:
        self.stage = _ANSWERING
        self.status = answer.status
        self._body_kind = answer.body
        if self.request.upgrade is not None or not self.is_sent:
            # What the client sent behind this head was meant for a tunnel, or is a body that nobody will read.
            self.keep_alive = False
        self._head = answer_bytes(answer, framing=self._framing(answer))

    def answer_body(self, data: bytes) -> None:
        """Collect body bytes."""
        self._body.append(data)

    def flush(self) -> None:
        """Hand what was collected to the client."""
        self.moved = True
        pieces = self._take_pieces()
        if pieces:
            self._downstream.write_answer(pieces)

    def answer_at_once(self, body: bytes) -> None:
        """Hand a whole answer over and end the exchange."""
        self._connection = None
        self.stage = _DONE
        head, self._head = self._head, None
        self.bytes_out = len(body)
        self._downstream.write_answer((head or b"", body) if body else (head or b"",))
        self._downstream.answer_done(keep_alive=self.keep_alive and self.is_sent)

    def answer_complete(self, trailers: list[Field]) -> None:
        """Hand over the rest and end the exchange."""
        self._connection = None
        self.stage = _DONE
        pieces = self._take_pieces()
        if self._is_chunked():
            pieces.append(LAST_CHUNK if not trailers else _last_chunk(trailers))
        if pieces:
            self._downstream.write_answer(pieces)
        self._downstream.answer_done(keep_alive=self.keep_alive and self.is_sent)

    def switched(self, status: int, fields: list[Field], version: str, early: bytes) -> None:
        """Become a tunnel, if the upstream switched to the protocol that was asked for."""
        request, connection = self.request, self._connection
        try:
            answer = read_answer(status, fields, request.rules, request.method, version)
        except BadGateway as error:
            self._fail(error)
            return
        if status != _SWITCHING or request.upgrade is None or answer.upgrade != request.upgrade or connection is None:
            self._fail(BadGateway("the upstream switched to a protocol that nobody asked for", detail=f"to {answer.upgrade!r}"))
            return
        self.status = status
        self.stage = _DONE
        self._connection = None
        spelling = next(value for name, value in fields if name.lower() == b"upgrade")
        head = answer_bytes(answer, framing=b"Connection: Upgrade\r\nUpgrade: " + spelling + b"\r\n")
        self._downstream.switch(head, connection, early)

    def upstream_failed(self, error: RequestError) -> None:
        """Try once more where that is safe, or give up."""
        connection, self._connection = self._connection, None
        if self.stage is _SENT and connection is not None and self._may_retry(connection):
            self._is_retried = True
            self.stage = _CONNECTING
            try:
                self._retry()
            except RequestError as refusal:
                self._give_up(refusal)
        else:
            self._give_up(error)

    def upstream_writable(self, *, writable: bool) -> None:
        """Let the request's body come as fast as the upstream takes it."""
        if writable:
            self._downstream.resume_body()
        else:
            self._downstream.pause_body()

    # what these share

    def _hold(self, data: bytes) -> None:
        if self._held is None:
            self._held = []
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > HIGH_WATER:
            self._downstream.pause_body()

    def _send_held(self, connection: UpstreamConnection) -> None:
        held, self._held = self._held, None
        for data in held or ():
            if self.request.is_chunked:
                connection.transport.writelines(chunk(data))
            else:
                connection.transport.write(data)
        if self._held_size > HIGH_WATER:
            self._downstream.resume_body()
        self._held_size = 0
        if not self.is_sent:
            self._downstream.ready_for_body()
        elif self.request.is_chunked:
            connection.transport.write(LAST_CHUNK)

    def _framing(self, answer: AnswerHead) -> bytes:
        """Say how the body ends for this client, and whether the connection does."""
        line = b""
        if answer.length >= 0:
            line = b"Content-Length: %d\r\n" % answer.length
        elif answer.body is _CHUNKED or answer.body is _CLOSE:
            if self.request.is_http11:
                line = b"Transfer-Encoding: chunked\r\n"
            else:
                self.keep_alive = False
        if not self.keep_alive:
            return line + b"Connection: close\r\n"
        return line if self.request.is_http11 else line + b"Connection: keep-alive\r\n"

    def _is_chunked(self) -> bool:
        return self.request.is_http11 and (self._body_kind is _CHUNKED or self._body_kind is _CLOSE)

    def _take_pieces(self) -> list[bytes]:
        pieces: list[bytes] = []
        if self._head is not None:
            pieces.append(self._head)
            self._head = None
        if self._body:
            body, self._body = self._body, []
            size = sum(map(len, body))
            self.bytes_out += size
            if self._is_chunked():
                pieces += (b"%x\r\n" % size, *body, b"\r\n")
            else:
                pieces += body
        return pieces

    def _may_retry(self, connection: UpstreamConnection) -> bool:
        """A reused connection that broke before any answer was probably closed while idle (RFC 9110 section 9.2.2)."""
        request = self.request
        return not self._is_retried and connection.was_stale and request.method in _IDEMPOTENT and not request.has_body

    def _retry(self) -> None:
        connection = self._pool.acquire(self, fresh=True)
        if connection is not None:
            self.connected(connection)

    def _fail(self, error: RequestError) -> None:
        self._connection_gone()
        self._give_up(error)

    def _connection_gone(self) -> None:
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None

    def _give_up(self, error: RequestError) -> None:
        """Tell the client's side, once."""
        if self.stage is _DONE:
            return
        was_answering = self.stage is _ANSWERING and self._head is None
        self.stage = _DONE
        if was_answering:
            self._downstream.answer_broken(error)
        else:
            self._downstream.answer_failed(error)


def _last_chunk(trailers: list[Field]) -> bytes:
    """End a chunked body with those trailers that may be merged or ignored safely (RFC 9110 section 6.5.1)."""
    lines = [b"%b: %b\r\n" % field for field in trailers if field[0].lower() not in _NEVER_TRAILERS]
    return b"0\r\n%b\r\n" % b"".join(lines)

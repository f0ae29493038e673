"""One client's connection: reads heads and bodies, one request at a time, and writes answers.

Theory of operation. `stage` tells whose the next bytes are: a head's, the current request's body's, nobody's yet (pipelined behind
a request that is being answered, or early for a tunnel), or rubbish (the rest of a body that we refused). A head is read by
HeadReader and its block checked once; while later requests repeat the block byte for byte, which clients do, only their request
line is read (`edge.memory`). What may wait unread is bounded, and reading is paused only while such a buffer is full, because a paused
transport sees no end of connection.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, cast

from proxy.edge.answers import error_answer, is_api_target
from proxy.edge.browser import cookie_credential
from proxy.edge.forwarded import client_of
from proxy.edge.head_reader import HeadReader, ParsedHead
from proxy.edge.memory import BlockMemory, JudgedRequest
from proxy.edge.transaction import Transaction
from proxy.errors import GatewayTimeout, HeadersTooLarge, Malformed, RequestError, RequestTimeout
from proxy.forwarding.exchange import Exchange
from proxy.forwarding.tunnel import HIGH_WATER
from proxy.routing.request_head import REQUEST_LINE, RequestHead
from proxy.wire.framing import ChunkedDecoder
from proxy.wire.outbound import Client

if TYPE_CHECKING:
    from proxy.edge.context import Edge

_MOST_WAITING_HEADS: Final = 16
_DRAIN_BYTES: Final = 262_144
_DRAIN_SECONDS: Final = 2.0
# A client that ended its side may still read a short answer; one that is gone costs its upstream no longer than this.
_HALF_CLOSED_SECONDS: Final = 0.5
_REPEATABLE: Final = {b"GET": "GET", b"HEAD": "HEAD"}
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
_AHEAD: Final = "too many requests were sent ahead of their answers"


class ClientStage(Enum):
    """Whose the next bytes are."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    DRAINING = auto()
    TUNNEL = auto()


# Names in this module: a member looked up on its class costs a descriptor call at each read.
_HEAD, _BODY, _ANSWER, _DRAINING, _TUNNEL = ClientStage


class ClientConnection(asyncio.Protocol):
    """The protocol of one accepted connection."""

    __slots__ = (
        "_body_left",
        "_client",
        "_deadline",
        "_decoder",
        "_drained",
        "_early_body",
        "_edge",
        "_has_overflowed",
        "_is_closing",
        "_is_half_closed",
        "_is_reading_paused",
        "_is_writing_paused",
        "_memory",
        "_peer",
        "_reader",
        "_stage",
        "_transaction",
        "_waiting",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, edge: "Edge") -> None:
        self._edge = edge
        self._stage = _HEAD
        self._transaction: Transaction | None = None
        self._reader: HeadReader | None = None
        self._memory: BlockMemory | None = None
        self._decoder: ChunkedDecoder | None = None
        self._body_left = 0
        self._early_body: list[bytes] = []
        self._waiting = b""
        self._drained = 0
        self._deadline = 0.0
        self._peer = ""
        self._has_overflowed = self._is_closing = self._is_half_closed = False
        self._is_reading_paused = self._is_writing_paused = False

    def __repr__(self) -> str:
        return f"ClientConnection({self._peer}, {self._stage.name.lower()}, {self._transaction!r})"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        edge = self._edge
        self.transport = cast("asyncio.Transport", transport)
        sock = cast("socket.socket | None", transport.get_extra_info("socket"))
        if not edge.takes_in(-1 if sock is None else sock.fileno()):
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        peer = transport.get_extra_info("peername")
        # Without the zone of a link-local address: it is a name of our own machine, and no upstream reads it (RFC 6874).
        self._peer = str(peer[0]).removeprefix("::ffff:").partition("%")[0] if peer else ""
        self._client = Client.at(self._peer, edge.scheme)
        self._deadline = edge.loop.time() + (_DRAIN_SECONDS if edge.is_draining else edge.settings.header_seconds)
        edge.connections.add(self)
        edge.counters.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        edge = self._edge
        if self in edge.connections:
            edge.connections.remove(self)
            edge.counters.connections -= 1
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.client_gone()

    def data_received(self, data: bytes) -> None:
        stage = self._stage
        if stage is _HEAD and not self._waiting:
            self._read_head(data)
        elif stage is _BODY:
            self._read_body(data)
        elif stage is _ANSWER or stage is _HEAD:
            self._keep_waiting(data)
        else:
            self._discard(data)

    def eof_received(self) -> bool:
        is_answering = self._stage is _ANSWER and self._transaction is not None
        if not self.transport.can_write_eof() or not (is_answering or self._waiting):
            return False
        self._is_half_closed = True
        if is_answering:
            self._deadline = self._answer_deadline()
        return True

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        if self._transaction is not None:
            self._transaction.pause_answer()

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        if self._transaction is not None:
            self._transaction.resume_answer()
        elif self._stage is _ANSWER:
            self._await_request()

    # what transactions ask

    @property
    def peer(self) -> str:
        """The address at the other end."""
        return self._peer

    def may_keep_alive(self) -> bool:
        """Whether another request may follow."""
        return not (self._is_closing or self._edge.is_draining or self._has_overflowed)

    def has_unread_body(self) -> bool:
        """Whether the current request's body has not come to its end."""
        return self._stage is _BODY

    def carries_stream(self) -> bool:
        """Whether a long-running request or a tunnel is under way."""
        return self._transaction is not None and self._transaction.is_stream

    def end_stream(self) -> None:
        """End the stream under way so that its client may retry."""
        if self._transaction is not None:
            self._transaction.end_stream()

    def close_when_idle(self) -> None:
        """Take no further request."""
        self._is_closing = True
        if self._transaction is None and self._reader is None and (self._stage is _HEAD or self._stage is _ANSWER):
            self._close()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Send parts of an answer in one go."""
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        else:
            self.transport.writelines(pieces)

    def pause_body(self) -> None:
        """Read no more for a while: the upstream does not keep up."""
        if not self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = True
            self.transport.pause_reading()

    def resume_body(self) -> None:
        """Read again."""
        if self._is_reading_paused and not self.transport.is_closing():
            self._is_reading_paused = False
            self.transport.resume_reading()

    def keep_early_body(self, data: bytes) -> None:
        """Keep body bytes that came while the token is being verified."""
        self._early_body.append(data)
        if sum(map(len, self._early_body)) > HIGH_WATER:
            self.pause_body()

    def hand_over_body(self, exchange: Exchange) -> None:
        """Give an exchange that began late what came early."""
        early, self._early_body = self._early_body, []
        for data in early:
            exchange.body(data)
        if early:
            self.resume_body()
        if self._stage is _ANSWER:
            exchange.body_complete()

    def finished(self, *, keep_alive: bool) -> None:
        """Go on to the next request, or to the end."""
        self._transaction = None
        self._early_body = []
        if self._stage is _BODY:
            self._drain()
        elif self._has_overflowed:
            self._refuse_head(Malformed(_AHEAD))
        elif not keep_alive or self._is_closing:
            if self._waiting:
                self._drain()
            else:
                self._close()
        elif self._is_writing_paused:
            # The client does not take the answers that it has: the next request is read when it does.
            self._deadline = self._edge.loop.time() + self._edge.settings.body_idle_seconds
        else:
            self._await_request()

    def become_tunnel(self) -> bytes:
        """Stop reading: the transport goes to a tunnel; return what the client sent early."""
        self._stage = _TUNNEL
        self._deadline = 0.0
        early, self._waiting = self._waiting, b""
        return early

    def tunnel_closed(self) -> None:
        """Note the end of the tunnel that took the transport."""
        self._transaction = None
        self.connection_lost(None)

    def abort_hard(self) -> None:
        """Reset: what the client has is cut short, and must not look complete (uvloop's abort alone sends a clean end on TCP)."""
        sock = cast("socket.socket | None", self.transport.get_extra_info("socket"))
        if sock is not None and self.transport.can_write_eof():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.transport.abort()

    def expire(self, now: float) -> None:
        """Hold the time limits; called by the sweep."""
        transaction = self._transaction
        if self._deadline and now > self._deadline:
            self._overdue(transaction)
        elif transaction is not None:
            transaction.expire(now)

    # reading

    def _await_request(self) -> None:
        self._stage = _HEAD
        self._deadline = self._edge.loop.time() + self._edge.settings.idle_seconds
        self.resume_body()
        if self._waiting:
            self._edge.loop.call_soon(self._next_waiting)
        elif self._is_half_closed:
            self.transport.close()

    def _answer_deadline(self) -> float:
        """Return when a client that has ended its side is given up; there is no such time for one that has not."""
        return self._edge.loop.time() + _HALF_CLOSED_SECONDS if self._is_half_closed else 0.0

    def _read_head(self, data: bytes) -> None:
        edge = self._edge
        if self._reader is None:
            if self._repeats(data):
                return
            self._reader = HeadReader(edge.settings.head)
            self._deadline = edge.loop.time() + edge.settings.header_seconds
        try:
            parsed = self._reader.feed(data)
        except (Malformed, HeadersTooLarge) as error:
            self._refuse_head(error)
            return
        if parsed is not None:
            self._reader = None
            self._begin_parsed(parsed)

    def _repeats(self, data: bytes) -> bool:
        """Begin a request whose header block is known to the byte; False when it has to be read after all."""
        edge = self._edge
        end = data.find(b"\r\n")
        if end <= 0 or end > edge.settings.head.request_line_bytes:
            return False
        memory = self._memory
        if memory is None or memory.site is not edge.site or not data.endswith(memory.raw) or len(data) - len(memory.raw) != end:
            memory = edge.memories.find(data[end:], edge.site)
            if memory is None:
                return False
            self._memory = memory
        line = data[:end]
        judged = memory.requests.get(line)
        if judged is not None:
            self._begin(judged.head, memory, line, judged)
            return True
        match = REQUEST_LINE.fullmatch(line)
        if match is None:
            return False
        method, target, minor = match.groups()
        name = _REPEATABLE.get(method)
        if name is None or (minor == b"1") is not memory.block.is_http11 or not target.startswith(b"/"):
            return False
        self._begin(RequestHead(name, target, memory.block), memory, line)
        return True

    def _begin_parsed(self, parsed: ParsedHead) -> None:
        block, rest = parsed.block, parsed.rest
        is_repeatable = not rest and not block.has_body and block.upgrade is None and not block.expects_continue
        site = self._edge.site
        memory = BlockMemory(site, block, parsed.raw_block if is_repeatable else b"", site.routes.is_public(block.host_text))
        if memory.is_public_host and self._edge.has_sessions:
            memory.session_id = cookie_credential(block)
        self._memory = memory if is_repeatable else None
        self._begin(RequestHead(parsed.line.method, parsed.line.target, block), memory)
        if memory.identity is None and memory.session is None:
            # Nobody vouches for these bytes: an idle connection must not hold 64 KiB of them.
            self._memory = None
        if not rest or self.transport.is_closing():
            return
        if self._stage is _HEAD:
            # Answered already. One request at each turn of the loop: a read may bring thousands.
            self._keep_waiting(rest)
            self._edge.loop.call_soon(self._next_waiting)
        else:
            self.data_received(rest)

    def _begin(self, head: RequestHead, memory: BlockMemory, line: bytes = b"", judged: JudgedRequest | None = None) -> None:
        """Begin a transaction; `line` are the bytes of a request line that may be remembered, `judged` what is known of it."""
        block, edge = head.block, self._edge
        self._deadline = self._answer_deadline() if self._is_half_closed else 0.0
        if block.has_body:
            self._stage = _BODY
            self._body_left = block.content_length or 0
            self._decoder = ChunkedDecoder(edge.settings.head.header_bytes) if block.is_chunked else None
            self._deadline = edge.loop.time() + edge.settings.body_idle_seconds
        else:
            self._stage = _ANSWER
        trusted = memory.site.trusted_proxies
        client = client_of(self._peer, block, edge.scheme, trusted) if trusted else self._client
        transaction = self._transaction = Transaction(edge, self, head, client, memory)
        transaction.begin(line, judged)

    def _read_body(self, data: bytes) -> None:
        transaction = self._transaction
        if transaction is None:
            return
        self._deadline = self._edge.loop.time() + self._edge.settings.body_idle_seconds
        if self._decoder is None:
            body, rest = data[: self._body_left], data[self._body_left :]
            self._body_left -= len(body)
            transaction.body(body)
            is_complete = self._body_left == 0
        else:
            try:
                pieces, rest = self._decoder.feed(data)
            except (Malformed, HeadersTooLarge) as error:
                transaction.refuse(error)
                return
            for piece in pieces:
                transaction.body(piece)
            is_complete = self._decoder.is_complete
        if is_complete and self._stage is _BODY:
            self._body_is_complete(transaction)
        if rest and self._stage is not _BODY:
            self.data_received(rest)

    def _body_is_complete(self, transaction: Transaction) -> None:
        self._stage = _ANSWER
        self._deadline = self._answer_deadline()
        self._decoder = None
        if self._transaction is transaction:
            transaction.body_complete()

    def _keep_waiting(self, data: bytes) -> None:
        """Keep what came behind the request that is being answered, within bounds."""
        if self._has_overflowed:
            return
        self._waiting += data
        transaction = self._transaction
        if transaction is not None and transaction.awaits_tunnel:
            if len(self._waiting) > HIGH_WATER:
                self.pause_body()
        elif len(self._waiting) > HIGH_WATER or self._waiting.count(b"\r\n\r\n") > _MOST_WAITING_HEADS:
            self._has_overflowed = True
            self._waiting = self._waiting[:1]  # not empty: nothing that follows may be taken for the beginning of a head

    def _next_waiting(self) -> None:
        if self._stage is not _HEAD or self.transport.is_closing():
            return
        if self._has_overflowed:
            self._refuse_head(Malformed(_AHEAD))
            return
        data, self._waiting = self._waiting, b""
        if data:
            self.data_received(data)

    # ending

    def _refuse_head(self, error: RequestError) -> None:
        """Answer a head that was not understood, and end the connection: where the next one would begin is anybody's guess."""
        edge = self._edge
        edge.malformed(error, self._peer)
        data = b"" if self._reader is None else self._reader.received
        self._reader = None
        request_id, _ = edge.ids.take()
        as_api = is_api_target(data.partition(b" ")[2].partition(b" ")[0])
        answer = error_answer(
            error,
            request_id.decode(),
            as_page=not as_api and b"text/html" in data,
            keep_alive=False,
            is_tls=edge.settings.is_tls,
            with_body=True,
        )
        self.transport.write(answer)
        self._drain()

    def _close(self) -> None:
        """Close once what is buffered was sent; a client that does not read it has so long as for a body."""
        self._stage = _DRAINING
        self._deadline = self._edge.loop.time() + self._edge.settings.body_idle_seconds
        self.transport.close()

    def _drain(self) -> None:
        """Read a little of what still comes before closing: a close with unread bytes is a reset, which may eat our answer."""
        self._stage = _DRAINING
        self._waiting = b""
        self._deadline = self._edge.loop.time() + _DRAIN_SECONDS
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.resume_body()

    def _discard(self, data: bytes) -> None:
        self._drained += len(data)
        if self._drained > _DRAIN_BYTES:
            self.transport.abort()

    def _overdue(self, transaction: Transaction | None) -> None:
        if self._stage is _HEAD and self._reader is not None:
            self._refuse_head(RequestTimeout("the request's head did not arrive in time"))
        elif self._stage is _BODY and transaction is not None:
            transaction.refuse(
                GatewayTimeout("the upstream stopped taking the request's body")
                if self._is_reading_paused
                else RequestTimeout("the request's body stopped arriving")
            )
        elif self._stage is _HEAD:
            self._close()
        else:
            self.transport.abort()

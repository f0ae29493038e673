"""TLS over a plain TCP transport, with hardly more memory for a connection than OpenSSL itself takes.

Theory of operation. A TlsTransport is the protocol of the transport below it and the transport of our protocol above it. OpenSSL is
handed ciphertext through `incoming` and gives it back through `outgoing`; `ssl.MemoryBIO` never gives back what it grew to and stays
with its SSLObject for life, so one pair serves all connections of an event loop. That is sound because both are empty whenever no
call into OpenSSL is under way: what it cannot use yet of `incoming`, it keeps in a buffer of the connection, which it frees when the
record is whole; an end or an error leaves a rest, which is thrown away at once; `outgoing` is taken after each call. Nobody above or
below is called before that. What passes through is ciphertext: a rest could spoil another connection, never tell it anything.

One read from below is decrypted whole and handed up in one piece, so a paused connection has nothing decrypted ahead. Only
close_notify is an end of stream; without it the connection was cut, and a body that should end with it is not complete (RFC 8446
section 6.1). Neither side can be half-closed. Renegotiation is off in the contexts, so that a write never has to wait for a read.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeAlias, cast

Bytes: TypeAlias = bytes | bytearray | memoryview

# RFC 8446 section 5.1, RFC 5246 section 6.2.1: no record holds more.
_LARGEST_RECORD: Final = 16384
_LARGEST_WRITE: Final = 65536
_FLUSH_SECONDS: Final = 30.0


class BioPair:
    """The way into OpenSSL and out of it for all connections of one event loop; empty between two calls."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()


class Handshaking(Protocol):
    """Whoever waits for handshakes: told of each first that it begins, then how it ended."""

    def begins(self, transport: "TlsTransport") -> bool:
        """Learn of a connection; False to end it before its handshake costs anything."""

    def completed(self, transport: "TlsTransport") -> asyncio.Protocol:
        """Return the protocol to serve with what is decrypted."""

    def failed(self, transport: "TlsTransport", error: Exception) -> None:
        """Learn that there will be no protocol: an ssl.SSLError when TLS went wrong, ConnectionError when the peer left."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One TLS connection; the server's side when `server_name` is None. It sets no time limit: abort() ends a handshake.

    Raises ValueError for a `server_name` that is no name.
    """

    __slots__ = (
        "_context",
        "_failure",
        "_flush_timer",
        "_handshaking",
        "_has_ended",
        "_incoming",
        "_is_closing",
        "_is_settled",
        "_lower",
        "_outgoing",
        "_protocol",
        "_server_name",
        "_tls",
    )

    _lower: asyncio.Transport
    _protocol: asyncio.Protocol
    _tls: ssl.SSLObject

    def __init__(self, context: ssl.SSLContext, bios: BioPair, handshaking: Handshaking, server_name: str | None = None) -> None:
        self._context = context
        self._incoming, self._outgoing = bios.incoming, bios.outgoing
        self._handshaking: Handshaking | None = handshaking
        self._server_name = server_name
        self._failure: Exception | None = None
        self._flush_timer: asyncio.TimerHandle | None = None
        self._has_ended = self._is_closing = self._is_settled = False
        if server_name is not None:
            self._wrap()

    def __repr__(self) -> str:
        state = "closing" if self._is_closing else "shaking hands" if self._handshaking is not None else "open"
        return f"TlsTransport({state}, {'server' if self._server_name is None else 'client'} side)"

    # asyncio.Protocol, towards the transport below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast("asyncio.Transport", transport)
        handshaking = self._handshaking
        if handshaking is None or not handshaking.begins(self):
            self._handshaking = None
            self.abort()
        elif self._server_name is not None:
            self._shake_hands(handshaking, b"")

    def data_received(self, data: bytes) -> None:
        if self._handshaking is not None:
            self._shake_hands(self._handshaking, data)
            return
        plain = self._decrypt(data)
        if plain:
            self._protocol.data_received(plain)
        if self._has_ended:
            self._end()

    def eof_received(self) -> None:
        # The transport below closes itself when this returns.
        if not self._is_closing:
            self._failure = self._failure or ConnectionResetError("the connection was cut: no close_notify")
            self._abort_later()
            self._is_closing = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        handshaking, self._handshaking = self._handshaking, None
        error = exc or self._failure
        if handshaking is not None:
            handshaking.failed(self, error or ConnectionResetError("the connection ended within its handshake"))
        elif (protocol := getattr(self, "_protocol", None)) is not None:
            # Whoever still holds the transport does not hold OpenSSL's memory.
            del self._protocol, self._tls
            protocol.connection_lost(error)

    def pause_writing(self) -> None:
        if self._handshaking is None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._handshaking is None:
            self._protocol.resume_writing()

    # asyncio.Transport, towards the protocol above

    def write(self, data: Bytes) -> None:
        if self._is_closing:
            return
        if len(data) > _LARGEST_WRITE:
            self._write_pieces((data,))
            return
        self._tls.write(data)
        self._lower.write(self._outgoing.read())

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        if self._is_closing:
            return
        pieces = list(list_of_data)
        if sum(map(len, pieces)) <= _LARGEST_RECORD:
            # To copy a little costs less than a record of its own for each piece.
            self.write(b"".join(pieces))
        else:
            self._write_pieces(pieces)

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._lower.pause_reading()

    def resume_reading(self) -> None:
        self._lower.resume_reading()

    def close(self) -> None:
        if self._is_closing:
            return
        self._abort_later()
        if self._handshaking is None:
            # The peer's own close_notify is not waited for, which the exception complains of.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self._is_closing = True
        self._lower.close()

    def abort(self) -> None:
        self._is_closing = True
        self._lower.abort()

    def is_closing(self) -> bool:
        return self._is_closing or self._lower.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._lower.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._lower.get_write_buffer_size()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return getattr(self, "_tls", default)
        return self._lower.get_extra_info(name, default)

    # the handshake

    def _shake_hands(self, handshaking: Handshaking, data: bytes) -> None:
        if not hasattr(self, "_tls"):
            # Not before a client has said something: silence costs it nothing, and would cost us OpenSSL's memory.
            self._wrap()
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._incoming.read()
            self._flush()
            self._handshaking = None
            handshaking.failed(self, error)
            self.close()
        else:
            # The peer's first data may have come with the end of its handshake.
            self._open(handshaking, self._decrypt(b""))

    def _wrap(self) -> None:
        name = self._server_name
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=name is None, server_hostname=name)

    def _open(self, handshaking: Handshaking, plain: bytes) -> None:
        protocol = self._protocol = handshaking.completed(self)
        self._handshaking = None
        protocol.connection_made(self)
        if plain and not self._is_closing:
            protocol.data_received(plain)
        if self._has_ended:
            self._end()

    # what goes through OpenSSL

    def _decrypt(self, data: bytes) -> bytes:
        """Return the plaintext of all records that are whole by now; notes an end, good or bad."""
        incoming, tls = self._incoming, self._tls
        pieces = []
        incoming.write(data)
        try:
            while incoming.pending:
                piece = tls.read(_LARGEST_RECORD)
                if not piece:
                    self._has_ended = True
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            # What came in front of it is not worth an answer that could not be written any more.
            pieces.clear()
            self._has_ended = True
            self._failure = error
        if incoming.pending:
            incoming.read()
        if pieces and not (self._is_settled or self._has_ended):
            # Session tickets come before the first data; to take them in OpenSSL makes itself a write buffer, which it frees after
            # the next write. This one sends nothing.
            self._is_settled = True
            tls.write(b"")
        if self._outgoing.pending:
            self._flush()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _write_pieces(self, pieces: Iterable[Bytes]) -> None:
        tls, outgoing = self._tls, self._outgoing
        records = []
        for piece in pieces:
            for start in range(0, len(piece), _LARGEST_WRITE):
                tls.write(memoryview(piece)[start : start + _LARGEST_WRITE])
                if outgoing.pending >= _LARGEST_WRITE:
                    records.append(outgoing.read())
        records.append(outgoing.read())
        self._lower.writelines(records)

    def _flush(self) -> None:
        """Send what OpenSSL has to say of its own: handshakes, tickets, answers to key updates, alerts."""
        data = self._outgoing.read()
        if data:
            self._lower.write(data)

    # the end

    def _end(self) -> None:
        """Follow the peer to the end."""
        if self._is_closing:
            return
        if self._failure is None:
            self._protocol.eof_received()
        self.close()

    def _abort_later(self) -> None:
        """Give the peer some time to take what is buffered: nobody above may be left to notice that it does not."""
        if self._lower.get_write_buffer_size() and self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._lower.abort)

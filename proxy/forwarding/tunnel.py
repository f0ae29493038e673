"""An upgraded connection: opaque bytes both ways, until both sides have ended.

Theory of operation. After 101 the two transports get these protocols in place of the HTTP ones. Each end writes what it receives
to the other; a full write buffer on one side pauses reading on the other. A TCP half-close is passed on, because `kubectl cp` and
SPDY streams end that way; TLS cannot half-close, so there the end of one direction ends both, after what is buffered was sent.
No byte is parsed, so none can be misread; no idle limit, because a quiet port-forward is a healthy one: TCP keep-alive finds
peers that are gone.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

HIGH_WATER: Final = 65536
_FLUSH_SECONDS: Final = 30.0
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class Tunnel:
    """Two ends joined. `on_closed` is called once, when both are gone."""

    def __init__(self, client: asyncio.Transport, upstream: asyncio.Transport, on_closed: Callable[[], None]) -> None:
        self.client = TunnelEnd(self, client)
        self.upstream = TunnelEnd(self, upstream)
        self.client.other, self.upstream.other = self.upstream, self.client
        self._open = 2
        self._on_closed = on_closed
        self._abort_timer: asyncio.TimerHandle | None = None

    def start(self, from_client: bytes, from_upstream: bytes) -> None:
        """Take both transports over; the arguments are what each side sent before the switch was complete."""
        for end in (self.client, self.upstream):
            end.transport.set_protocol(end)
            end.transport.set_write_buffer_limits(high=HIGH_WATER)
            keep_alive(end.transport)
            # Before anything is written: a full buffer pauses the other side again. A side that has ended already says so once more.
            end.transport.resume_reading()
        for end, early in ((self.client, from_upstream), (self.upstream, from_client)):
            if early:
                end.other.received += len(early)
                end.transport.write(early)

    def close(self) -> None:
        """End both sides once what is buffered was sent, or after a while; once."""
        if self._abort_timer is None:
            self._abort_timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.abort)
            self.client.transport.close()
            self.upstream.transport.close()

    def abort(self) -> None:
        """End both sides at once."""
        self.client.transport.abort()
        self.upstream.transport.abort()

    def end_lost(self) -> None:
        """Note that one of the two transports is gone; the other has a while to take what is buffered for it."""
        self._open -= 1
        if self._open:
            self.close()
            return
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._on_closed()


class TunnelEnd(asyncio.Protocol):
    """One side of a tunnel; `received` counts its bytes, and there will be no more of them when it `has_ended`."""

    __slots__ = ("has_ended", "other", "received", "transport", "tunnel")

    other: "TunnelEnd"

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self.tunnel = tunnel
        self.transport = transport
        self.received = 0
        self.has_ended = False

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.has_ended = True
        other = self.other
        if (
            other.has_ended
            or other.transport.is_closing()
            or not (self.transport.can_write_eof() and other.transport.can_write_eof())
        ):
            self.tunnel.close()
            return False
        other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.tunnel.end_lost()


def keep_alive(transport: asyncio.Transport) -> None:
    """Let the kernel find out within about two minutes that a peer is gone."""
    sock = cast("socket.socket | None", transport.get_extra_info("socket"))
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

"""The TLS handshakes of clients: each counts as a connection from the moment it was accepted, and has so long as a request's head."""

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, cast

from proxy.forwarding.tls_transport import TlsTransport

if TYPE_CHECKING:
    from proxy.edge.context import Edge


class Handshakes:
    """Those under way at the listener of `edge`, the oldest first."""

    def __init__(self, edge: "Edge") -> None:
        self._edge = edge
        self._begun: dict[TlsTransport, float] = {}

    def __len__(self) -> int:
        return len(self._begun)

    def begins(self, transport: TlsTransport) -> bool:
        """Take a connection in while there is room."""
        edge = self._edge
        if not edge.takes_in(cast("socket.socket", transport.get_extra_info("socket")).fileno()):
            return False
        self._begun[transport] = edge.loop.time()
        return True

    def completed(self, transport: TlsTransport) -> asyncio.Protocol:
        """Let a connection be counted among the others."""
        del self._begun[transport]
        return self._edge.connection()

    def failed(self, transport: TlsTransport, error: Exception) -> None:
        """Count a handshake that came to nothing; who only left (a probe of the port) is not worth a line."""
        if self._begun.pop(transport, None) is None:
            return
        peer = transport.get_extra_info("peername")
        self._edge.no_handshake(peer[0] if peer else "", _reason(error) if isinstance(error, ssl.SSLError) else None)

    def sweep(self, now: float) -> None:
        """End those that are overdue."""
        oldest = now - self._edge.settings.header_seconds
        for transport in [transport for transport, begun in self._begun.items() if begun < oldest]:
            transport.abort()

    def close(self) -> None:
        """End all."""
        for transport in self._begun:
            transport.abort()


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "no reason given").replace("_", " ").lower()

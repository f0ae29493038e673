"""Dials with TLS: a connection counts as made when its handshake is complete and the certificate was believed."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Generic, TypeVar

from proxy.forwarding.tls_transport import BioPair, TlsTransport

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.Protocol)


async def connect_tls(
    make_protocol: Callable[[], AnyProtocol], host: str, port: int, context: ssl.SSLContext, server_name: str, bios: BioPair
) -> AnyProtocol:
    """Dial, shake hands and return the protocol; raises OSError, ssl.SSLError included. To cancel it ends the connection."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[AnyProtocol | Exception] = loop.create_future()
    dialling = _Dialling(make_protocol, outcome)
    transport, _ = await loop.create_connection(lambda: TlsTransport(context, bios, dialling, server_name), host, port)
    try:
        found = await outcome
    except BaseException:
        transport.abort()
        raise
    if isinstance(found, Exception):
        raise found
    return found


class _Dialling(Generic[AnyProtocol]):
    """Waits for one handshake. A failure is no exception of `outcome`: one that comes after a timeout has nobody left to take it."""

    def __init__(self, make_protocol: Callable[[], AnyProtocol], outcome: asyncio.Future[AnyProtocol | Exception]) -> None:
        self._make_protocol = make_protocol
        self._outcome = outcome

    def begins(self, transport: TlsTransport) -> bool:
        del transport
        return True

    def completed(self, transport: TlsTransport) -> asyncio.Protocol:
        del transport
        protocol = self._make_protocol()
        if not self._outcome.done():
            self._outcome.set_result(protocol)
        return protocol

    def failed(self, transport: TlsTransport, error: Exception) -> None:
        del transport
        if not self._outcome.done():
            self._outcome.set_result(error)

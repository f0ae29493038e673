"""What answers on the ports of a pod: a small HTTP page, and an echo for whatever is not HTTP."""

import html
from collections.abc import Awaitable, Callable

from aiohttp import web

from proxy.demo.kubernetes.documents import Document, dig

_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ")
_MAX_HEAD = 65536

Read = Callable[[], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]


def listening(pod: Document) -> frozenset[int]:
    """The ports that the containers declare."""
    containers = dig(pod, "spec", "containers", default=[])
    return frozenset(port["containerPort"] for container in containers for port in container.get("ports") or ())


def page(target: Document, path: str) -> str:
    """An HTML page that names the pod or service; the path comes from the client and is escaped."""
    name = f"{target['metadata'].get('namespace')}/{target['metadata']['name']}"
    return f"<!doctype html><title>{html.escape(name)}</title><h1>Hello from {html.escape(name)}</h1><p>{html.escape(path)}\n"


def proxied(target: Document, path: str) -> web.Response:
    """What the proxy subresource of a pod or service answers."""
    return web.Response(text=page(target, f"/{path}"), content_type="text/html")


async def serve(pod: Document, read: Read, write: Write) -> None:
    """One connection to a port of the pod."""
    received = await read()
    if received.startswith(_METHODS):
        await _serve_http(pod, received, read, write)
        return
    while received:
        await write(received)
        received = await read()


async def _serve_http(pod: Document, received: bytes, read: Read, write: Write) -> None:
    while b"\r\n\r\n" not in received and len(received) < _MAX_HEAD and (more := await read()):
        received += more
    path = received.split(b" ", 2)[1].decode("latin-1")
    body = page(pod, path).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    await write(head.encode() + (b"" if received.startswith(b"HEAD ") else body))

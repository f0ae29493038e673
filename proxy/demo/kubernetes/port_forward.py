"""port-forward: pairs of SPDY streams, one pair a connection, over SPDY/3.1 itself or inside a WebSocket."""

import asyncio

from aiohttp import web
from multidict import CIMultiDict

from proxy.demo.kubernetes import pod_ports
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import bad_request
from proxy.demo.kubernetes.remote_command import no_common_protocol, offered_protocols
from proxy.demo.kubernetes.spdy_connection import Pipe, SpdyConnection, Stream
from proxy.demo.kubernetes.upgrades import Upgraded, WebSocketPipe

PROTOCOL = "portforward.k8s.io"
# k8s.io/apimachinery/pkg/util/portforward/constants.go
WEBSOCKET_PROTOCOL = f"SPDY/3.1+{PROTOCOL}"


async def serve(request: web.BaseRequest, pod: Document) -> web.StreamResponse:
    """Returns when the client is gone; raises Refused (400, 403) when no transport fits."""
    match request.headers.get("Upgrade", "").lower():
        case "websocket":
            return await _over_websocket(request, pod)
        case "spdy/3.1":
            return await _over_spdy(request, pod)
        case _:
            raise bad_request("Upgrade request required")


async def _over_websocket(request: web.BaseRequest, pod: Document) -> web.StreamResponse:
    offered = {name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")}
    if WEBSOCKET_PROTOCOL not in offered:
        raise no_common_protocol(WEBSOCKET_PROTOCOL)
    socket = web.WebSocketResponse(protocols=(WEBSOCKET_PROTOCOL,), compress=False)
    await socket.prepare(request)
    await _Forwarder(pod).run(WebSocketPipe(socket))
    await socket.close()
    return socket


async def _over_spdy(request: web.BaseRequest, pod: Document) -> web.StreamResponse:
    if PROTOCOL not in offered_protocols(request):
        raise no_common_protocol(PROTOCOL)
    answer = Upgraded("SPDY/3.1", CIMultiDict({"X-Stream-Protocol-Version": PROTOCOL}))
    pipe = await answer.take_over(request)
    try:
        await _Forwarder(pod).run(pipe)
    finally:
        pipe.close()
    return answer


class _Forwarder:
    """The streams of one client, paired by their header `requestid`."""

    def __init__(self, pod: Document) -> None:
        self._pod = pod
        self._errors: dict[str, Stream] = {}
        self._pairs: asyncio.Queue[tuple[Stream, Stream]] = asyncio.Queue()

    async def run(self, pipe: Pipe) -> None:
        connection = SpdyConnection(pipe, self._opened)
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(self._accept(connection), name="port-forward: connections")
            await connection.run()
            accepting.cancel()

    def _opened(self, stream: Stream) -> None:
        pair = stream.headers.get("requestid", stream.headers.get("port", ""))
        if stream.headers.get("streamtype") == "error":
            self._errors[pair] = stream
        elif (error := self._errors.pop(pair, None)) is not None:
            self._pairs.put_nowait((stream, error))

    async def _accept(self, connection: SpdyConnection) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                pair = await self._pairs.get()
                group.create_task(self._forward(connection, *pair), name="port-forward: one connection")

    async def _forward(self, connection: SpdyConnection, stream: Stream, error: Stream) -> None:
        port = stream.headers.get("port", "")
        try:
            if port.isdecimal() and int(port) in pod_ports.listening(self._pod):
                await pod_ports.serve(self._pod, stream.input.read, stream.write)
            else:
                name = self._pod["metadata"]["name"]
                await error.write(f"unable to connect to port {port} of pod {name}: connection refused".encode())
            stream.input.abandon()
            await error.finish()
            await stream.finish()
        except ConnectionError:
            return
        finally:
            connection.forget(stream)
            connection.forget(error)

"""exec and attach: runs a command on the streams that the client opens, over WebSocket or SPDY/3.1."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from proxy.demo.kubernetes.refusals import Refused, bad_request
from proxy.demo.kubernetes.spdy_channels import SpdyChannels
from proxy.demo.kubernetes.spdy_connection import SpdyConnection
from proxy.demo.kubernetes.standard_streams import StandardStreams, Wanted, exit_status
from proxy.demo.kubernetes.upgrades import Upgraded
from proxy.demo.kubernetes.websocket_channels import WebSocketChannels

Command = Callable[[StandardStreams], Awaitable[int]]

# k8s.io/apimachinery/pkg/util/remotecommand/constants.go; v5 adds the end of stdin and exists over WebSocket only.
WEBSOCKET_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
SPDY_PROTOCOL = "v4.channel.k8s.io"
_LINGER_SECONDS = 5.0
# kubectl makes its streams while it reads already, and discards what comes for a stream not made yet ("Unknown stream id"). A real
# server takes longer than that to answer.
_CLIENT_STREAMS_SECONDS = 0.05


async def serve(request: web.BaseRequest, wanted: Wanted, command: Command) -> web.StreamResponse:
    """Returns when the command has ended or the client is gone; raises Refused (400, 403) when no transport fits."""
    if not (wanted.stdin or wanted.stdout or wanted.stderr):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    match request.headers.get("Upgrade", "").lower():
        case "websocket":
            return await _over_websocket(request, wanted, command)
        case "spdy/3.1":
            return await _over_spdy(request, wanted, command)
        case _:
            raise bad_request("Upgrade request required")


def offered_protocols(request: web.BaseRequest) -> set[str]:
    """kubectl sends one X-Stream-Protocol-Version line for each version, other clients a list in one."""
    lines = request.headers.getall("X-Stream-Protocol-Version", [])
    return {name.strip() for line in lines for name in line.split(",")}


def no_common_protocol(supported: str) -> Refused:
    """The client offers only versions that are not served."""
    return Refused(403, "Forbidden", f"unable to upgrade: unable to negotiate protocol: server supports {supported}")


async def until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """The first to end ends the others: the command, or the client's connection."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _over_websocket(request: web.BaseRequest, wanted: Wanted, command: Command) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=WEBSOCKET_PROTOCOLS, compress=False)
    await socket.prepare(request)
    channels = WebSocketChannels(socket, wanted)

    async def run() -> None:
        try:
            await asyncio.sleep(_CLIENT_STREAMS_SECONDS)
            await channels.greet()
            await channels.finish(exit_status(await command(channels.streams)))
        except* ConnectionError:
            pass  # the client is gone: nobody is left to be told

    await until_one_ends(channels.listen(), run())
    await socket.close()
    return socket


async def _over_spdy(request: web.BaseRequest, wanted: Wanted, command: Command) -> web.StreamResponse:
    if SPDY_PROTOCOL not in offered_protocols(request):
        raise no_common_protocol(SPDY_PROTOCOL)
    answer = Upgraded("SPDY/3.1", CIMultiDict({"X-Stream-Protocol-Version": SPDY_PROTOCOL}))
    pipe = await answer.take_over(request)
    channels = SpdyChannels(wanted)
    connection = SpdyConnection(pipe, channels.opened)

    async def run() -> None:
        try:
            streams = await channels.ready()
            code = await command(streams)
            streams.stdin.abandon()
            await channels.finish(exit_status(code))
            await connection.close()
            # closing with input unread would reset the connection and lose the end of the output
            await asyncio.sleep(_LINGER_SECONDS)
        except* (ConnectionError, TimeoutError):
            pass  # the client is gone: nobody is left to be told

    try:
        await until_one_ends(connection.run(), channels.follow_resizes(), run())
    finally:
        pipe.close()
    return answer

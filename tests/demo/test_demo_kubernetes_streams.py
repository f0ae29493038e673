"""exec, attach and port-forward on the wire: raw SPDY/3.1 bytes, and a WebSocket client that is not ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from proxy.demo.kubernetes import ApiServer, child_objects
from proxy.demo.kubernetes.spdy_frames import Chunk, Codec, Frame, GoAway, Ping, Reset, SynReply, SynStream

POD = "/api/v1/namespaces/default/pods/toolbox"
V5, V4, TUNNEL = "v5.channel.k8s.io", "v4.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"
SUCCESS = {"metadata": {}, "status": "Success"}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer(child_objects("prod"), name="prod", tokens={"secret": "ann"})
    yield server
    await server.stop()


@pytest.fixture
async def port(server: ApiServer) -> int:
    return await server.start("127.0.0.1", 0, None)


def exec_path(*command: str, **flags: bool) -> str:
    words = "&".join([f"command={word}" for word in command] + [f"{name}=true" for name, on in flags.items() if on])
    return f"{POD}/exec?container=shell&{words}"


@dataclass
class SpdyClient:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes
    codec: Codec = field(default_factory=Codec)
    data: dict[int, bytes] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    others: list[Frame] = field(default_factory=list)

    async def send(self, *frames: Frame) -> None:
        self.writer.write(b"".join(self.codec.encode(frame) for frame in frames))
        await self.writer.drain()

    async def until(self, *finished: int, other: Frame | None = None) -> None:
        """Reads until these streams are finished, or the frame has come."""
        async with asyncio.timeout(5):
            while not (set(finished) <= self.finished and (other is None or other in self.others)):
                received = await self.reader.read(65536)
                assert received, "the server closed"
                for frame in self.codec.feed(received):
                    self._take(frame)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Chunk):
            self.data[frame.stream] = self.data.get(frame.stream, b"") + frame.payload
            self.finished |= {frame.stream} if frame.fin else set()
        else:
            self.others.append(frame)


@asynccontextmanager
async def spdy(port: int, path: str, versions: tuple[str, ...], before: bytes = b"") -> AsyncIterator[SpdyClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    offers = "".join(f"X-Stream-Protocol-Version: {version}\r\n" for version in versions)
    head = f"POST {path} HTTP/1.1\r\nHost: pod\r\nAuthorization: Bearer secret\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{offers}\r\n"
    writer.write(before + head.encode())
    if before:
        await reader.readuntil(b"\r\n\r\nok")
    try:
        yield SpdyClient(reader, writer, await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5))
    finally:
        writer.close()


def opened(*kinds: str, **headers: str) -> list[SynStream]:
    return [SynStream(2 * place + 1, {"streamtype": kind, **headers}) for place, kind in enumerate(kinds)]


async def test_exec_over_spdy_tells_output_and_exit_status(port: int) -> None:
    path = exec_path("sh", "-c", "cat;echo+err+%3E%262;exit+7", stdin=True, stdout=True, stderr=True)
    async with spdy(port, path, ("v4.channel.k8s.io", "channel.k8s.io")) as client:
        assert client.head.startswith(b"HTTP/1.1 101 ")
        assert b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in client.head
        await client.send(*opened("error", "stdin", "stdout", "stderr"), Ping(1))
        await client.send(Chunk(3, b"in"), Chunk(3, b"put", fin=True))
        await client.until(1, 3, 5, 7, other=GoAway(7))
        assert (client.data[5], client.data[7]) == (b"input", b"err\n")
        status = json.loads(client.data[1])
        assert (status["reason"], status["details"]["causes"]) == ("NonZeroExitCode", [{"reason": "ExitCode", "message": "7"}])
        assert [frame for frame in client.others if isinstance(frame, SynReply)] == [SynReply(number) for number in (1, 3, 5, 7)]
        assert Ping(1) in client.others


async def test_a_connection_that_served_requests_can_become_spdy(port: int) -> None:
    before = b"GET /readyz HTTP/1.1\r\nHost: pod\r\n\r\n"
    async with spdy(port, exec_path("echo", "hi", stdout=True), ("v4.channel.k8s.io",), before) as client:
        await client.send(*opened("error", "stdout"))
        await client.until(1, 3)
        assert client.data == {1: json.dumps(SUCCESS).encode(), 3: b"hi\n"}


async def test_a_command_that_ends_early_does_not_lose_its_output_to_unread_input(port: int) -> None:
    async with spdy(port, exec_path("head", "-1", stdin=True, stdout=True), ("v4.channel.k8s.io",)) as client:
        # far more than the server holds for a command that does not read
        await client.send(*opened("error", "stdin", "stdout"), Chunk(3, b"first\n"), *[Chunk(3, bytes(65536))] * 200)
        await client.until(1, 5)
        assert client.data[5] == b"first\n"


async def test_a_client_that_goes_away_ends_its_command(server: ApiServer, port: int) -> None:
    async with spdy(port, exec_path("sleep", "60", stdout=True), ("v4.channel.k8s.io",)) as client:
        await client.send(*opened("error", "stdout"))
        await client.until(other=SynReply(3, {}))
        assert running()
    async with asyncio.timeout(5):
        while running():
            await asyncio.sleep(0.01)


def running() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if "_over_spdy" in repr(task.get_coro())]


async def test_what_is_no_spdy_ends_the_connection(port: int) -> None:
    async with spdy(port, exec_path("sleep", "60", stdout=True), ("v4.channel.k8s.io",)) as client:
        client.writer.write(b"\x80\x02" + bytes(100))
        assert await asyncio.wait_for(client.reader.read(), 5) == b""


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        (exec_path("ls", stdout=True), {"X-Stream-Protocol-Version": "v9.channel.k8s.io"}, 403),
        (f"{POD}/portforward", {"X-Stream-Protocol-Version": "v9"}, 403),
        (exec_path("ls"), {"X-Stream-Protocol-Version": "v4.channel.k8s.io"}, 400),
        (exec_path(stdout=True), {"X-Stream-Protocol-Version": "v4.channel.k8s.io"}, 400),
        (exec_path("ls", stdout=True), {"X-Stream-Protocol-Version": "v4.channel.k8s.io", "Authorization": "Bearer other"}, 401),
        (exec_path("ls", stdout=True), {"Upgrade": "h2c"}, 400),
        (f"{POD}/portforward", {"Upgrade": "h2c"}, 400),
    ],
)
async def test_upgrades_that_do_not_fit_are_refused(port: int, path: str, headers: dict[str, str], code: int) -> None:
    defaults = {"Authorization": "Bearer secret", "Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http, http.post(path, headers=defaults | headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (code, code)


@asynccontextmanager
async def websocket(port: int, path: str, *protocols: Any) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": "Bearer secret"}
    async with connect(f"ws://127.0.0.1:{port}{path}", subprotocols=protocols, additional_headers=headers) as client:
        yield client


async def channels_of(client: ClientConnection) -> Mapping[int, bytes]:
    """All that was sent, by channel, once the server has closed."""
    channels: dict[int, bytes] = {}
    async with asyncio.timeout(5):
        async for message in client:
            assert isinstance(message, bytes)
            channels[message[0]] = channels.get(message[0], b"") + message[1:]
    return channels


async def test_exec_over_websocket_ends_input_by_a_close_message(port: int) -> None:
    path = exec_path("sh", "-c", "cat;echo+err+%3E%262;exit+7", stdin=True, stdout=True, stderr=True)
    async with websocket(port, path, V5, V4) as client:
        assert client.subprotocol == V5
        for message in (b"\x00in", b"\x00put", b"\xff\x01", "text", b"", b"\xff\x00"):
            await client.send(message)
        channels = await channels_of(client)
    assert (channels[1], channels[2], json.loads(channels[3])["message"]) == (
        b"input",
        b"err\n",
        "command terminated with non-zero exit code: exit status 7",
    )


async def test_exec_over_websocket_v4(port: int) -> None:
    async with websocket(port, exec_path("echo", "hi", stdout=True), V4) as client:
        assert client.subprotocol == V4
        assert await channels_of(client) == {1: b"hi\n", 3: json.dumps(SUCCESS).encode()}


async def test_input_is_not_read_unless_asked_for(port: int) -> None:
    async with websocket(port, exec_path("cat", stdout=True), V5) as client:
        await client.send(b"\x00not this")
        assert (await channels_of(client))[1] == b""


async def test_a_terminal_echoes_and_follows_its_size(port: int) -> None:
    async with websocket(port, exec_path("sh", stdin=True, stdout=True, tty=True), V5) as client:
        await client.send(b"\x04" + json.dumps({"Width": 99, "Height": 33}).encode())
        await client.send(b"\x04nonsense")
        await client.send(b"\x00stty size\rexit 3\r")
        channels = await channels_of(client)
    assert b"/ # stty size\r\n" in channels[1]
    assert b"33 99\r\n" in channels[1]
    assert json.loads(channels[3])["details"]["causes"][0]["message"] == "3"


async def test_a_terminal_edits_interrupts_and_ends(port: int) -> None:
    async with websocket(port, exec_path("sh", stdin=True, stdout=True, tty=True), V5) as client:
        for keys, shown in (
            (b"", b"/ # "),
            (b"echo wrong\x7f\x08\x7f\x7f\x7fright\n", b"\r\nright\r\n/ # "),
            (b"all of it\x15echo new\x01\r", b"\r\nnew\r\n/ # "),
            (b"half\x03", b"^C\r\n/ # "),
            (b"sleep 60\r", b"sleep 60\r\n"),
            (b"\x03", b"^C\r\n/ # "),
            (b"echo $?\r", b"\r\n130\r\n/ # "),
            (b"cat\rline\r", b"line\r\nline\r\n"),
            (b"\x04", b"/ # "),
        ):
            await client.send(b"\x00" + keys)
            await seen(client, shown)
        await client.send(b"\x00\x04")
        assert json.loads((await channels_of(client))[3]) == SUCCESS


async def seen(client: ClientConnection, expected: bytes) -> None:
    text = b""
    async with asyncio.timeout(5):
        while expected not in text:
            message = await client.recv()
            assert isinstance(message, bytes)
            text += message[1:]


async def test_a_command_in_a_terminal_is_interrupted(port: int) -> None:
    async with websocket(port, exec_path("sleep", "60", stdin=True, stdout=True, tty=True), V5) as client:
        await client.send(b"\x00\x03")
        assert json.loads((await channels_of(client))[3])["details"]["causes"][0]["message"] == "130"


async def test_a_terminal_takes_the_size_over_spdy_too(port: int) -> None:
    async with spdy(port, exec_path("sh", stdin=True, stdout=True, tty=True), ("v4.channel.k8s.io",)) as client:
        await client.send(*opened("error", "stdin", "stdout", "resize"), Chunk(7, b'{"Width":99,"Height":33}\n'))
        await client.until(other=SynReply(7, {}))
        await client.send(Chunk(3, b"stty size\r"))
        await client.send(Chunk(3, b"exit 3\r"))
        await client.until(1, 5)
        assert b"33 99\r\n" in client.data[5]


async def test_attach_shows_what_the_container_writes(port: int) -> None:
    async with websocket(port, f"{POD}/attach?container=sidecar&stdout=true", V5) as client:
        assert await client.recv() == b"\x01"
        assert b"sidecar request=" in await asyncio.wait_for(client.recv(), 5)  # type: ignore[operator]


async def test_an_unknown_container_is_refused_before_the_upgrade(port: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with websocket(port, f"{POD}/exec?container=nobody&command=ls&stdout=true", V5):
            pass
    assert refused.value.response.status_code == 400


def pair(number: int, request: str, port: str) -> list[SynStream]:
    return [
        SynStream(number, {"streamtype": "error", "port": port, "requestid": request}),
        SynStream(number + 2, {"streamtype": "data", "port": port, "requestid": request}),
    ]


async def test_port_forward_over_spdy_carries_several_connections(port: int) -> None:
    async with spdy(port, f"{POD}/portforward", ("portforward.k8s.io",)) as client:
        await client.send(*pair(1, "0", "8080"), *pair(5, "1", "8080"), *pair(9, "2", "81"))
        await client.send(Chunk(7, b"echo"), Chunk(3, b"GET /<x> HTTP/1.1\r\n\r\n"), Chunk(7, b" me", fin=True))
        await client.until(1, 3, 5, 7, 9, 11)
        assert client.data[3].startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"&lt;x&gt;" in client.data[3]
        assert client.data[7] == b"echo me"
        assert b"connection refused" in client.data[9]
        await client.send(SynStream(13, {"streamtype": "error", "requestid": "3", "port": "8080"}), Reset(13), Ping(9), Ping(2))
        await client.until(other=Ping(9))
        assert Ping(2) not in client.others


async def test_port_forward_inside_a_websocket(port: int) -> None:
    # the name holds a slash, which the other client refuses to send
    headers, url = {"Authorization": "Bearer secret"}, f"http://127.0.0.1:{port}{POD}/portforward"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, protocols=(TUNNEL,), headers=headers) as client:
        assert client.protocol == TUNNEL
        codec, received = Codec(), b""
        wire = b"".join(codec.encode(frame) for frame in (*pair(1, "0", "8080"), Chunk(3, b"echo", fin=True)))
        await client.send_bytes(wire[:20])
        await client.send_bytes(wire[20:])
        async with asyncio.timeout(5):
            while Chunk(3, b"", fin=True) not in list(Codec().feed(received)):
                received += await client.receive_bytes()
        assert Chunk(3, b"echo") in list(Codec().feed(received))


async def test_port_forward_over_another_websocket_protocol_is_refused(port: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with websocket(port, f"{POD}/portforward", V4):
            pass
    assert refused.value.response.status_code == 403


async def test_streams_have_a_bound_and_numbers_are_used_once(port: int) -> None:
    async with spdy(port, f"{POD}/portforward", ("portforward.k8s.io",)) as client:
        await client.send(*(SynStream(2 * place + 1) for place in range(1001)), SynStream(1))
        await client.until(other=Reset(1))
        assert [frame for frame in client.others if isinstance(frame, Reset)] == [Reset(2001), Reset(1)]


async def test_stopping_the_server_ends_streams(server: ApiServer, port: int) -> None:
    async with (
        spdy(port, exec_path("sleep", "60", stdout=True), ("v4.channel.k8s.io",)) as over_spdy,
        websocket(port, exec_path("sleep", "60", stdout=True), V5) as over_websocket,
    ):
        await over_spdy.send(*opened("error", "stdout"))
        await over_spdy.until(other=SynReply(3, {}))
        await over_websocket.recv()
        await asyncio.wait_for(server.stop(), 5)
        assert await over_spdy.reader.read() == b""
        with pytest.raises(Exception, match="close"):
            await over_websocket.recv()

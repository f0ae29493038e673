"""Messages over a real socket pair."""

import asyncio
import socket

import msgspec
import pytest

from proxy.operations.supervisor_channel import (
    Answer,
    Beat,
    Channel,
    Failed,
    Message,
    Order,
    Ordered,
    Question,
    Reloaded,
    Serving,
    Subject,
)

ALL = [
    *map(Ordered, Order),
    *(Question(7, subject) for subject in Subject),
    Beat(),
    Serving(),
    Failed("tls.key: Permission denied"),
    Reloaded(),
    Answer(7, b"\x00" * 300_000),
]


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


async def opened() -> tuple[Channel, list[Message], socket.socket]:
    received: list[Message] = []
    channel = Channel(received.append)
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    await channel.open(ours)
    return channel, received, theirs


async def test_every_message_arrives_as_it_was_sent_and_in_order():
    received: list[Message] = []
    one, other = Channel(received.append), Channel(lambda _: None)
    for channel, sock in zip((one, other), socket.socketpair(), strict=True):
        await channel.open(sock)
    for message in ALL:
        other.send(message)
    await other.close()
    await asyncio.wait_for(one.lost, 5)
    assert received == ALL
    one.send(Beat())  # into the void


async def test_a_frame_may_come_byte_by_byte():
    channel, received, theirs = await opened()
    for byte in frame(msgspec.msgpack.encode(Beat())) * 2:
        theirs.sendall(bytes((byte,)))
        await asyncio.sleep(0)
    theirs.close()
    await asyncio.wait_for(channel.lost, 5)
    assert received == [Beat(), Beat()]


@pytest.mark.parametrize(
    "data",
    [
        frame(b"\xc1"),
        frame(msgspec.msgpack.encode(["unknown"])),
        frame(msgspec.msgpack.encode(["answer", "7", b""])),
        frame(b""),
        b"\xff\xff\xff\xff",
    ],
)
async def test_what_is_no_message_ends_the_channel(data):
    channel, received, theirs = await opened()
    with theirs:
        theirs.sendall(data + frame(msgspec.msgpack.encode(Beat())))
        await asyncio.wait_for(channel.lost, 5)
        assert theirs.recv(1) == b""
    assert received == []

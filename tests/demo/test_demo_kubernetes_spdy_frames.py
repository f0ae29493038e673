"""SPDY/3.1 frames of the demonstration API: the published dictionary, and bytes that are no frames."""

import struct
import zlib

import pytest

from proxy.demo.kubernetes.spdy_frames import (
    DICTIONARY,
    BrokenFrame,
    Chunk,
    Codec,
    Frame,
    GoAway,
    Ping,
    Reset,
    SynReply,
    SynStream,
)

FRAMES: tuple[Frame, ...] = (
    SynStream(1, {"streamtype": "error", "port": "8080"}),
    SynStream(3, {"streamtype": "error", "x": "é"}, fin=True),
    SynReply(1, {"a": "b"}),
    Chunk(1, b"bytes"),
    Chunk(1, b"", fin=True),
    Reset(3),
    Ping(7),
    GoAway(3),
)


def test_the_dictionary_is_the_published_one() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_frames_come_back_however_they_are_cut(size: int) -> None:
    sender, receiver = Codec(), Codec()
    wire = b"".join(sender.encode(frame) for frame in FRAMES)
    pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
    assert [frame for piece in pieces for frame in receiver.feed(piece)] == list(FRAMES)


def test_header_blocks_share_one_compression_context_also_with_skipped_frames() -> None:
    sender, receiver = Codec(), Codec()
    first = sender.encode(SynReply(1, {"streamtype": "stdin"}))
    headers = first[:2] + struct.pack(">H", 8) + first[4:]
    settings = struct.pack(">HHI", 0x8003, 4, 4) + bytes(4)
    second = sender.encode(SynReply(3, {"streamtype": "stdin"}))
    assert list(receiver.feed(headers + settings + second)) == [SynReply(3, {"streamtype": "stdin"})]


def bomb() -> bytes:
    deflate = zlib.compressobj(zdict=DICTIONARY)
    packed = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return struct.pack(">HHI", 0x8003, 2, 4 + len(packed)) + struct.pack(">I", 1) + packed


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (struct.pack(">HHI", 0x8002, 1, 10) + bytes(10), "not version 3"),
        (struct.pack(">II", 1, (1 << 20) + 1), "frame too long"),
        (struct.pack(">HHI", 0x8003, 1, 14) + bytes(14), "malformed frame"),
        (struct.pack(">HHI", 0x8003, 6, 2) + bytes(2), "malformed frame"),
        (bomb(), "header block too long"),
    ],
)
def test_other_bytes_are_refused(wire: bytes, why: str) -> None:
    with pytest.raises(BrokenFrame, match=why):
        list(Codec().feed(wire))

"""TLS under our protocols: what goes through, how it ends, what it costs, and what a peer can do to it."""

import asyncio
import ctypes
import random
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from edge_door import server_tls
from tls_peer import Connections, Ours, Peer, connecting, on_uvloop, until

BOTH = pytest.mark.parametrize("side", ["server", "client"])


async def cut(peer: Peer) -> None:
    """End the TCP stream."""
    peer.sock.shutdown(socket.SHUT_WR)


# what goes through


@BOTH
@on_uvloop
async def test_bytes_go_both_ways(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        await peer.send(b"from the peer")
        await until(lambda: ours.received)
        ours.transport.write(b"from us")
        assert (ours.received, await peer.receive(7)) == (b"from the peer", b"from us")
        assert ours.told == ["made"]


@BOTH
@on_uvloop
async def test_a_transport_tells_of_the_connection_below_and_of_its_own_session(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        transport = ours.transport
        assert transport.get_extra_info("peername") == peer.sock.getsockname()
        assert transport.get_extra_info("socket").getpeername() == peer.sock.getsockname()
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert transport.get_extra_info("nothing", "default") == "default"
        assert not transport.can_write_eof()
        assert repr(transport) == f"TlsTransport(open, {side} side)"
        transport.abort()
        assert repr(transport) == f"TlsTransport(closing, {side} side)"


@BOTH
@on_uvloop
async def test_data_that_comes_with_the_end_of_the_handshake_is_not_lost(side: str) -> None:
    async with connecting(side) as connections:
        peer = await connections.peer()
        await peer.shake_hands(with_last=b"early")
        await until(lambda: connections.waiting.protocols and connections.waiting.protocols[0].received)
        assert connections.waiting.protocols[0].received == b"early"


@BOTH
@on_uvloop
async def test_connections_that_share_a_pair_do_not_meet_whatever_the_pieces(side: str) -> None:
    """Records arrive in fragments, turn and turn about: a part of one waits in its own connection."""
    chance = random.Random(1)
    async with connecting(side) as connections:
        ends = [await connections.open() for _ in range(4)]
        sent = [bytes([number]) * 40_000 for number in range(4)]
        streams = [
            b"".join(peer.encrypted(data[start : start + 5000]) for start in range(0, len(data), 5000))
            for (peer, _), data in zip(ends, sent, strict=True)
        ]
        while any(streams):
            number = chance.randrange(4)
            size = chance.choice([1, 4, 5, 6, 700, 3000])
            await ends[number][0].put(streams[number][:size])
            streams[number] = streams[number][size:]
            ends[number][1].transport.write(b"!")
            await asyncio.sleep(0)
        await until(lambda: all(len(ours.received) == 40_000 for _, ours in ends))
        assert [ours.received for _, ours in ends] == sent
        assert await ends[0][0].receive(50) == b"!" * 50


@BOTH
@on_uvloop
async def test_a_read_is_handed_up_in_one_piece(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        await peer.put(peer.encrypted(b"a" * 100) + peer.encrypted(b"b" * 100))
        await until(lambda: len(ours.received) == 200)
        assert ours.pieces == [200]


def records(data: bytes) -> list[int]:
    """Return the sizes of TLS records."""
    found = []
    while data:
        size = 5 + int.from_bytes(data[3:5])
        found.append(size)
        data = data[size:]
    return found


@on_uvloop
async def test_small_pieces_become_one_record_and_large_ones_the_largest_there_are() -> None:
    async with connecting("client") as connections:
        peer, ours = await connections.open()
        ours.transport.writelines([b"head", bytearray(b"body"), b""])
        assert records(await peer.loop.sock_recv(peer.sock, 65536)) == [5 + 8 + 17]
        ours.transport.write(b"")
        ours.transport.writelines([])
        ours.transport.write(b"x" * 40_000)
        assert records(await peer.loop.sock_recv(peer.sock, 65536)) == [5 + 16384 + 17, 5 + 16384 + 17, 5 + 7232 + 17]


@BOTH
@on_uvloop
async def test_large_writes_arrive_whole_and_in_order(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        large = random.Random(2).randbytes(1_000_000)
        ours.transport.write(large)
        ours.transport.writelines([b"a" * 20_000, b"", memoryview(large), bytearray(b"z")])
        expected = large + b"a" * 20_000 + large + b"z"
        assert await peer.receive(len(expected)) == expected


# flow


@BOTH
@on_uvloop
async def test_a_reader_that_is_slow_pauses_the_writer(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        ours.transport.set_write_buffer_limits(high=65536)
        written = 0
        while "pause" not in ours.told:
            ours.transport.write(b"x" * 30_000)
            written += 30_000
            assert written < 30_000_000
        assert ours.transport._lower.get_write_buffer_size() < 65536 + 31_000
        assert "resume" not in ours.told
        assert len(await peer.receive(written)) == written
        await until(lambda: "resume" in ours.told)


@BOTH
@on_uvloop
async def test_a_paused_transport_has_decrypted_no_more_than_one_read(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        ours.on_data = ours.transport.pause_reading
        sending = asyncio.get_running_loop().create_task(peer.send(b"x" * 8_000_000))
        await until(lambda: ours.received)
        await asyncio.sleep(0.05)
        assert (len(ours.pieces), sending.done()) == (1, False)
        assert len(ours.received) <= 256_000
        ours.on_data = None
        ours.transport.resume_reading()
        await until(lambda: len(ours.received) == 8_000_000)
        await sending


# ends


@BOTH
@on_uvloop
async def test_close_notify_is_an_end_and_is_answered(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        await peer.put(peer.encrypted(b"last words") + peer.close_notify())
        assert await peer.receive(1) == b""
        await until(lambda: "lost" in ours.told)
        assert (ours.received, ours.told, ours.error) == (b"last words", ["made", "eof", "lost"], None)


@BOTH
@on_uvloop
async def test_what_follows_close_notify_is_thrown_away(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        await peer.put(peer.close_notify() + b"\x17\x03\x03 more")
        await until(lambda: "lost" in ours.told)
        assert (ours.received, ours.told, ours.error) == (b"", ["made", "eof", "lost"], None)


@BOTH
@pytest.mark.parametrize("rest", [0, 30])
@on_uvloop
async def test_a_stream_that_is_cut_has_no_end(side: str, rest: int) -> None:
    """Between two records as well as within one."""
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        await peer.put(peer.encrypted(b"a part") + peer.encrypted(b"the rest of it")[:rest])
        await until(lambda: ours.received)
        await cut(peer)
        await until(lambda: "lost" in ours.told)
        assert (ours.received, ours.told) == (b"a part", ["made", "lost"])
        assert str(ours.error) == "the connection was cut: no close_notify"
        # Nor does it get one from us.
        with pytest.raises(ssl.SSLEOFError):
            await peer.receive(1)


@BOTH
@on_uvloop
async def test_a_record_that_was_changed_ends_its_connection_and_no_other(side: str) -> None:
    async with connecting(side) as connections:
        (peer, ours), (other_peer, other) = await connections.open(), await connections.open()
        good, bad = peer.encrypted(b"good"), bytearray(peer.encrypted(b"bad"))
        bad[-1] ^= 1
        await peer.put(good + bad + b"\x17\x03\x03\x00\x10")
        with pytest.raises(ssl.SSLError, match=r"(?i)bad record mac"):
            await peer.receive(1)
        await until(lambda: "lost" in ours.told)
        assert (ours.told, ours.received) == (["made", "lost"], b"")
        assert isinstance(ours.error, ssl.SSLError)
        await other_peer.send(b"well")
        await until(lambda: other.received)
        other.transport.write(b"fine")
        assert (other.received, await other_peer.receive(4)) == (b"well", b"fine")


@BOTH
@on_uvloop
async def test_closing_sends_what_is_buffered_and_then_close_notify(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        ours.transport.write(b"x" * 10_000_000)
        ours.transport.close()
        assert ours.transport.is_closing()
        ours.transport.write(b"too late")
        ours.transport.writelines([b"too", b"late" * 10_000])
        ours.transport.close()
        assert "lost" not in ours.told
        assert await peer.receive(20_000_000) == b"x" * 10_000_000
        await until(lambda: "lost" in ours.told)
        assert (ours.told[-1], ours.error) == ("lost", None)
        assert "eof" not in ours.told


@BOTH
@pytest.mark.parametrize(
    "end", [cut, lambda peer: peer.put(peer.close_notify()), lambda peer: peer.put(b"\x17\x03\x03\x00\x01x")]
)
@on_uvloop
async def test_a_peer_that_ends_without_reading_is_not_waited_for_for_ever(side: str, end: Callable) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        ours.transport.write(b"x" * 10_000_000)
        await end(peer)
        await until(lambda: ours.transport._flush_timer)
        timer, size = ours.transport._flush_timer, ours.transport._lower.get_write_buffer_size()
        ours.transport.write(b"too late")
        assert ours.transport._lower.get_write_buffer_size() == size
        assert timer.when() - connections.loop.time() == pytest.approx(30, abs=1)
        assert "lost" not in ours.told
        peer.sock.close()
        await until(lambda: "lost" in ours.told)
        assert timer.cancelled()


@BOTH
@on_uvloop
async def test_aborting_is_not_a_clean_end(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        ours.transport.write(b"a part")
        ours.transport.abort()
        assert ours.transport.is_closing()
        assert await peer.receive(6) == b"a part"
        with pytest.raises(ssl.SSLEOFError):
            await peer.receive(1)
        await until(lambda: "lost" in ours.told)
        assert ours.error is None


@BOTH
@on_uvloop
async def test_a_reset_is_told_as_one(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        peer.sock.close()
        await until(lambda: "lost" in ours.told)
        assert (ours.told, type(ours.error)) == (["made", "lost"], ConnectionResetError)
        assert ours.transport.is_closing()
        assert ours.transport.get_extra_info("ssl_object") is None


@BOTH
@on_uvloop
async def test_another_protocol_takes_over(side: str) -> None:
    async with connecting(side) as connections:
        peer, ours = await connections.open()
        tunnel = Ours(connections.bios)
        ours.on_data = lambda: ours.transport.set_protocol(tunnel)
        await peer.put(peer.encrypted(b"switch") + peer.close_notify())
        await until(lambda: "lost" in tunnel.told)
        assert (ours.told, tunnel.told, ours.received) == (["made"], ["eof", "lost"], b"switch")
        connections.waiting.protocols.clear()


# handshakes


class Refusing(Ours):
    """Wants no more of its connection as soon as it has one."""

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        transport.abort()


@BOTH
@on_uvloop
async def test_a_protocol_that_refuses_its_connection_gets_no_data(side: str) -> None:
    async with connecting(side, Refusing) as connections:
        peer = await connections.peer()
        await peer.shake_hands(with_last=b"early")
        await until(lambda: connections.waiting.protocols and "lost" in connections.waiting.protocols[0].told)
        assert (connections.waiting.protocols[0].told, connections.waiting.protocols[0].received) == (["made", "lost"], b"")


@BOTH
@on_uvloop
async def test_an_end_that_comes_with_the_end_of_the_handshake_is_seen(side: str) -> None:
    async with connecting(side) as connections:
        peer = await connections.peer()
        await peer.shake_hands(with_last=b"all", and_end=True)
        await until(lambda: connections.waiting.protocols and "lost" in connections.waiting.protocols[0].told)
        assert (connections.waiting.protocols[0].told, connections.waiting.protocols[0].received) == (
            ["made", "eof", "lost"],
            b"all",
        )


@on_uvloop
async def test_a_connection_that_is_not_taken_in_costs_no_handshake() -> None:
    async with connecting("server", takes_in=False) as connections:
        sock = await connections.raw()
        assert await connections.loop.sock_recv(sock, 10) == b""
        assert not hasattr(connections.waiting.transports[0], "_tls")
        assert not connections.waiting.errors


@on_uvloop
async def test_a_silent_client_has_no_session() -> None:
    async with connecting("server") as connections:
        await connections.raw()
        (transport,) = connections.waiting.transports
        assert transport.get_extra_info("ssl_object") is None
        assert repr(transport) == "TlsTransport(shaking hands, server side)"
        transport.close()
        await until(lambda: connections.waiting.errors)


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ssl.SSLError, "HTTP_REQUEST"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ssl.SSLError, "WRONG_VERSION_NUMBER"),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01a", ssl.SSLError, "UNEXPECTED_MESSAGE"),
        (b"", ConnectionResetError, "ended within its handshake|was cut"),
        (b"\x16\x03\x01", ConnectionResetError, "was cut"),
    ],
)
@on_uvloop
async def test_what_is_no_handshake_is_told_and_ended(said: bytes, error: type[Exception], text: str) -> None:
    async with connecting("server") as connections:
        sock = await connections.raw()
        await connections.loop.sock_sendall(sock, said)
        if error is ConnectionResetError:
            sock.shutdown(socket.SHUT_WR)
        while await connections.loop.sock_recv(sock, 1000):
            pass
        await until(lambda: connections.waiting.errors)
        with pytest.raises(error, match=text):
            raise connections.waiting.errors[0]
        assert len(connections.waiting.errors) == 1
        assert not connections.waiting.protocols


@on_uvloop
async def test_a_failed_handshake_leaves_nothing_for_the_next() -> None:
    """Rubbish of the one that is over must not be taken for a part of another."""
    async with connecting("server") as connections:
        first = await connections.raw()
        second = await connections.peer()
        await connections.loop.sock_sendall(first, b"GET / HTTP/1.1\r\n" * 100)
        await until(lambda: connections.waiting.errors)
        await second.shake_hands()
        await second.send(b"hello")
        await until(lambda: connections.waiting.protocols and connections.waiting.protocols[0].received)
        assert connections.waiting.protocols[0].received == b"hello"


@on_uvloop
async def test_a_certificate_that_is_not_believed_is_told_to_the_server(tmp_path: Path) -> None:
    async with connecting("client") as connections:
        sock = await connections.raw()
        server = Peer.on(sock, server_tls(tmp_path, by="nobody"), None)
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown ca"):
            await server.shake_hands()
        assert isinstance(connections.waiting.errors[0], ssl.SSLCertVerificationError)


# memory


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "cost")
    ]


def in_use() -> int:
    """Return how many bytes are allocated in this process, as glibc counts them."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        pytest.skip("only glibc tells")
    mallinfo2.restype = _Mallinfo2
    found = mallinfo2()
    return int(found.uordblks + found.hblkhd)


async def exchange(connections: Connections, ends: list[tuple[Peer, Ours]], size: int) -> None:
    for peer, ours in ends:
        ours.received = b""
        sending = connections.loop.create_task(peer.send(b"x" * size))
        await until(lambda ours=ours: len(ours.received) == size)
        await sending
        ours.received = b""
        ours.pieces.clear()


@BOTH
@on_uvloop
async def test_an_idle_connection_keeps_no_buffer(side: str) -> None:
    """A write makes OpenSSL free its write buffer: an idle connection must have none that one could free."""
    async with connecting(side) as connections:
        ends = [await connections.open() for _ in range(20)]
        await exchange(connections, ends, 100)
        before = in_use()
        for _, ours in ends:
            ours.transport.write(b"x")
        assert (before - in_use()) / len(ends) < 2000


@BOTH
@on_uvloop
async def test_large_transfers_leave_nothing_behind(side: str) -> None:
    async with connecting(side) as connections:
        ends = [await connections.open() for _ in range(11)]
        for peer, ours in ends:
            ours.transport.write(b"y" * 300)
            await peer.receive(300)
            # What the peer's own pair grows to is not what is measured.
            for bio in (peer.incoming, peer.outgoing):
                bio.write(bytes(400_000))
                bio.read()
        before = 0
        for number, (peer, ours) in enumerate(ends):
            await exchange(connections, [(peer, ours)], 300_000)
            ours.transport.write(b"y" * 300_000)
            await peer.receive(300_000)
            if number == 0:
                # The pair that all of ours share has grown by now.
                before = in_use()
        assert (in_use() - before) / 10 < 2000

"""Connections to one upstream: reused, bounded, shared fairly, and left alone when it is sick."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from edge_door import POD, Door, Wire, answering, server_tls, write_authority

from proxy.directory.upstream import Upstream
from proxy.errors import BadGateway, GatewayTimeout, RequestError, Unavailable
from proxy.forwarding.connection import UpstreamConnection
from proxy.forwarding.pool import Pool, PoolLimits, Reach
from proxy.forwarding.tasks import TaskSet
from proxy.forwarding.tls import SharedContexts

Maker = Callable[..., Door]
LIMITS = PoolLimits(connections=2, idle_connections=2, idle_seconds=10, connect_seconds=2)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Accepts and keeps connections, or ends each at once."""

    def __init__(self) -> None:
        self.accepted: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(writer)


@contextlib.asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in server.accepted:
            writer.close()


@contextlib.asynccontextmanager
async def pooling(port: int, limits: PoolLimits = LIMITS, reach: Reach | None = None, **upstream) -> AsyncIterator[Pool]:
    tasks = TaskSet(asyncio.get_running_loop())
    named = Upstream("kaas", **({"scheme": "http", "host": "127.0.0.1", "port": port} | upstream))
    pool = Pool(named, None, limits, tasks, reach)
    yield pool
    pool.close()
    await tasks.close()


class Asker:
    """Someone who asks for a connection; `is_gone` wants none any more."""

    def __init__(self, *, is_gone: bool = False) -> None:
        self.told: asyncio.Future[UpstreamConnection | RequestError] = asyncio.get_running_loop().create_future()
        self.is_gone = is_gone

    def connected(self, connection: UpstreamConnection) -> bool:
        if self.is_gone:
            return False
        self.told.set_result(connection)
        return True

    def not_connected(self, error: RequestError) -> None:
        self.told.set_result(error)

    async def connection(self) -> UpstreamConnection:
        found = await asyncio.wait_for(self.told, 3)
        assert isinstance(found, UpstreamConnection), found
        return found

    async def error(self) -> RequestError:
        found = await asyncio.wait_for(self.told, 3)
        assert isinstance(found, RequestError), found
        return found


def ask(pool: Pool, *, fresh: bool = False) -> Asker:
    asker = Asker()
    assert pool.acquire(asker, fresh=fresh) is None
    return asker


async def two(pool: Pool) -> tuple[UpstreamConnection, UpstreamConnection]:
    askers = ask(pool), ask(pool)
    return await askers[0].connection(), await askers[1].connection()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(3):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_server_without_an_address_is_dialled_by_its_sockets() -> None:
    tasks = TaskSet(asyncio.get_running_loop())
    others: list[socket.socket] = []

    async def dial() -> socket.socket:
        if others:
            raise OSError("nobody there")
        near, far = socket.socketpair()
        near.setblocking(False)
        others.append(far)
        return near

    pool = Pool(Upstream("console", "http", "nowhere.invalid", 1), None, LIMITS, tasks, dial=dial)
    first, second = Asker(), Asker()
    assert pool.acquire(first, fresh=False) is None
    connection = await first.told
    assert isinstance(connection, UpstreamConnection)
    connection.transport.write(b"here")
    assert others[0].recv(9) == b"here"
    assert pool.acquire(second, fresh=True) is None
    assert isinstance(await second.told, BadGateway)
    pool.release(connection)
    pool.close()
    await tasks.close()
    for other in others:
        other.close()


async def test_the_last_connection_that_came_back_goes_out_first() -> None:
    async with listening() as server, pooling(server.port) as pool:
        first, second = await two(pool)
        assert (pool.active, pool.idle, pool.opened) == (2, 0, 2)
        pool.release(first)
        pool.release(second)
        assert (pool.active, pool.idle) == (0, 2)
        assert pool.acquire(Asker(), fresh=False) is second
        assert pool.acquire(Asker(), fresh=False) is first
        assert pool.opened == 2


async def test_idle_connections_are_bounded_in_number_and_in_time() -> None:
    limits = PoolLimits(connections=2, idle_connections=1, idle_seconds=10)
    async with listening() as server, pooling(server.port, limits) as pool:
        first, second = await two(pool)
        pool.release(first)
        pool.release(second)
        await until(lambda: (pool.idle, pool.active) == (1, 0))
        now = asyncio.get_running_loop().time()
        pool.sweep(now + 9)
        assert pool.idle == 1
        pool.sweep(now + 11)
        assert pool.idle == 0
        assert not first.is_usable()
        await until(lambda: pool.active == 0)


async def test_the_oldest_idle_connection_is_closed_first() -> None:
    async with listening() as server, pooling(server.port) as pool:
        first, second = await two(pool)
        pool.release(first)
        pool.release(second)
        second.idle_since += 5
        pool.sweep(first.idle_since + 11)
        assert pool.idle == 1
        assert pool.acquire(Asker(), fresh=False) is second


async def test_an_idle_connection_that_was_closed_is_not_handed_out() -> None:
    async with listening() as server, pooling(server.port) as pool:
        first, second = await two(pool)
        pool.release(second)
        pool.release(first)
        first.transport.close()
        assert pool.acquire(Asker(), fresh=False) is second
        await until(lambda: (pool.idle, pool.active) == (0, 1))


async def test_who_waits_is_served_in_order() -> None:
    async with listening() as server, pooling(server.port) as pool:
        first, second = await two(pool)
        third, fourth, fifth = ask(pool), ask(pool), ask(pool)
        await asyncio.sleep(0.02)
        assert (pool.waiting, pool.opened) == (3, 2)
        pool.release(second)
        assert await third.connection() is second
        pool.release(first)
        assert await fourth.connection() is first
        second.transport.abort()
        connection = await fifth.connection()
        assert connection not in {first, second}
        assert (pool.waiting, pool.active, pool.opened) == (0, 2, 3)


async def test_who_has_left_is_passed_over() -> None:
    async with listening() as server, pooling(server.port) as pool:
        first, second = await two(pool)
        gone, waiting = ask(pool), ask(pool)
        gone.is_gone = True
        pool.release(first)
        assert await waiting.connection() is first
        pool.release(second)
        assert (pool.waiting, pool.idle) == (0, 1)


async def test_a_connection_for_someone_who_has_left_is_kept_for_the_next() -> None:
    async with listening() as server, pooling(server.port) as pool:
        assert pool.acquire(Asker(is_gone=True), fresh=False) is None
        await until(lambda: pool.idle == 1)
        assert pool.acquire(Asker(is_gone=True), fresh=True) is None
        await until(lambda: pool.opened == 2)
        assert (pool.idle, pool.active) == (1, 0)


async def test_waiting_has_a_limit() -> None:
    async with listening() as server, pooling(server.port) as pool:
        await two(pool)
        waiting = ask(pool)
        now = asyncio.get_running_loop().time()
        pool.sweep(now + 1.5)
        assert pool.waiting == 1
        pool.sweep(now + 2.5)
        error = await waiting.error()
        assert isinstance(error, Unavailable)
        assert (error.message, pool.waiting) == ("the upstream is busy", 0)


async def test_a_long_running_request_has_a_connection_of_its_own() -> None:
    async with listening() as server, pooling(server.port) as pool:
        first, second = await two(pool)
        pool.release(first)
        own = await ask(pool, fresh=True).connection()
        assert own not in {first, second}
        assert (pool.active, pool.idle, pool.opened) == (1, 1, 3)
        own.transport.close()
        await asyncio.sleep(0.02)
        assert (pool.active, pool.idle) == (1, 1)


async def test_when_one_cannot_connect_the_next_in_the_queue_is_not_forgotten() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with pooling(port, PoolLimits(connections=1)) as pool:
        askers = [ask(pool) for _ in range(9)]
        errors = [await asker.error() for asker in askers]
        assert [type(error) for error in errors] == [BadGateway] * 5 + [Unavailable] * 4
        assert (pool.active, pool.idle, pool.waiting, pool.failed) == (0, 0, 0, 5)


async def test_the_circuit_opens_for_longer_each_time_and_closes_with_success(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as server, pooling(1) as pool:
        for _ in range(4):
            assert isinstance(await ask(pool).error(), BadGateway)
        assert not pool.circuit_open
        lengths = []
        with caplog.at_level(logging.WARNING, "mosk_proxy.upstream"):
            for _ in range(7):
                await ask(pool).error()
                assert pool.circuit_open
                with pytest.raises(Unavailable) as refusal:
                    pool.acquire(Asker(), fresh=True)
                lengths.append(refusal.value.retry_after)
                pool._open_until = 0.0
        assert lengths == [1, 2, 4, 8, 16, 30, 30]
        assert caplog.messages[0] == "upstream kaas: 5 failures in a row, left alone for 1 s"
        pool.upstream = Upstream("kaas", "http", "127.0.0.1", server.port)
        connection = await ask(pool).connection()
        pool.upstream = Upstream("kaas", "http", "127.0.0.1", 1)
        assert isinstance(await ask(pool).error(), BadGateway)
        assert not pool.circuit_open
        # What is connected may be used however sick the rest is.
        pool.release(connection)
        pool._open_until = asyncio.get_running_loop().time() + 5
        assert pool.acquire(Asker(), fresh=False) is connection


async def test_many_failures_at_once_open_the_circuit_for_no_longer() -> None:
    async with pooling(1, PoolLimits()) as pool:
        for asker in [ask(pool) for _ in range(40)]:
            await asker.error()
        assert (pool.failed, pool._failures_in_a_row) == (40, 5)
        assert pool._open_until <= asyncio.get_running_loop().time() + 1


async def test_a_handshake_that_does_not_end_is_a_timeout(tmp_path: Path) -> None:
    ca_file = write_authority(tmp_path / "ca.crt", "authority")
    limits = PoolLimits(connect_seconds=0.1)
    async with listening() as server, pooling(server.port, limits, scheme="https", ca_file=ca_file) as pool:
        error = await ask(pool).error()
        assert isinstance(error, GatewayTimeout)
        assert (pool.active, pool.failed) == (0, 1)


@pytest.mark.parametrize(
    ("host", "ca", "by", "reason"),
    [
        ("127.0.0.1", "authority", "authority", None),
        ("127.0.0.1", "other", "authority", "certificate verify failed"),
        ("127.0.0.1", "authority", "other", "certificate verify failed"),
        ("localhost", "authority", "authority", "Hostname mismatch"),
    ],
)
async def test_an_upstream_proves_its_name(tmp_path: Path, host: str, ca: str, by: str, reason: str | None) -> None:
    ca_file = write_authority(tmp_path / "ca.crt", ca)
    tls = server_tls(tmp_path, by=by)
    async with listening(tls) as server, pooling(server.port, LIMITS, scheme="https", host=host, ca_file=ca_file) as pool:
        if reason is None:
            assert (await ask(pool).connection()).is_usable()
            return
        error = await ask(pool).error()
        assert isinstance(error, BadGateway)
        assert error.message == "the upstream refused the connection"
        assert reason in error.detail


class Reached:
    """Gives out addresses for names, and remembers which names it was asked for."""

    def __init__(self, *addresses: str, error: Exception | None = None) -> None:
        self.addresses = addresses
        self.error = error
        self.asked: list[str] = []

    async def permitted(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if self.error is not None:
            raise self.error
        return self.addresses

    @property
    def reach(self) -> Reach:
        return Reach(self.permitted, SharedContexts().context)


async def test_what_is_dialled_is_the_address_that_was_allowed_not_the_name(tmp_path: Path) -> None:
    """The system would not even find the name; the certificate is still asked for it."""
    pem = write_authority(tmp_path / "ca.crt").read_text()
    reached = Reached("127.0.0.2", "127.0.0.1")
    tls = server_tls(tmp_path)
    async with (
        listening(tls) as server,
        pooling(server.port, LIMITS, reached.reach, scheme="https", host="upstream.example", ca_pem=pem) as pool,
    ):
        # Nobody listens on the first address.
        assert (await ask(pool).connection()).is_usable()
        assert (await ask(pool, fresh=True).connection()).is_usable()
        assert reached.asked == ["upstream.example"] * 2
        pool.upstream = Upstream("kaas", "https", "other.example", server.port, ca_pem=pem)
        error = await ask(pool).error()
        assert (error.message, "Hostname mismatch" in error.detail) == ("the upstream refused the connection", True)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BadGateway("the upstream's address is not allowed"), "the upstream's address is not allowed"),
        (socket.gaierror(-2, "Name or service not known"), "the upstream refused the connection"),
    ],
)
async def test_without_an_allowed_address_nothing_is_dialled(error: Exception, message: str) -> None:
    async with listening() as server, pooling(server.port, LIMITS, Reached(error=error).reach) as pool:
        refusal = await ask(pool).error()
        assert isinstance(refusal, BadGateway)
        assert (refusal.message, pool.active, pool.failed, server.accepted) == (message, 0, 1, [])


async def test_authorities_that_openssl_refuses_are_a_refused_connection() -> None:
    async with (
        listening() as server,
        pooling(server.port, LIMITS, Reached("127.0.0.1").reach, scheme="https", ca_pem="x") as pool,
    ):
        error = await ask(pool).error()
        assert isinstance(error, BadGateway)
        assert server.accepted == []


async def test_a_resolver_that_takes_too_long_is_a_timeout() -> None:
    async def never(_: str) -> Sequence[str]:
        await asyncio.sleep(30)
        return ()

    limits = PoolLimits(connect_seconds=0.05)
    async with pooling(1, limits, Reach(never, SharedContexts().context)) as pool:
        assert isinstance(await ask(pool).error(), GatewayTimeout)


async def test_a_closed_pool_ends_what_is_idle_and_the_rest_when_it_comes_back() -> None:
    async with listening() as server, pooling(server.port) as pool:
        first, second = await two(pool)
        pool.release(first)
        pool.close()
        await until(lambda: not first.is_usable())
        assert second.is_usable()
        pool.release(second)
        assert not second.is_usable()
        assert "closed" in repr(pool)


def test_an_upstream_that_hangs_up_at_once_is_told_from_one_that_is_slow(make_door: Maker) -> None:
    """The end may be there before the connection was handed to who asked for it; then nothing would ever come."""
    entry = make_door(lambda wire: wire.reset())
    for target in (POD, "/k8s/team-a/prod/api/v1/pods?watch=1") * 15:
        assert entry.ask("GET", target).status == 502
        entry.running.edge.site.pools["k8s/team-a/prod"]._failures_in_a_row = 0
    assert len(entry.audit_lines(45)) == 45


def test_a_closed_idle_connection_is_replaced_without_the_client_noticing(make_door: Maker) -> None:
    entry = make_door(answering(OK, close=True))
    wire = entry.connect()
    for _ in range(3):
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == 200
    assert entry.upstream.connections == 3


def test_connections_are_reused_on_both_sides(make_door: Maker) -> None:
    entry = make_door()
    wire = entry.connect()
    for _ in range(5):
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == 200
    assert entry.upstream.connections == 1


def test_a_refused_connection_is_502_and_then_the_circuit_opens(make_door: Maker) -> None:
    entry = make_door()
    entry.upstream.close()
    assert [entry.ask("GET", POD).status for _ in range(5)] == [502] * 5
    answer = entry.ask("GET", POD)
    assert (answer.status, answer["retry-after"], answer.json()["details"]["retryAfterSeconds"]) == (503, "1", 1)
    assert answer.json()["message"] == "the upstream does not answer"


def test_one_sick_cluster_does_not_slow_another(make_door: Maker) -> None:
    """One upstream takes connections and never answers; requests to another pass by it."""

    def script(wire: Wire) -> None:
        request = wire.request()
        if b" /slow" in request:
            wire.rest()
        wire.send(OK)

    entry = make_door(script)
    stuck = [entry.connect() for _ in range(20)]
    for wire in stuck:
        wire.send(entry.head("GET", "/k8s/team-a/token/slow"))
    entry.until(lambda: entry.running.edge.counters.in_flight == 20)
    assert entry.ask("GET", POD).status == 200

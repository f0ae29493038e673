"""What is particular to a server: it can be away, come back empty, be slow, and want a password or TLS."""

import asyncio
import signal
import socket
from dataclasses import replace

import pytest
from redis_process import RedisProcess

from proxy.demo.certificates import CertificateAuthority
from proxy.sessions.redis_store import RedisStore
from proxy.sessions.store import StoreUnavailable


@pytest.fixture
async def open_store():
    stores = []

    def opened(server, **others):
        stores.append(RedisStore(server, 1800, block=0.02, **others))
        return stores[-1]

    yield opened
    for store in stores:
        await store.close()


async def test_a_server_that_was_away_is_found_again_and_its_changes_are_not_trusted(own_redis, open_store, make):
    store = open_store(own_redis.server)
    assert (await store.changes()).is_complete is False, "what was before the first look is unknown"
    assert (await store.changes()).is_complete is True
    session = make()
    await store.put(session)
    own_redis.kill()
    for attempt in (store.get(session.key), store.changes(), store.put(session), store.claim(session.key, 1, b"h", 1)):
        with pytest.raises(StoreUnavailable):
            await attempt
    own_redis.start()
    assert await store.get(session.key) is None, "it kept nothing"
    assert (await store.changes()).is_complete is False
    await store.put(session)
    await store.remove([session.key])
    async with asyncio.timeout(2):
        while not (heard := (await store.changes())).ended:
            pass
    assert (heard.ended, heard.is_complete) == ({session.key}, True)


async def test_a_restart_between_two_looks_is_noticed(own_redis, open_store):
    store = open_store(own_redis.server)
    await store.changes()
    await store.changes()
    own_redis.kill()
    own_redis.start()
    with pytest.raises(StoreUnavailable):
        await store.changes()


async def test_a_server_that_hangs_is_unavailable(own_redis, open_store):
    store = open_store(own_redis.server, patience=0.2)
    await store.get(b"k" * 32)
    own_redis.signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable) as refused:
            await store.get(b"k" * 32)
    finally:
        own_redis.signal(signal.SIGCONT)
    assert "0.2 seconds" in refused.value.detail or "Timeout" in refused.value.detail
    assert await store.get(b"k" * 32) is None


@pytest.mark.parametrize("password", ["wrong-secret", None])
async def test_a_wrong_password_is_told_without_it(redis: RedisProcess, open_store, password):
    store = open_store(replace(redis.server, password=password))
    with pytest.raises(StoreUnavailable) as refused:
        await store.get(b"k" * 32)
    assert str(redis.port) in refused.value.detail
    assert "secret" not in f"{refused.value.detail} {store!r}"


async def test_the_server_forgets_idle_sessions_by_itself(redis: RedisProcess, open_store, make, clock):
    store = open_store(redis.server, clock=clock)
    session, long = make(ends_at=clock.now + 60), make(ends_at=clock.now + 36_000)
    for each in (session, long):
        await store.put(each)
    seconds = [int(redis.ask("TTL", f"mosk-proxy:session:{each.key.hex()}")[1:]) for each in (session, long)]
    assert 55 < seconds[0] <= 60
    assert 1790 < seconds[1] <= 1800
    await store.touch({session.key: clock.now + 30, long.key: clock.now + 30})
    seconds = [int(redis.ask("TTL", f"mosk-proxy:session:{each.key.hex()}")[1:]) for each in (session, long)]
    assert 25 < seconds[0] <= 30, "never beyond its end"
    assert 1790 < seconds[1] <= 1800
    assert int(redis.ask("TTL", f"mosk-proxy:subject:{long.subject.hex()}")[1:]) > 35_000


async def test_a_set_lives_as_long_as_its_longest_session(redis: RedisProcess, open_store, make, clock):
    store = open_store(redis.server, clock=clock)
    long = make(ends_at=clock.now + 36_000)
    await store.put(long)
    await store.put(make(subject=long.subject, ends_at=clock.now + 60))
    assert int(redis.ask("TTL", f"mosk-proxy:subject:{long.subject.hex()}")[1:]) > 35_000


async def test_members_that_the_server_has_forgotten_are_taken_out_of_their_sets(redis: RedisProcess, open_store, make):
    store = open_store(redis.server)
    session = make()
    await store.put(session)
    redis.ask("DEL", f"mosk-proxy:session:{session.key.hex()}")
    assert await store.of_subject(session.subject) == []
    assert redis.ask("EXISTS", f"mosk-proxy:subject:{session.subject.hex()}") == b":0\r\n"


@pytest.mark.parametrize("field", ["subject", "revision", "ends_at", "sealed"])
async def test_a_hash_that_is_not_ours_is_no_session(redis: RedisProcess, open_store, make, field):
    store = open_store(redis.server)
    session = make()
    await store.put(session)
    redis.ask("HDEL", f"mosk-proxy:session:{session.key.hex()}", field)
    assert await store.get(session.key) is None


async def test_hundreds_of_sessions_end_at_once(redis: RedisProcess, open_store, make):
    store = open_store(redis.server)
    sessions = [make(subject=b"u" * 32) for _ in range(600)]
    await asyncio.gather(*(store.put(session) for session in sessions))
    await store.touch({session.key: session.last_seen + 1 for session in sessions})
    keys = {session.key for session in sessions}
    unknown = {bytes([number]) * 32 for number in range(250)}
    assert await store.missing(keys | unknown) == unknown
    assert await store.remove(keys | unknown) == keys
    assert await store.of_subject(b"u" * 32) == []


async def test_over_tls_the_authority_must_vouch_for_the_server(own_redis: RedisProcess, open_store, tmp_path):
    authority = CertificateAuthority(tmp_path)
    material = authority.issue("redis")
    port = _free_port()
    for name, value in (
        ("tls-cert-file", material.certificate_file),
        ("tls-key-file", material.key_file),
        ("tls-ca-cert-file", authority.file),
        ("tls-auth-clients", "no"),
        ("tls-port", port),
    ):
        if own_redis.ask("CONFIG", "SET", name, str(value)) != b"+OK\r\n":
            pytest.skip("this server was built without TLS")
    secure = replace(own_redis.server, port=port, is_tls=True)
    assert await open_store(replace(secure, ca_file=authority.file)).get(b"k" * 32) is None
    with pytest.raises(StoreUnavailable, match="not available") as refused:
        await open_store(secure).get(b"k" * 32)
    assert "certificate" in refused.value.detail.lower()


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])

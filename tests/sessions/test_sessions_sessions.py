import pytest
from session_worker import ISSUER, SEALER, Streams, contents, identity, worker_of

from proxy.sessions.record import open_contents, seal_contents
from proxy.sessions.sealing import Sealer
from proxy.sessions.sessions import MOST_SESSIONS_OF_A_USER, Sessions
from proxy.sessions.store import StoreUnavailable


@pytest.fixture
async def pair(workers, clock) -> tuple[Sessions, Sessions]:
    """Two workers that share a store, and do not follow each other."""
    return worker_of(await workers(), clock), worker_of(await workers(), clock)


async def test_a_session_is_known_at_once_here_and_found_elsewhere(pair):
    here, there = pair
    session_id, session = await here.create(identity(), contents())
    assert here.cached(session_id) is session
    assert there.cached(session_id) is None
    found = await there.find(session_id)
    assert (found.key, found.contents, found.revision, found.identity) == (session.key, session.contents, 1, None)
    assert there.cached(session_id) is found
    assert await there.find(session_id) is found


async def test_each_sign_in_has_an_id_of_its_own(pair):
    here, _ = pair
    ids = {(await here.create(identity(), contents()))[0] for _ in range(3)}
    assert len(ids) == 3


async def test_the_store_holds_neither_id_nor_token(workers, clock):
    store = await workers()
    session_id, session = await worker_of(store, clock).create(identity(), contents())
    row = await store.get(session.key)
    for secret in (session_id, b"id.first.token", b"refresh-first", b"Firefox", b"192.0.2.7"):
        assert secret not in row.sealed
    assert open_contents(SEALER, row) == contents()


@pytest.mark.parametrize("cookie", [b"", b"A" * 43, b"A" * 42, b"\xff" * 43, b"A" * 100_000])
async def test_a_cookie_of_nobody_is_no_session(pair, cookie):
    here, _ = pair
    assert here.cached(cookie) is None
    assert await here.find(cookie) is None


async def test_a_session_ends_when_it_is_idle(pair, clock):
    here, there = pair
    session_id, session = await here.create(identity(), contents())
    for _ in range(3):
        clock.now += 1700
        assert await here.find(session_id) is session
        session.last_seen = clock.now
    clock.now += 1800
    assert await here.find(session_id) is None
    assert not session.is_current
    assert await there.find(session_id) is None


async def test_use_by_another_worker_keeps_a_session_alive(workers, clock):
    store, other_store = await workers(), await workers()
    here, there = worker_of(store, clock), worker_of(other_store, clock)
    session_id, session = await here.create(identity(), contents())
    used = await there.find(session_id)
    clock.now += 1500
    await other_store.touch({used.key: clock.now})
    clock.now += 1500
    assert await here.find(session_id) is session
    assert session.last_seen == clock.now - 1500


async def test_a_session_ends_at_its_end_however_much_it_is_used(pair, clock):
    here, _ = pair
    session_id, session = await here.create(identity(), contents())
    assert session.ends_at == clock.now + 36_000
    for _ in range(20):
        clock.now += 1750
        session.last_seen = clock.now
        assert await here.find(session_id) is session
    clock.now += 1000
    session.last_seen = clock.now
    assert await here.find(session_id) is None


async def test_contents_are_renewed_by_one_and_read_by_the_other(pair):
    here, there = pair
    session_id, session = await here.create(identity(), contents())
    theirs = await there.find(session_id)
    assert await here.renew(session, contents("second")) is True
    assert not session.is_current
    assert await there.renew(theirs, contents("third")) is False
    for worker in pair:
        assert (await worker.load(session.key)).contents == contents("second")
    assert not theirs.is_current
    assert (await here.find(session_id)).revision == 2


async def test_loading_what_has_not_changed_keeps_the_object(pair):
    here, _ = pair
    _, session = await here.create(identity(), contents())
    assert await here.load(session.key) is session
    assert session.is_current


async def test_an_end_tells_watchers_and_lasts(pair):
    here, there = pair
    session_id, session = await here.create(identity(), contents())
    streams = Streams(open={session.key})
    here.watchers.append(streams)
    await here.end([session.key])
    assert streams.cut == {session.key}
    assert not session.is_current
    assert await here.find(session_id) is None
    assert await there.find(session_id) is None
    assert await here.renew(session, contents()) is False
    await here.end([])


async def test_an_answer_that_was_on_its_way_does_not_bring_a_session_back(workers, clock):
    class Slow:
        def __init__(self, store):
            self.store = store

        def __getattr__(self, name):
            return getattr(self.store, name)

        async def get(self, key):
            row = await self.store.get(key)
            here.note_ended([key])
            return row

    store = await workers()
    session_id, _ = await worker_of(store, clock).create(identity(), contents())
    here = worker_of(Slow(store), clock)
    assert await here.find(session_id) is None
    assert here.cached(session_id) is None


async def test_a_session_that_the_store_has_lost_is_over(workers, clock):
    store = await workers()
    here = worker_of(store, clock)
    session_id, session = await here.create(identity(), contents())
    streams = Streams(open={session.key})
    here.watchers.append(streams)
    await store.remove([session.key])
    assert await here.load(session.key) is None
    assert streams.cut == {session.key}
    assert await here.find(session_id) is None


async def test_a_session_whose_seal_does_not_open_is_none_and_is_left_for_others(workers, clock):
    store = await workers()
    session_id, session = await worker_of(store, clock).create(identity(), contents())
    stranger = Sessions(store, Sealer([b"x" * 32]), clock=clock)
    assert await stranger.find(session_id) is None
    assert await stranger.of_user(session) == ()
    assert await worker_of(store, clock).find(session_id) is not None


async def test_after_a_rotation_of_keys_old_sessions_go_on_and_are_sealed_anew(workers, clock):
    store = await workers()
    session_id, _ = await worker_of(store, clock).create(identity(), contents())
    rotated = Sessions(store, Sealer([b"n" * 32, b"k" * 32]), clock=clock)
    session = await rotated.find(session_id)
    assert await rotated.renew(session, contents("second"))
    assert await worker_of(store, clock).find(session_id) is None
    only_new = Sessions(store, Sealer([b"n" * 32]), clock=clock)
    assert (await only_new.find(session_id)).contents == contents("second")


async def test_a_user_sees_own_sessions_and_ends_one_or_all_others(pair, clock):
    here, there = pair
    _, stranger = await here.create(identity("bob"), contents())
    ids = []
    for device in ("Firefox", "Chromium", "curl"):
        clock.now += 10
        ids.append((await here.create(identity(), contents(device=device)))[0])
    own = await there.find(ids[0])
    assert [(each.device, each.is_this) for each in await there.of_user(own)] == [
        ("Firefox", True),
        ("curl", False),
        ("Chromium", False),
    ]
    summary = (await there.of_user(own))[1]
    assert (summary.created_at, summary.address, summary.ends_at) == (clock.now, "192.0.2.7", clock.now + 36_000)
    assert await there.end_labelled(own, stranger.label) is False, "another user's session"
    assert await there.end_labelled(own, summary.label) is True
    assert await there.end_labelled(own, summary.label) is False
    assert [each.device for each in await here.of_user(own)] == ["Firefox", "Chromium"]
    assert await there.end_others(own) == 1
    assert [each.device for each in await here.of_user(own)] == ["Firefox"]
    assert await here.load(stranger.key) is stranger


async def test_the_issuer_ends_one_sign_in_or_all_of_a_user(pair):
    here, there = pair
    _, one = await here.create(identity(sid="sid-1"), contents())
    _, same = await here.create(identity(sid="sid-1"), contents())
    _, other = await here.create(identity(sid="sid-2"), contents())
    _, without = await here.create(identity(sid=None), contents())
    assert await there.end_provider_session("https://other.example", "sid-1") == 0
    assert await there.end_provider_session(ISSUER, "sid-1", "bob") == 0, "named together with another user"
    assert await there.end_provider_session(ISSUER, "sid-1", "ann") == 2
    assert [await here.load(each.key) for each in (one, same)] == [None, None]
    assert await here.load(other.key) is other
    assert await there.end_provider_session(ISSUER, "sid-2") == 1
    assert await there.end_subject("https://other.example", "ann") == 0
    assert await there.end_subject(ISSUER, "ann") == 1
    assert await here.load(without.key) is None


async def test_the_oldest_session_of_a_user_makes_room(pair, clock):
    here, _ = pair
    ids = []
    for _ in range(MOST_SESSIONS_OF_A_USER + 2):
        clock.now += 1
        ids.append((await here.create(identity(), contents()))[0])
    found = [await here.find(session_id) is not None for session_id in ids]
    assert found == [False, False] + [True] * MOST_SESSIONS_OF_A_USER


async def test_claims_and_names_are_shared(pair):
    here, there = pair
    session_id, session = await here.create(identity(), contents())
    theirs = await there.find(session_id)
    assert await here.claim(session, b"here", 30)
    assert not await there.claim(theirs, b"there", 30)
    await here.release(session, b"here")
    assert await there.claim(theirs, b"there", 30)
    assert await here.once(b"token", 30)
    assert not await there.once(b"token", 30)


async def test_without_a_store_all_is_refused_and_nothing_forgotten(pair, caplog):
    here, _ = pair
    session_id, session = await here.create(identity(), contents())
    here.note_trouble("gone")
    here.note_trouble("still gone")
    for attempt in (here.find(session_id), here.load(session.key), here.create(identity(), contents()), here.of_user(session)):
        with pytest.raises(StoreUnavailable):
            await attempt
    with pytest.raises(StoreUnavailable):
        here.cached(session_id)
    assert here.trouble == "still gone"
    assert "still gone" in repr(here)
    here.note_trouble(None)
    assert here.cached(session_id) is session
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"], "told once each way"


def test_a_seal_is_bound_to_its_session(make):
    row = make()
    assert open_contents(SEALER, make(sealed=seal_contents(SEALER, row.key, contents()))) is None

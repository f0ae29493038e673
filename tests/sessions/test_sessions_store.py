"""What every store does, SQLite and Redis alike, seen by two workers that share it."""

import asyncio

from proxy.sessions.store import SessionStore, StoreUnavailable


async def heard(store: SessionStore, seconds: float = 1.0):
    """The first change that a worker hears of."""
    async with asyncio.timeout(seconds):
        while True:
            changes = await store.changes()
            if changes.ended or changes.changed:
                return changes


async def test_a_session_is_given_back_as_it_was(workers, make):
    one, other = await workers(), await workers()
    for session in (make(), make(provider_session=None), make(sealed=bytes(range(256)) * 200)):
        await one.put(session)
        assert await other.get(session.key) == session
    assert await other.get(b"\x07" * 32) is None


async def test_sessions_are_found_by_user_and_by_sign_in(workers, make):
    one, other = await workers(), await workers()
    mine, also_mine = make(subject=b"u" * 32), make(subject=b"u" * 32, provider_session=None)
    sibling, stranger = make(provider_session=mine.provider_session), make()
    for session in (mine, also_mine, sibling, stranger):
        await one.put(session)
    assert {session.key for session in await other.of_subject(b"u" * 32)} == {mine.key, also_mine.key}
    assert {session.key for session in await other.of_provider_session(mine.provider_session)} == {mine.key, sibling.key}
    assert await other.of_subject(b"nobody") == []
    assert await other.missing([mine.key, b"x" * 32, stranger.key, b"y" * 32]) == {b"x" * 32, b"y" * 32}


async def test_an_end_is_heard_of_by_every_worker_within_a_second(workers, make):
    one, other, third = await workers(), await workers(), await workers()
    for store in (one, other, third):
        await store.changes()
    session, kept = make(), make(subject=make().subject)
    await one.put(session)
    await one.put(kept)
    assert await one.remove([session.key, b"unknown" * 4]) == {session.key}
    for changes in await asyncio.gather(heard(other), heard(third)):
        assert changes.ended == {session.key}
        assert changes.is_complete
    assert await other.get(session.key) is None
    assert await other.of_subject(session.subject) == []
    assert await other.of_provider_session(session.provider_session) == []
    assert await other.get(kept.key) == kept
    assert await one.remove([session.key]) == frozenset()
    assert await one.remove([]) == frozenset()


async def test_contents_are_replaced_once_for_a_revision(workers, make):
    one, other = await workers(), await workers()
    await other.changes()
    session = make()
    await one.put(session)
    assert await one.replace(session.key, 1, b"newer") is True
    assert (await heard(other)).changed == {session.key}
    assert await other.replace(session.key, 1, b"late") is False
    assert await other.replace(b"z" * 32, 1, b"of nobody") is False
    found = await other.get(session.key)
    assert (found.revision, found.sealed, found.ends_at) == (2, b"newer", session.ends_at)


async def test_what_was_heard_is_not_heard_again(workers, make):
    one, other = await workers(), await workers()
    await other.changes()
    first, second = make(), make()
    for session in (first, second):
        await one.put(session)
        await one.remove([session.key])
        assert (await heard(other)).ended == {session.key}
    assert (await other.changes()).ended == frozenset()


async def test_a_claim_has_one_holder(workers, make, clock):
    one, other = await workers(), await workers()
    session = make()
    await one.put(session)
    assert await one.claim(session.key, 1, b"one", 30) is True
    assert await other.claim(session.key, 1, b"other", 30) is False
    await other.release(session.key, b"other")
    assert await other.claim(session.key, 1, b"other", 30) is False
    await one.release(session.key, b"one")
    assert await other.claim(session.key, 1, b"other", 30) is True
    assert await other.replace(session.key, 1, b"renewed") is True
    assert await one.claim(session.key, 1, b"one", 30) is False, "of an old revision"
    assert await one.claim(session.key, 2, b"one", 30) is True, "the renewal gave the claim back"
    assert await one.claim(b"z" * 32, 1, b"one", 30) is False


async def test_a_claim_outlives_its_holder_for_its_time_only(workers, make, clock):
    one, other = await workers(), await workers()
    session = make()
    await one.put(session)
    assert await one.claim(session.key, 1, b"one", 0.05) is True
    clock.now += 0.06
    await asyncio.sleep(0.06)
    assert await other.claim(session.key, 1, b"other", 30) is True


async def test_a_name_is_new_once(workers, clock):
    one, other = await workers(), await workers()
    assert await one.once(b"token", 0.05) is True
    assert await other.once(b"token", 30) is False
    assert await other.once(b"another", 30) is True
    clock.now += 0.06
    await asyncio.sleep(0.06)
    assert await one.once(b"token", 30) is True


async def test_when_a_session_was_seen_only_moves_on(workers, make, clock):
    one, other = await workers(), await workers()
    session, gone = make(), make()
    await one.put(session)
    await one.touch({session.key: clock.now + 7.25, gone.key: clock.now + 7})
    await other.touch({session.key: clock.now + 5})
    assert (await other.get(session.key)).last_seen == clock.now + 7.25
    assert await other.get(gone.key) is None, "a session that has ended is not made again by being seen"


async def test_what_is_over_goes_by_itself(workers, make, clock):
    one, other = await workers(), await workers()
    over, living = make(ends_at=clock.now + 0.05), make()
    for session in (over, living):
        await one.put(session)
    clock.now += 0.1
    await asyncio.sleep(0.1)
    await one.sweep(clock.now)
    assert await other.get(over.key) is None
    assert await other.get(living.key) == living
    assert await other.of_subject(over.subject) == []


def test_unavailable_is_503_with_a_word_on_when_to_come_back():
    error = StoreUnavailable("redis://cache:6379/0: refused")
    assert (error.status, error.retry_after) == (503, 2)
    assert "redis" not in error.message

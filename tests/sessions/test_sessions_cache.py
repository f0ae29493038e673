from proxy.sessions.cache import SessionCache
from proxy.sessions.record import Contents
from proxy.sessions.session import Session, held


def session(make, **changes) -> Session:
    return held(make(**changes), Contents("id", None, 0, 1, "nonce", "", ""))


def test_what_leaves_the_cache_is_no_longer_current(make):
    cache = SessionCache(places=2)
    first, second, third = session(make), session(make), session(make)
    for each in (first, second):
        assert cache.keep(each)
    assert cache.get(first.key) is first
    cache.keep(third)
    assert (first.is_current, second.is_current, third.is_current) == (True, False, True), "the one not used for longest goes"
    assert cache.get(second.key) is None
    cache.forget(first.key)
    cache.forget(first.key)
    assert not first.is_current
    cache.forget_all()
    assert (third.is_current, len(cache)) == (False, 0)


def test_another_revision_takes_the_place_of_the_one_before(make):
    cache = SessionCache()
    old = session(make)
    new = session(make, key=old.key, revision=2)
    cache.keep(old)
    cache.keep(new)
    assert cache.get(old.key) is new
    assert (old.is_current, new.is_current) == (False, True)


def test_a_session_that_has_ended_does_not_come_back(make):
    cache = SessionCache()
    late = session(make)
    cache.end(late.key)
    assert cache.has_ended(late.key)
    assert cache.keep(late) is False
    assert (cache.get(late.key), late.is_current) == (None, False)


def test_when_sessions_were_seen_is_given_once_also_of_those_that_left(make):
    cache = SessionCache()
    one, other, unseen = session(make), session(make), session(make)
    for each in (one, other, unseen):
        cache.keep(each)
    one.last_seen += 5
    other.last_seen += 7
    cache.forget(other.key)
    assert cache.take_unwritten() == {one.key: one.last_seen, other.key: other.last_seen}
    assert cache.take_unwritten() == {}
    one.last_seen += 1
    assert cache.take_unwritten() == {one.key: one.last_seen}

import asyncio
import logging
import time
from dataclasses import replace

import pytest
from aiohttp import web
from loopback_issuer import QUICK, Issuer, hang, jwk, key_set, serving, until

from proxy.errors import Unavailable
from proxy.issuers.discovery import key_source
from proxy.issuers.key_sets import IssuerKeys


class Kept:
    """The keys of one issuer, kept by a task of their own, and what was said about changes."""

    def __init__(self, settings, rhythm=QUICK):
        self.gone = []
        self.keys = IssuerKeys(settings, key_source(settings), rhythm=rhythm, on_change=self.gone.append)

    async def __aenter__(self):
        self.task = asyncio.get_running_loop().create_task(self.keys.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def ready(self):
        return self.keys.state.ready

    async def ask(self, patience=2.0):
        await self.keys.ask(asyncio.get_running_loop().time() + patience)

    def has(self, key_id):
        return self.keys.select("RS256", key_id) is not None


async def test_a_set_is_read_at_start_and_described():
    began = time.time()
    async with serving(Issuer()) as issuer, Kept(issuer.settings()) as kept:
        before = kept.keys.state
        assert (before.ready, before.ready_since, before.age_seconds, before.keys) == (False, None, None, 0)
        await until(lambda: kept.ready)
        state = kept.keys.state
        assert (state.issuer, state.keys, state.left_out, state.last_error) == (issuer.url, 1, (), None)
        assert began <= state.ready_since <= time.time()
        assert 0 <= state.age_seconds < 5
        assert kept.keys.fetches == {"read": 1}
        assert repr(kept.keys) == f"IssuerKeys({issuer.url}, 1 keys, 0 failures)"


async def test_an_issuer_that_is_down_at_start_is_found_when_it_comes():
    async with serving(Issuer()) as gone:
        pass
    port = int(gone.url.split(":")[2].split("/")[0])
    async with Kept(gone.settings()) as kept:
        await until(lambda: kept.keys.fetches["failed"] >= 3)
        assert not kept.ready
        assert gone.url in kept.keys.state.last_error
        assert kept.keys.outlook("first") in ("unavailable", "ask")
        async with serving(gone, port=port):
            await until(lambda: kept.ready)
        assert kept.keys.state.last_error is None
        assert kept.has("first")


def test_waits_grow_and_stay_below_what_readiness_allows():
    settings = Issuer(url="https://issuer.example").settings()
    keys = IssuerKeys(settings, key_source(settings), rhythm=replace(QUICK, first_retry=0.25, last_retry=4), on_change=print)
    pauses = []
    for failures in range(1, 2000):
        keys._failures = failures
        pauses.append(keys._pause())
    assert 0.125 <= pauses[0] <= 0.25
    assert 0.5 <= pauses[2] <= 1
    assert all(2 <= pause <= 4 for pause in pauses[4:])
    assert len({round(pause, 6) for pause in pauses[4:]}) > 1000  # jitter
    keys._ready_since = 1.0  # an old set serves: no hurry
    keys._rhythm = replace(QUICK, last_kept_retry=100)
    assert 50 <= keys._pause() <= 100
    keys._failures = 0
    assert 54 <= keys._pause() <= 66


async def test_the_first_attempt_may_be_waited_for():
    async with serving(Issuer()) as issuer, Kept(issuer.settings()) as kept:
        assert kept.keys.outlook("first") == "ask"
        await kept.ask()
        assert kept.has("first")
        await asyncio.sleep(0.05)
        assert issuer.asked["keys"] == 1


async def test_who_asks_during_an_attempt_causes_no_other():
    issuer = Issuer()

    async def slow(request):
        await issuer.released.wait()
        return web.Response(body=issuer.keys)

    issuer.behaviour = slow
    async with serving(issuer), Kept(issuer.settings(), replace(QUICK, attempt=5)) as kept:
        await until(lambda: issuer.asked["keys"] == 1)
        waiting = asyncio.gather(kept.ask(), kept.ask())
        await asyncio.sleep(0.02)
        issuer.released.set()
        await waiting
        await asyncio.sleep(0.05)
        assert issuer.asked["keys"] == 1


async def test_many_who_ask_cause_one_fetch():
    async with serving(Issuer()) as issuer, Kept(issuer.settings()) as kept:
        await until(lambda: kept.ready)
        issuer.keys = key_set(jwk("first"), jwk("second"))
        assert kept.keys.outlook("second") == "ask"
        await asyncio.gather(*(kept.ask() for _ in range(200)))
        assert kept.has("second")
        assert issuer.asked["keys"] == 2


async def test_rotations_in_quick_succession_are_followed():
    async with serving(Issuer()) as issuer, Kept(issuer.settings()) as kept:
        await until(lambda: kept.ready)
        for name in ("second", "third", "first"):
            issuer.keys = key_set(jwk(name))
            assert kept.keys.outlook(name) == "ask"
            await kept.ask()
            assert kept.has(name)
        assert issuer.asked["keys"] == 4


async def test_unknown_ids_start_a_cool_down_and_it_ends():
    async with serving(Issuer()) as issuer, Kept(issuer.settings(), replace(QUICK, cool_down=0.2)) as kept:
        await until(lambda: kept.ready)
        assert kept.keys.outlook("random") == "ask"
        await kept.ask()
        assert kept.keys.outlook("random") == "settled"
        assert issuer.asked["keys"] == 2
        await until(lambda: kept.keys.outlook("random") == "ask")


async def test_a_known_id_or_none_asks_nobody():
    async with serving(Issuer()) as issuer, Kept(issuer.settings()) as kept:
        await until(lambda: kept.ready)
        assert kept.keys.outlook("first") == "settled"
        assert kept.keys.outlook(None) == "settled"


async def test_an_issuer_that_hangs_is_not_waited_for_long():
    async with serving(Issuer(behaviour=hang)) as issuer, Kept(issuer.settings(), replace(QUICK, attempt=30)) as kept:
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await kept.ask(0.1)
        assert time.monotonic() - began < 1
        assert caught.value.retry_after > 0
        assert issuer.url not in caught.value.message


async def test_an_attempt_ends_by_itself():
    async with serving(Issuer(behaviour=hang)) as issuer, Kept(issuer.settings(), replace(QUICK, attempt=0.05)) as kept:
        await until(lambda: kept.keys.fetches["failed"] >= 2)
        assert kept.keys.state.last_error == f"{issuer.url}: no answer within 0.05 seconds"


async def test_a_client_that_goes_away_cancels_nobody_s_fetch():
    issuer = Issuer()

    async def slow(request):
        await issuer.released.wait()
        issuer.behaviour = None
        return await issuer.certs(request)

    issuer.behaviour = slow
    async with serving(issuer), Kept(issuer.settings(), replace(QUICK, attempt=5)) as kept:
        impatient = asyncio.gather(kept.ask(), return_exceptions=True)
        patient = asyncio.gather(kept.ask())
        await until(lambda: issuer.asked["keys"] == 1)
        impatient.cancel()
        issuer.released.set()
        await patient
        assert kept.ready
        await asyncio.gather(impatient, return_exceptions=True)


async def test_a_failed_refresh_keeps_the_old_set():
    rhythm = replace(QUICK, refresh=0.02)
    async with serving(Issuer()) as issuer, Kept(issuer.settings(), rhythm) as kept:
        await until(lambda: kept.ready)
        issuer.keys = b"<html>maintenance</html>"
        await until(lambda: kept.keys.fetches["failed"] >= 2)
        state = kept.keys.state
        assert (state.ready, kept.has("first")) == (True, True)
        assert "not a JSON object" in state.last_error
        assert kept.gone == [frozenset()]
        issuer.keys = key_set(jwk("first"))
        await until(lambda: kept.keys.state.last_error is None)
        assert kept.keys.state.ready_since == state.ready_since
        assert repr(kept.keys) == f"IssuerKeys({issuer.url}, 1 keys, 0 failures)"


async def test_a_refresh_that_nobody_asked_for_starts_no_cool_down():
    async with serving(Issuer()) as issuer, Kept(issuer.settings(), replace(QUICK, refresh=0.01)) as kept:
        await until(lambda: kept.keys.fetches["read"] >= 3)
        assert kept.keys.outlook("second") == "ask"


async def test_an_attempt_under_way_may_be_waited_for_after_a_failure():
    issuer = Issuer(keys=b"<html>")
    async with serving(issuer), Kept(issuer.settings(), replace(QUICK, attempt=5)) as kept:
        await until(lambda: kept.keys.fetches["failed"] >= 1)
        issuer.behaviour = hang
        asked = issuer.asked["keys"]
        await until(lambda: issuer.asked["keys"] > asked)
        assert kept.keys.outlook("first") == "ask"


async def test_a_failed_question_cools_down_and_says_so():
    async with serving(Issuer()) as issuer, Kept(issuer.settings(), replace(QUICK, last_kept_retry=60, first_retry=60)) as kept:
        await until(lambda: kept.ready)
        issuer.keys = b"<html>"
        await kept.ask()
        assert kept.keys.outlook("second") == "unavailable"
        assert kept.keys.outlook("first") == "settled"


async def test_a_removed_key_is_gone_after_the_refresh():
    rhythm = replace(QUICK, refresh=0.02)
    async with serving(Issuer(keys=key_set(jwk("first"), jwk("second")))) as issuer, Kept(issuer.settings(), rhythm) as kept:
        await until(lambda: kept.ready)
        removed = kept.keys.select("RS256", "first")
        issuer.keys = key_set(jwk("second"))
        await until(lambda: not kept.has("first"))
        assert kept.has("second")
        assert kept.gone == [frozenset(), frozenset({removed})]


async def test_the_same_keys_again_are_no_change():
    async with serving(Issuer()) as issuer, Kept(issuer.settings(), replace(QUICK, refresh=0.01)) as kept:
        await until(lambda: kept.keys.fetches["read"] >= 3)
        assert kept.gone == [frozenset()]


async def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk("first")))
    async with Kept(Issuer(url="https://issuer.example").settings(jwks_file=path)) as kept:
        await until(lambda: kept.has("first"))
        path.write_bytes(key_set(jwk("second")))
        await until(lambda: kept.has("second"))
        path.write_bytes(b"{")
        await until(lambda: kept.keys.state.last_error is not None)
        assert kept.has("second")


async def test_the_operator_hears_of_changes_once(caplog):
    caplog.set_level(logging.WARNING)
    weak = jwk("second", n=jwk("second")["n"][:100])
    async with (
        serving(Issuer(keys=key_set(jwk("first"), weak))) as issuer,
        Kept(issuer.settings(), replace(QUICK, refresh=0.01)) as kept,
    ):
        await until(lambda: kept.keys.fetches["read"] >= 3)
        issuer.keys = b"<html>"
        await until(lambda: kept.keys.fetches["failed"] >= 3)
        issuer.keys = key_set(jwk("first"), weak)
        await until(lambda: kept.keys.state.last_error is None)
        assert kept.keys.state.left_out
    lines = [record.getMessage() for record in caplog.records if record.name == "proxy.issuers.key_sets"]
    assert len(lines) == 3
    assert lines[0].startswith(f"key of {issuer.url} left out: kid 'second': ")
    assert lines[1].startswith(f"keys not read: {issuer.url}/certs: not a JSON object")
    assert lines[2].startswith(f"keys of {issuer.url} are read again after ")

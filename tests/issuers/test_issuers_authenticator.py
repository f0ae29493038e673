import asyncio
import json
import random
import time
from dataclasses import replace

import pytest
from aiohttp import web
from loopback_issuer import QUICK, Issuer, base64url, hang, jwk, key_set, mint, running, serving, until

from proxy.errors import Unauthenticated, Unavailable


def refusal(authenticator, token):
    with pytest.raises(Unauthenticated) as caught:
        authenticator.known(token)
    return caught.value.message


class Clock:
    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


async def ready(authenticator):
    await until(lambda: all(state.ready for state in authenticator.states))


async def test_a_token_is_verified_in_place_and_found_again():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        token = mint(issuer.url)
        ann = authenticator.known(token)
        assert (ann.username, ann.roles.strings, ann.token) == ("ann", ("m:kaas@reader",), token)
        assert authenticator.known(token) is ann
        assert await authenticator.verify(token) is ann
        assert (authenticator.counters.hits, authenticator.counters.misses) == (2, 1)
        assert authenticator.fetches == {issuer.url: {"read": 1}}


async def test_the_first_tokens_wait_for_the_first_keys():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        token = mint(issuer.url)
        assert authenticator.known(token) is None
        found = await asyncio.gather(*(authenticator.verify(token) for _ in range(50)))
        assert {ann.username for ann in found} == {"ann"}
        assert issuer.asked == {"discovery": 1, "keys": 1}


async def test_a_token_dies_in_the_cache_when_it_expires():
    clock = Clock()
    async with serving(Issuer()) as issuer, running(issuer.settings(), clock=clock) as authenticator:
        await ready(authenticator)
        token = mint(issuer.url, iat=int(clock.now), exp=int(clock.now) + 300)
        assert authenticator.known(token)
        clock.now += 300 + 58
        assert authenticator.known(token)
        clock.now += 2
        assert refusal(authenticator, token) == "token expired"
        assert len(authenticator._verified) == 0
        clock.now += 1000
        assert refusal(authenticator, token) == "token expired"
        assert authenticator.counters.refused == {"token expired": 2}


async def test_a_token_becomes_valid_when_its_time_has_come():
    clock = Clock()
    async with serving(Issuer()) as issuer, running(issuer.settings(), clock=clock) as authenticator:
        await ready(authenticator)
        token = mint(issuer.url, nbf=int(clock.now) + 65)
        assert refusal(authenticator, token) == "token not yet valid"
        clock.now += 6
        assert authenticator.known(token)


@pytest.mark.parametrize(
    ("skew", "message"),
    [(-600, "token not yet valid"), (-30, None), (0, None), (30, None), (310, None), (600, "token expired")],
)
async def test_clocks_may_differ_by_the_leeway(skew, message):
    async with serving(Issuer()) as issuer, running(issuer.settings(), clock=lambda: time.time() + skew) as authenticator:
        await ready(authenticator)
        token = mint(issuer.url)
        assert (refusal(authenticator, token) if message else None) == message
        assert message or authenticator.known(token)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (lambda url: mint(url, key="second", header={"alg": "RS256", "kid": "first"}), "signature not valid"),
        (lambda url: mint(url, header={"alg": "PS256", "kid": "first"}), "signature not valid"),
        (lambda url: mint(url, header={"alg": "ES256", "kid": "first"}), "signing key not known"),
        (lambda url: mint(url, header={"alg": "none"}), "token algorithm not accepted"),
        (lambda url: mint(url, header={"alg": "RS256", "kid": "first", "crit": ["x"]}), "token header not accepted"),
        (lambda url: mint("https://evil.example"), "token issuer not accepted"),
        (lambda url: mint(url + "/"), "token issuer not accepted"),
        (lambda url: mint(url, aud="os"), "token not for this service"),
        (lambda url: mint(url, exp=1, iat=0), "token expired"),
        (lambda url: mint(url, iam_roles=["system:masters"]), "group not accepted"),
        (lambda url: b"", "token malformed"),
        (lambda url: b"random", "token malformed"),
        (lambda url: b"a" * 70_000, "token too long"),
        (lambda url: mint(url)[:-4], "signature not valid"),
    ],
)
async def test_what_is_refused_is_counted_and_costs_no_fetch(token, message):
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        hostile = token(issuer.url)
        assert refusal(authenticator, hostile) == message
        assert refusal(authenticator, hostile) == message
        with pytest.raises(Unauthenticated, match=message):
            await authenticator.verify(hostile)
        assert authenticator.counters.refused == {message: 3}
        assert authenticator.counters.misses == 1  # the refusal is remembered
        assert issuer.asked["keys"] == 1


async def test_a_refusal_is_forgotten_after_ten_seconds():
    clock = Clock()
    async with serving(Issuer()) as issuer, running(issuer.settings(), clock=clock) as authenticator:
        await ready(authenticator)
        token = mint(issuer.url, aud="os")
        for seconds, misses in ((0, 1), (9, 1), (2, 2), (9, 2), (2, 3)):
            clock.now += seconds
            refusal(authenticator, token)
            assert authenticator.counters.misses == misses


@pytest.mark.parametrize(
    "key_id", ["../../etc/passwd", "https://evil.example/jwks", "' or 1=1 --", "first\x00", "FIRST", "/dev/null"]
)
async def test_a_key_id_is_only_compared(key_id):
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        token = mint(issuer.url, header={"alg": "RS256", "kid": key_id})
        with pytest.raises(Unauthenticated, match="signing key not known"):
            await authenticator.verify(token)


async def test_a_new_key_is_fetched_once_however_many_wait_for_it():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        issuer.keys = key_set(jwk("first"), jwk("second"))
        tokens = [mint(issuer.url, "second", jti=str(number)) for number in range(30)]
        assert authenticator.known(tokens[0]) is None
        found = await asyncio.gather(*(authenticator.verify(token) for token in tokens * 5))
        assert {ann.token for ann in found} == set(tokens)
        assert issuer.asked["keys"] == 2
        assert authenticator.known(mint(issuer.url, "first"))


async def test_a_fetch_that_began_before_the_rotation_is_followed_by_another():
    issuer = Issuer()

    async def slow(request):
        keys = issuer.keys
        await issuer.released.wait()
        issuer.behaviour = None
        return web.Response(body=keys)

    rhythm = replace(QUICK, attempt=5, patience=5)
    async with serving(issuer), running(issuer.settings(), rhythm=rhythm) as authenticator:
        issuer.behaviour = slow
        await until(lambda: issuer.asked["keys"] == 1)
        issuer.keys = key_set(jwk("second"))
        waiting = asyncio.gather(authenticator.verify(mint(issuer.url, "second")))
        await asyncio.sleep(0.05)
        issuer.released.set()
        assert (await waiting)[0].username == "ann"
        assert issuer.asked["keys"] == 2


async def test_a_storm_of_random_key_ids_causes_one_fetch():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        good = mint(issuer.url)
        for _ in range(10):
            storm = [mint(issuer.url, header={"alg": "RS256", "kid": random.randbytes(8).hex()}) for _ in range(100)]
            results = await asyncio.gather(*map(authenticator.verify, storm), return_exceptions=True)
            assert {str(result) for result in results} == {"signing key not known"}
        assert issuer.asked["keys"] == 2
        assert authenticator.known(good)


async def test_a_removed_key_takes_its_tokens_along():
    rhythm = replace(QUICK, refresh=0.02)
    keys = key_set(jwk("first"), jwk("second"))
    async with serving(Issuer(keys=keys)) as issuer, running(issuer.settings(), rhythm=rhythm) as authenticator:
        await ready(authenticator)
        old, new = mint(issuer.url, "first"), mint(issuer.url, "second")
        ann, kept = authenticator.known(old), authenticator.known(new)
        assert ann
        before = authenticator.generation
        issuer.keys = key_set(jwk("second"))
        await until(lambda: authenticator.generation is not before)
        assert authenticator.known(new) is kept
        with pytest.raises(Unauthenticated, match="signing key not known"):
            await authenticator.verify(old)


async def test_the_same_id_with_another_key_is_another_key():
    rhythm = replace(QUICK, refresh=0.02)
    async with serving(Issuer()) as issuer, running(issuer.settings(), rhythm=rhythm) as authenticator:
        await ready(authenticator)
        before, token = authenticator.generation, mint(issuer.url)
        assert authenticator.known(token)
        issuer.keys = key_set(jwk("second", kid="first"))
        await until(lambda: authenticator.generation is not before)
        assert refusal(authenticator, token) == "signature not valid"


async def test_a_new_key_clears_the_refusals():
    rhythm = replace(QUICK, refresh=0.02)
    async with serving(Issuer()) as issuer, running(issuer.settings(), rhythm=rhythm) as authenticator:
        await ready(authenticator)
        early, before = mint(issuer.url, "second"), authenticator.generation
        with pytest.raises(Unauthenticated, match="signing key not known"):
            await authenticator.verify(early)
        issuer.keys = key_set(jwk("first"), jwk("second"))
        await until(lambda: authenticator.states[0].keys == 2)
        assert authenticator.known(early).username == "ann"
        assert authenticator.generation is before  # nobody lost anything


async def test_an_issuer_that_goes_down_takes_no_access_away():
    rhythm = replace(QUICK, refresh=0.02)
    async with serving(Issuer()) as issuer, running(issuer.settings(), rhythm=rhythm) as authenticator:
        await ready(authenticator)
        issuer.behaviour = hang
        await until(lambda: authenticator.states[0].last_error is not None)
        assert authenticator.known(mint(issuer.url))
        assert authenticator.states[0].ready
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await authenticator.verify(mint(issuer.url, "second"))
        assert time.monotonic() - began < 1
        assert (caught.value.status, caught.value.retry_after) == (503, 5)


async def test_an_issuer_that_is_down_at_start_answers_503_at_once():
    async with serving(Issuer()) as issuer:
        pass
    rhythm = replace(QUICK, first_retry=60, last_retry=60)
    async with running(issuer.settings(), rhythm=rhythm) as authenticator:
        await until(lambda: authenticator.states[0].last_error is not None)
        with pytest.raises(Unavailable):
            authenticator.known(mint(issuer.url))
        assert refusal(authenticator, mint("https://evil.example")) == "signing key not known"
        assert refusal(authenticator, b"a.b.c") == "token malformed"


async def test_without_a_key_id_one_key_must_fit():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        assert authenticator.known(mint(issuer.url, header={"alg": "RS256"}))
    async with serving(Issuer(keys=key_set(jwk("first"), jwk("second")))) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        assert refusal(authenticator, mint(issuer.url, header={"alg": "RS256"})) == "signing key not known"


async def test_a_key_for_encryption_verifies_nothing():
    keys = key_set(jwk("first", use="enc"), jwk("second"))
    async with serving(Issuer(keys=keys)) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        with pytest.raises(Unauthenticated, match="signing key not known"):
            await authenticator.verify(mint(issuer.url, "first"))


async def test_each_issuer_speaks_for_itself():
    async with (
        serving(Issuer(keys=key_set(jwk("first")))) as one,
        serving(Issuer(keys=key_set(jwk("second", kid="first")))) as other,  # the same id for another key
        running(one.settings(), other.settings()) as authenticator,
    ):
        await ready(authenticator)
        assert authenticator.known(mint(one.url, "first")).issuer == one.url
        assert authenticator.known(mint(other.url, "second", header={"alg": "RS256", "kid": "first"})).issuer == other.url
        for issuer, key in ((other, "first"), (one, "second"), (one, "third"), (other, "third")):
            token = mint(issuer.url, key, header={"alg": "RS256", "kid": "first"})
            assert refusal(authenticator, token) in ("token issuer not accepted", "signature not valid")


async def test_one_realm_may_be_known_by_two_names():
    async with serving(Issuer()) as one, serving(Issuer()) as other, running(one.settings(), other.settings()) as authenticator:
        await ready(authenticator)
        assert authenticator.known(mint(one.url)).issuer == one.url
        assert authenticator.known(mint(other.url)).issuer == other.url


async def test_one_issuer_that_is_down_does_not_disturb_the_other():
    async with serving(Issuer()) as gone:
        pass
    async with serving(Issuer()) as issuer, running(gone.settings(), issuer.settings()) as authenticator:
        await until(lambda: authenticator.states[1].ready and authenticator.states[0].last_error)
        assert authenticator.known(mint(issuer.url))
        issuer.keys = key_set(jwk("first"), jwk("second"))
        assert (await authenticator.verify(mint(issuer.url, "second"))).username == "ann"
        with pytest.raises(Unavailable):
            await authenticator.verify(mint(gone.url))


async def test_only_the_issuer_that_the_token_names_is_asked():
    async with serving(Issuer()) as one, serving(Issuer()) as other, running(one.settings(), other.settings()) as authenticator:
        await ready(authenticator)
        with pytest.raises(Unauthenticated, match="signing key not known"):
            await authenticator.verify(mint(other.url, "second"))
        assert (one.asked["keys"], other.asked["keys"]) == (1, 2)
        with pytest.raises(Unauthenticated, match="signing key not known"):
            await authenticator.verify(mint("https://evil.example", "third"))
        assert (one.asked["keys"], other.asked["keys"]) == (1, 2)


async def test_the_algorithms_of_one_issuer_are_not_those_of_another():
    async with serving(Issuer()) as one, serving(Issuer()) as other:
        strict = replace(one.settings(), rules=replace(one.settings().rules, algorithms=frozenset({"PS256"})))
        async with running(strict, other.settings()) as authenticator:
            await ready(authenticator)
            assert refusal(authenticator, mint(one.url)) == "token issuer not accepted"
            assert authenticator.known(mint(other.url))


async def test_the_cache_is_bounded_by_number_and_by_size():
    async with serving(Issuer()) as issuer, running(issuer.settings(), cache_size=5) as authenticator:
        await ready(authenticator)
        small = [mint(issuer.url, jti=str(number)) for number in range(6)]
        for token in small:
            authenticator.known(token)
        assert len(authenticator._verified) == 5
        authenticator.known(mint(issuer.url, iam_roles=[f"m:k8s:a:c{n}@cluster-admin" for n in range(250)]))
        assert len(authenticator._verified) < 5
        huge = mint(issuer.url, iam_roles=[f"m:k8s:a:c{n}@cluster-admin" for n in range(900)])
        assert authenticator.known(huge).roles.strings[899] == "m:k8s:a:c899@cluster-admin"
        assert authenticator._verified.currsize <= 5


async def test_refusals_are_bounded_too():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        for number in range(5000):
            refusal(authenticator, str(number).encode())
        assert len(authenticator._refused) == 4096


async def test_a_hostile_payload_decides_nothing_while_an_issuer_is_away():
    async with serving(Issuer(behaviour=hang)) as issuer, running(issuer.settings()) as authenticator:
        head = base64url(json.dumps({"alg": "RS256", "kid": "x"}).encode())
        for payload in (b"[" * 40_000, b'{"iss":1}', b"\xff" * 1000, b'{"iss":"' + b"x" * 40_000 + b'"}'):
            with pytest.raises(Unauthenticated):
                authenticator.known(head + b"." + base64url(payload) + b".AAAA")


async def test_in_the_cool_down_a_payload_is_not_even_read():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        await ready(authenticator)
        with pytest.raises(Unauthenticated, match="signing key not known"):
            await authenticator.verify(mint(issuer.url, "second"))
        head = base64url(json.dumps({"alg": "RS256", "kid": "x"}).encode())
        assert refusal(authenticator, head + b"." + base64url(b"[" * 40_000) + b".AAAA") == "signing key not known"


async def test_run_ends_when_it_is_cancelled_and_leaves_no_task():
    async with serving(Issuer()) as issuer:
        before = asyncio.all_tasks()
        async with running(issuer.settings()) as authenticator:
            await ready(authenticator)
            names = {task.get_name() for task in asyncio.all_tasks() - before}
            assert f"keys of {issuer.url}" in names
        assert asyncio.all_tasks() - before == set()


async def test_claims_of_another_type_are_read_after_signature_and_issuer_alone():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        header = {"alg": "RS256", "typ": "Logout+JWT", "kid": "first"}
        token = mint(issuer.url, header=header, events={}, aud="whoever", exp=1)
        found = await authenticator.signed_claims(token, {"logout+jwt"})
        assert (found.issuer, found.algorithm, found.claims["aud"]) == (issuer.settings(), "RS256", "whoever")
        assert authenticator.counters.hits == 0
        with pytest.raises(Unauthenticated, match="type not accepted"):
            await authenticator.signed_claims(mint(issuer.url), {"logout+jwt"})
        with pytest.raises(Unauthenticated, match="type not accepted"):
            await authenticator.verify(token)
        with pytest.raises(Unauthenticated, match="signature not valid"):
            await authenticator.signed_claims(token[:-20] + b"A" * 20, {"logout+jwt"})
        with pytest.raises(Unauthenticated, match="issuer not accepted"):
            await authenticator.signed_claims(mint("https://other.example", header=header), {"logout+jwt"})


async def test_claims_of_another_type_wait_for_keys_like_any_token():
    async with serving(Issuer()) as issuer, running(issuer.settings()) as authenticator:
        assert (await authenticator.signed_claims(mint(issuer.url), {"jwt"})).claims["sub"] == "f150d839"
        issuer.keys = key_set(jwk("first"), jwk("second"))
        assert (await authenticator.signed_claims(mint(issuer.url, "second"), {"jwt"})).claims["sub"] == "f150d839"

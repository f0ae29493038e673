"""Who is it? A bearer token in, an Identity out: at once where nothing must be fetched, remembered while it lasts.

Theory of operation. A token names its key, and the keys of all issuers are at hand: those that fit are tried, the one that has signed
it says whose token it is, and only then is the payload read. What a token says of itself decides nothing before that, with one
exception: when no key fits and an issuer could still have it, `iss` tells which one to ask.

Two bounded caches, by SHA-256 of the token: identities, whose expiry is checked at each use and which go when the key that signed
them goes, and refusals, for ten seconds, so that a flood of one bad token costs a hash. New keys clear the refusals.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from cachetools import LRUCache

from proxy.errors import Unauthenticated
from proxy.identity import claims, tokens
from proxy.identity.principal import Identity
from proxy.issuers.discovery import key_source
from proxy.issuers.key_sets import IssuerKeys, KeySetState
from proxy.issuers.keys import PublicKey
from proxy.issuers.settings import DEFAULT_RHYTHM, IssuerSettings, Rhythm

_REFUSAL_SECONDS: Final = 10
_REFUSALS: Final = 4096
# A token of 1,000 roles keeps some 300 KB of groups and roles alive: larger ones count as several.
_BYTES_PER_PLACE: Final = 4096
# These change by the clock alone: to remember them would refuse a token that has become valid.
_PASSING: Final = frozenset({"token not yet valid"})


class _Verified(NamedTuple):
    identity: Identity
    key: PublicKey


class SignedClaims(NamedTuple):
    """What `issuer` says in a token that it has signed with `key`, by `algorithm`; not judged any further."""

    claims: tokens.Claims
    issuer: IssuerSettings
    key: PublicKey
    algorithm: str


class _Refused(NamedTuple):
    until: float
    message: str
    detail: str


@dataclass(slots=True)
class TokenCounters:
    """How tokens fared: found in the cache, looked at in full, refused by cause (the constant message of the 401)."""

    hits: int
    misses: int
    refused: Counter[str]


class Authenticator:
    """Believes the tokens of some issuers.

    `clock` gives seconds since the epoch. `earlier` is what this one replaces: issuers that are the same keep their keys. `run` must be running for keys to be there. `generation` becomes another object when
    identities that were handed out are no longer believed, because their key is gone: whoever remembers one compares it by `is`.
    """

    def __init__(
        self,
        issuers: Sequence[IssuerSettings],
        clock: Callable[[], float] = time.time,
        *,
        cache_size: int = 10_000,
        rhythm: Rhythm = DEFAULT_RHYTHM,
        earlier: "Authenticator | None" = None,
    ) -> None:
        self.counters = TokenCounters(0, 0, Counter())
        self.generation = object()
        self._clock = clock
        self._patience = rhythm.patience
        self._issuers = tuple(
            IssuerKeys(settings, key_source(settings), rhythm=rhythm, on_change=self._keys_changed) for settings in issuers
        )
        if earlier is not None:
            earlier.hand_over(self._issuers)
        self._algorithms = frozenset[str]().union(*(settings.rules.algorithms for settings in issuers))
        self._verified: LRUCache[bytes, _Verified] = LRUCache(cache_size, getsizeof=_places)
        self._refused: LRUCache[bytes, _Refused] = LRUCache(_REFUSALS)

    @property
    def states(self) -> tuple[KeySetState, ...]:
        """How the keys of each issuer stand."""
        return tuple(issuer.state for issuer in self._issuers)

    @property
    def fetches(self) -> dict[str, Counter[str]]:
        """By issuer: how many attempts to read its keys had which result (`read`, `failed`)."""
        return {issuer.settings.issuer: issuer.fetches for issuer in self._issuers}

    async def run(self) -> None:
        """Keep the keys of all issuers fresh for ever."""
        async with asyncio.TaskGroup() as group:
            for issuer in self._issuers:
                group.create_task(issuer.run(), name=f"keys of {issuer.settings.issuer}")

    def hand_over(self, issuers: Sequence[IssuerKeys]) -> None:
        """Give the keys that are known to those of `issuers` that have not changed."""
        for issuer in issuers:
            for mine in self._issuers:
                if mine.settings == issuer.settings:
                    issuer.take_over(mine)

    def known(self, token: bytes) -> Identity | None:
        """Return whom a token speaks for, None if that takes a question to its issuer.

        Raises Unauthenticated when it is refused, Unavailable when its issuer did not answer the last time it was asked.
        """
        found = self._judge(token)
        return found if isinstance(found, Identity) else None

    async def verify(self, token: bytes) -> Identity:
        """Return whom a token speaks for, after asking its issuer for keys if need be; raises as `known` does."""
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            found = self._judge(token)
            if isinstance(found, Identity):
                return found
            await found.ask(deadline)

    async def signed_claims(self, token: bytes, types: Collection[str]) -> SignedClaims:
        """Return what one of the issuers says in a token, whomever it speaks for, after asking for keys if need be.

        `types` are the accepted `typ` of its header, in lower case. Nothing is remembered; raises as `known` does.
        Only signature and `iss` are checked.
        """
        deadline = asyncio.get_running_loop().time() + self._patience
        compact = tokens.read(token, self._algorithms, types)
        while True:
            found = self._signed(compact)
            if isinstance(found, SignedClaims):
                return found
            await found.ask(deadline)

    def _judge(self, token: bytes) -> Identity | IssuerKeys:
        digest = sha256(token).digest()
        now = self._clock()
        try:
            identity = self._remembered(digest, now)
            return self._never_seen(token, digest, now) if identity is None else identity
        except Unauthenticated as refusal:
            self.counters.refused[refusal.message] += 1
            if refusal.message not in _PASSING and digest not in self._refused:
                self._refused[digest] = _Refused(now + _REFUSAL_SECONDS, refusal.message, refusal.detail)
            raise

    def _remembered(self, digest: bytes, now: float) -> Identity | None:
        verified = self._verified.get(digest)
        if verified is not None:
            if now < verified.identity.expires_at:
                self.counters.hits += 1
                return verified.identity
            del self._verified[digest]
        refused = self._refused.get(digest)
        if refused is not None:
            if now < refused.until:
                raise Unauthenticated(refused.message, detail=refused.detail)
            del self._refused[digest]
        return None

    def _never_seen(self, token: bytes, digest: bytes, now: float) -> Identity | IssuerKeys:
        self.counters.misses += 1
        found = self._signed(tokens.read(token, self._algorithms))
        if isinstance(found, IssuerKeys):
            return found
        identity = claims.identity(found.claims, token, found.issuer.rules, now)
        self._remember(digest, _Verified(identity, found.key))
        return identity

    def _signed(self, compact: tokens.CompactToken) -> SignedClaims | IssuerKeys:
        lacking: list[IssuerKeys] = []
        refusal = "signing key not known"
        for issuer in self._issuers:
            key = issuer.select(compact.algorithm, compact.key_id)
            if key is None:
                lacking.append(issuer)
                continue
            verified = tokens.verified_claims(compact, key)
            if verified is None:
                refusal = "signature not valid"
            elif verified.get("iss") != issuer.settings.issuer:
                # Not yet the last word: one key may serve two issuers, a realm that is reached under two names.
                refusal = "token issuer not accepted"
            else:
                return SignedClaims(verified, issuer.settings, key, compact.algorithm)
        asked = _whom_to_ask(compact, lacking)
        if asked is None:
            raise Unauthenticated(refusal, detail=f"{compact.algorithm} by key {compact.key_id!r:.80}")
        return asked

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        if _places(verified) <= self._verified.maxsize:
            self._verified[digest] = verified

    def _keys_changed(self, gone: frozenset[PublicKey]) -> None:
        self._refused.clear()
        if not gone:
            return
        self.generation = object()
        for digest in [digest for digest, verified in self._verified.items() if verified.key in gone]:
            del self._verified[digest]


def _whom_to_ask(compact: tokens.CompactToken, lacking: Sequence[IssuerKeys]) -> IssuerKeys | None:
    """Return the issuer whose unknown key may have signed the token; raises Unavailable when it does not answer."""
    unsettled = [issuer for issuer in lacking if issuer.outlook(compact.key_id) != "settled"]
    if not unsettled:
        return None
    name = tokens.claimed_issuer(compact)
    for issuer in unsettled:
        if issuer.settings.issuer == name:
            if issuer.outlook(compact.key_id) == "unavailable":
                raise issuer.unavailable("the last attempt to read its keys failed")
            return issuer
    return None


def _places(verified: _Verified) -> int:
    return 1 + len(verified.identity.token) // _BYTES_PER_PLACE

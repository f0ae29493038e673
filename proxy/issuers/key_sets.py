"""The current key set of one issuer, kept fresh by one task.

Theory of operation. `run` is the only place that reads keys, so there is never more than one attempt under way, and a client that
goes away cancels nobody else's. It attempts, then sleeps until the next refresh or retry is due, or until a request asks.

A request asks when its token names a key that is not in the set (`outlook` says whether that can help), and waits for the end of
one attempt: the one under way, or the one it causes. Rotation is harmless: the first token with a new key causes a fetch, a thousand
more wait for the same one. Random key ids are harmless too: a fetch that was asked for and brought no new key starts the cool-down,
in which unknown ids are refused at once. A fetch that did bring a key starts none, so rotations in quick succession are followed.

A failed attempt keeps the set that was there: an issuer that is down takes nobody's access away while its keys are known.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from proxy.errors import Unavailable
from proxy.issuers.discovery import KeySource, KeysUnavailable
from proxy.issuers.keys import KeySet, PublicKey
from proxy.issuers.settings import IssuerSettings, Rhythm

_log = logging.getLogger(__name__)

Outlook: TypeAlias = Literal["ask", "unavailable", "settled"]


@dataclass(frozen=True, slots=True)
class KeySetState:
    """How an issuer's keys stand, for readiness and metrics.

    `ready` once a set was read, since `ready_since` (seconds since the epoch); `last_error` is that of the last attempt, None when
    it succeeded or none has ended; `age_seconds` is the time since the set was last confirmed.
    """

    issuer: str
    ready: bool
    ready_since: float | None
    last_error: str | None
    age_seconds: float | None
    keys: int
    left_out: tuple[str, ...]


class IssuerKeys:
    """Keeps one issuer's key set; `on_change` is called with the keys that are gone when the set has changed."""

    def __init__(
        self,
        settings: IssuerSettings,
        source: KeySource,
        *,
        rhythm: Rhythm,
        on_change: Callable[[frozenset[PublicKey]], None],
    ) -> None:
        self.settings = settings
        self.fetches: Counter[str] = Counter()
        self._source = source
        self._rhythm = rhythm
        self._on_change = on_change
        self._set = KeySet()
        self._ready_since: float | None = None
        self._confirmed_at: float | None = None
        self._last_error: str | None = None
        self._failures = 0
        self._cool_until = 0.0
        self._is_reading = False
        self._asked = asyncio.Event()
        self._attempt_ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"IssuerKeys({self.settings.issuer}, {len(self._set.keys)} keys, {self._failures} failures)"

    @property
    def state(self) -> KeySetState:
        confirmed = self._confirmed_at
        return KeySetState(
            issuer=self.settings.issuer,
            ready=self._ready_since is not None,
            ready_since=self._ready_since,
            last_error=self._last_error,
            age_seconds=None if confirmed is None else time.monotonic() - confirmed,
            keys=len(self._set.keys),
            left_out=self._set.left_out,
        )

    def take_over(self, earlier: "IssuerKeys") -> None:
        """Begin with what the same issuer had given before, so that a reload while it is silent refuses nobody."""
        self._set, self._ready_since, self._confirmed_at = earlier.known()

    def known(self) -> tuple[KeySet, float | None, float | None]:
        """Return the keys, since when there are any (seconds since the epoch), and when they were confirmed (monotonic seconds)."""
        return self._set, self._ready_since, self._confirmed_at

    def select(self, algorithm: str, key_id: str | None) -> PublicKey | None:
        """Return the key that a token's header means, None if the set has none."""
        return self._set.select(algorithm, key_id)

    def outlook(self, key_id: str | None) -> Outlook:
        """Tell whether asking could bring a key that `select` did not find.

        `unavailable`: the issuer did not answer the last time, too shortly ago to ask again. `settled`: it has no such key.
        """
        if self._ready_since is None:
            return "unavailable" if self._failures and not self._is_reading else "ask"
        if key_id is None or self._set.knows(key_id):
            return "settled"
        if time.monotonic() >= self._cool_until:
            return "ask"
        return "unavailable" if self._failures else "settled"

    async def ask(self, deadline: float) -> None:
        """Wait for the end of one attempt to read the keys; raises Unavailable after `deadline`, a time of the event loop."""
        attempt_ended = self._attempt_ended
        if not self._is_reading:
            self._asked.set()
        try:
            async with asyncio.timeout_at(deadline):
                await attempt_ended.wait()
        except TimeoutError:
            raise self.unavailable("no answer in time") from None

    def unavailable(self, detail: str) -> Unavailable:
        """Return the refusal for a token whose issuer cannot be asked."""
        return Unavailable(
            "signing keys of the token's issuer are not available", retry_after=5, detail=f"{self.settings.issuer}: {detail}"
        )

    async def run(self) -> None:
        """Keep the set fresh for ever."""
        while True:
            await self._attempt()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._asked.wait()

    async def _attempt(self) -> None:
        was_asked = self._asked.is_set()
        self._asked.clear()
        self._is_reading = True
        known = self._set.keys
        try:
            async with asyncio.timeout(self._rhythm.attempt):
                key_set = await self._source.read()
        except TimeoutError:
            self._keep(f"{self.settings.issuer}: no answer within {self._rhythm.attempt:g} seconds")
        except KeysUnavailable as error:
            self._keep(str(error))
        else:
            self._take(key_set)
        finally:
            self._is_reading = False
        if was_asked and set(self._set.keys).issubset(known):
            self._cool_until = time.monotonic() + self._rhythm.cool_down
        self._attempt_ended.set()
        self._attempt_ended = asyncio.Event()

    def _keep(self, error: str) -> None:
        self.fetches["failed"] += 1
        self._failures += 1
        if error != self._last_error:
            _log.warning("keys not read: %s", error)
        self._last_error = error

    def _take(self, key_set: KeySet) -> None:
        self.fetches["read"] += 1
        if self._failures:
            _log.warning("keys of %s are read again after %d failed attempts", self.settings.issuer, self._failures)
        self._failures = 0
        self._last_error = None
        self._confirmed_at = time.monotonic()
        if self._ready_since is None:
            self._ready_since = time.time()
        self._replace(key_set)

    def _replace(self, key_set: KeySet) -> None:
        earlier, self._set = self._set, key_set
        for phrase in key_set.left_out:
            if phrase not in earlier.left_out:
                _log.warning("key of %s left out: %s", self.settings.issuer, phrase)
        if set(earlier.keys) != set(key_set.keys):
            self._on_change(frozenset(earlier.keys).difference(key_set.keys))

    def _pause(self) -> float:
        rhythm = self._rhythm
        if not self._failures:
            # Several workers and replicas must not ask in step.
            return (rhythm.refresh if self.settings.jwks_file is None else rhythm.file_refresh) * _jitter(0.9, 1.1)
        longest = rhythm.last_retry if self._ready_since is None else rhythm.last_kept_retry
        return min(longest, rhythm.first_retry * 2.0 ** min(self._failures - 1, 30)) * _jitter(0.5, 1)


def _jitter(low: float, high: float) -> float:
    return random.uniform(low, high)  # noqa: S311 - spreads load, keeps no secret

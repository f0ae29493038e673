"""What one user may use of one worker: requests a second with a burst, and streams at once."""

from typing import Final, TypeAlias

from proxy.errors import TooManyRequests
from proxy.identity.principal import Identity

User: TypeAlias = tuple[str, str]

_BURST: Final = 2.0
_FORGET_ABOVE: Final = 10_000


class UserLimits:
    """Token buckets and stream counts by issuer and subject; None for a limit that is off."""

    def __init__(self, requests_per_user: float | None, streams_per_user: int | None) -> None:
        self.requests_per_user = requests_per_user
        self._most_streams = streams_per_user
        self._buckets: dict[User, tuple[float, float]] = {}
        self._streams: dict[User, int] = {}

    def change(self, requests_per_user: float | None, streams_per_user: int | None) -> None:
        """Put other limits in force; what was counted stays."""
        self.requests_per_user = requests_per_user
        self._most_streams = streams_per_user

    def request(self, identity: Identity, now: float) -> None:
        """Count a request; raises TooManyRequests."""
        rate = self.requests_per_user
        if rate is None:
            return
        user = _user(identity)
        tokens, last = self._buckets.get(user, (rate * _BURST, now))
        tokens = min(tokens + (now - last) * rate, rate * _BURST)
        if tokens < 1:
            raise TooManyRequests("too many requests from this user", retry_after=max(1, round((1 - tokens) / rate)))
        if len(self._buckets) >= _FORGET_ABOVE:
            self._forget_full(now, rate)
        self._buckets[user] = (tokens - 1, now)

    def stream_started(self, identity: Identity) -> None:
        """Count a stream until `stream_ended`; raises TooManyRequests."""
        user = _user(identity)
        count = self._streams.get(user, 0)
        if self._most_streams is not None and count >= self._most_streams:
            raise TooManyRequests("too many streams of this user at once", retry_after=5)
        self._streams[user] = count + 1

    def stream_ended(self, identity: Identity) -> None:
        """Give a stream back."""
        user = _user(identity)
        count = self._streams.get(user, 0) - 1
        if count > 0:
            self._streams[user] = count
        else:
            self._streams.pop(user, None)

    def _forget_full(self, now: float, rate: float) -> None:
        """Drop the buckets that have filled up again: forgetting them changes nothing."""
        full = [user for user, (tokens, last) in self._buckets.items() if tokens + (now - last) * rate >= rate * _BURST]
        for user in full:
            del self._buckets[user]


def _user(identity: Identity) -> User:
    return identity.issuer, identity.subject

"""One attempt to sign in: what the browser keeps of it in a cookie, what travels to the issuer and back, and what is derived of both.

Theory of operation. An attempt has a number and a secret, both random. The secret lies sealed in a cookie that is named after the
number, so that tabs that sign in at the same time do not overwrite each other's; the number lies sealed in `state`, with the place to
return to. `nonce` and PKCE verifier are derived from the secret: nothing else needs to be kept anywhere, least of all for strangers
whose sign-in never comes back. A callback counts only in the browser that began (login CSRF, RFC 9700 section 2.1), for ten minutes,
and once: the caller remembers `replay_name` where all workers can see it.
"""

import base64
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from proxy.sessions.cookies import cookies, remove_cookie, set_cookie
from proxy.sessions.sealing import Sealer

SIGN_IN_COOKIE: Final = "__Host-mosk-signin-"
ATTEMPT_SECONDS: Final = 600
MOST_ATTEMPTS: Final = 8

_NUMBER_BYTES: Final = 9
_MOST_STATE_CHARACTERS: Final = 8192


class _State(msgspec.Struct, frozen=True, array_like=True):
    number: bytes
    target: str


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    secret: bytes
    began_at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that is under way in one browser and will return to `target`."""

    number: bytes
    target: str
    secret: bytes = field(repr=False)

    @property
    def nonce(self) -> str:
        """The `nonce` of the ID token that this attempt waits for."""
        return _derived(self.secret, b"nonce")

    @property
    def verifier(self) -> str:
        """The PKCE code verifier (RFC 7636 section 4.1)."""
        return _derived(self.secret, b"code verifier")

    @property
    def cookie_name(self) -> str:
        """The cookie that binds the attempt to its browser."""
        return SIGN_IN_COOKIE + _text(self.number)

    @property
    def replay_name(self) -> bytes:
        """A name for the one use of the attempt."""
        return sha256(b"sign-in" + self.secret).digest()


def new_attempt(target: str) -> Attempt:
    """Begin an attempt."""
    return Attempt(secrets.token_bytes(_NUMBER_BYTES), target, secrets.token_bytes(32))


def sealed_state(sealer: Sealer, attempt: Attempt) -> str:
    """Return the `state` parameter of an attempt."""
    return _text(sealer.seal(msgspec.msgpack.encode(_State(attempt.number, attempt.target)), "sign-in state", b""))


def sealed_cookie(sealer: Sealer, attempt: Attempt, now: float) -> str:
    """Return the `Set-Cookie` value that binds an attempt to the browser."""
    sealed = sealer.seal(msgspec.msgpack.encode(_Kept(attempt.secret, now)), "sign-in cookie", attempt.number)
    return set_cookie(attempt.cookie_name, _text(sealed).encode(), ATTEMPT_SECONDS)


def target_of(sealer: Sealer, state: str) -> str | None:
    """Return where the sign-in with this `state` was to return to, whoever began it; None for a `state` that is not ours."""
    opened = _opened_state(sealer, state)
    return None if opened is None else opened.target


def attempt_of(sealer: Sealer, state: str, cookie_lines: Iterable[bytes], now: float) -> Attempt | None:
    """Return the attempt that a callback's `state` and cookies belong to; None if they do not, or it began too long ago."""
    opened = _opened_state(sealer, state)
    if opened is None:
        return None
    name = SIGN_IN_COOKIE + _text(opened.number)
    kept = _opened_cookie(sealer, opened.number, cookies(cookie_lines, name).get(name, b""))
    if kept is None or not _is_young(kept, now):
        return None
    return Attempt(opened.number, opened.target, kept.secret)


def surplus_cookies(sealer: Sealer, cookie_lines: Iterable[bytes], now: float) -> tuple[str, ...]:
    """Return `Set-Cookie` values that take away what is left of old attempts, and the oldest if there are many, to make room for one."""
    found = cookies(cookie_lines, SIGN_IN_COOKIE)
    ages = {name: _age(sealer, name, value, now) for name, value in found.items()}
    alive = sorted((age, name) for name, age in ages.items() if age is not None)
    kept = {name for _, name in alive[: MOST_ATTEMPTS - 1]}
    return tuple(remove_cookie(name) for name in found if name not in kept and _is_token(name))


def _age(sealer: Sealer, name: str, value: bytes, now: float) -> float | None:
    number = _octets(name.removeprefix(SIGN_IN_COOKIE))
    kept = None if number is None else _opened_cookie(sealer, number, value)
    return now - kept.began_at if kept is not None and _is_young(kept, now) else None


def _is_young(kept: _Kept, now: float) -> bool:
    # Another replica's clock may be a little ahead.
    return abs(now - kept.began_at) < ATTEMPT_SECONDS


def _opened_state(sealer: Sealer, state: str) -> _State | None:
    sealed = _octets(state) if len(state) <= _MOST_STATE_CHARACTERS else None
    text = None if sealed is None else sealer.open(sealed, "sign-in state", b"")
    return None if text is None else msgspec.msgpack.decode(text, type=_State)


def _opened_cookie(sealer: Sealer, number: bytes, value: bytes) -> _Kept | None:
    sealed = _octets(value.decode("latin-1"))
    text = None if sealed is None else sealer.open(sealed, "sign-in cookie", number)
    return None if text is None else msgspec.msgpack.decode(text, type=_Kept)


def _is_token(name: str) -> bool:
    # What a client sends as a name goes back in a header of ours.
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def _derived(secret: bytes, purpose: bytes) -> str:
    return _text(hmac.digest(secret, purpose, "sha256"))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes | None:
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return octets if _text(octets) == text else None

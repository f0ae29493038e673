"""The proxy's own cookies (RFC 6265bis): host-only by their prefix, unreadable for scripts, found exactly once or not at all."""

from collections.abc import Iterable
from typing import Final

SESSION_COOKIE: Final = "__Host-mosk"

# Lax, not Strict: with Strict nobody who comes from the issuer's page or from a link in a mail would be signed in.
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_WHITE_SPACE: Final = b" \t"


def cookies(lines: Iterable[bytes], prefix: str) -> dict[str, bytes]:
    """Return the cookies whose name begins with `prefix`; one that is sent twice is nobody's and left out."""
    wanted = prefix.encode()
    pairs = [pair.strip(_WHITE_SPACE).partition(b"=") for line in lines for pair in line.split(b";")]
    mine = [(name, value) for name, equals, value in pairs if equals and name.startswith(wanted)]
    names = [name for name, _ in mine]
    return {name.decode("latin-1"): value for name, value in mine if names.count(name) == 1}


def session_cookie(lines: Iterable[bytes]) -> bytes | None:
    """Return the session id of a request's `Cookie` lines."""
    return cookies(lines, SESSION_COOKIE).get(SESSION_COOKIE)


def set_cookie(name: str, value: bytes, max_age: int | None = None) -> str:
    """Return a `Set-Cookie` value; without `max_age` (seconds) the cookie goes with the browser."""
    age = "" if max_age is None else f"; Max-Age={max_age}"
    return f"{name}={value.decode('ascii')}; {_ATTRIBUTES}{age}"


def remove_cookie(name: str) -> str:
    """Return the `Set-Cookie` value that takes a cookie away."""
    return f"{name}=; {_ATTRIBUTES}; Max-Age=0"

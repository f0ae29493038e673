"""The token that kubectl asks for at each call: the kept one while it lasts, else one refresh for all who ask at the same time.

Theory of operation. Who finds a fresh token takes no lock and imports nothing more. Who does not, waits for the entry's lock and
looks again: whoever held it before has refreshed for all. Refresh tokens rotate, so that a second refresh with the same one would
end the session (RFC 9700 section 4.14.2): only the holder of the lock refreshes, and keeps what it gets before anybody sees it.

A refresh that fails is told to all who were waiting meanwhile, by a note in the lock file: an issuer that does not answer costs them
one time-out and not one each. A token that is still good is given out all the same.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from proxy.client.entry import Entry
from proxy.client.errors import ClientError, NotSignedIn, SessionEnded
from proxy.client.logins import Login, Logins, Tokens

_MARGIN_SECONDS: Final = 60
_MARGIN_SHARE: Final = 5  # of a token that lives for seconds only
_LONGEST_NOTE: Final = 2048


def exec_credential(tokens: Tokens) -> str:
    """Return the ExecCredential of client.authentication.k8s.io/v1, as JSON in one line."""
    expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(tokens.expires_at))
    return json.dumps(
        {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "spec": {"interactive": False},
            "status": {"expirationTimestamp": expiration, "token": tokens.id_token},
        }
    )


def is_fresh(tokens: Tokens, now: float) -> bool:
    """Tell whether a token will last for a while: a minute, or a fifth of its life if it is short."""
    lifetime = tokens.expires_at - tokens.issued_at
    return tokens.expires_at - now > min(_MARGIN_SECONDS, lifetime / _MARGIN_SHARE)


def current_login(
    logins: Logins, entry: Entry, refresh: Callable[[Login], Tokens], clock: Callable[[], float] = time.time
) -> tuple[Login, Tokens]:
    """Return a sign-in and its tokens, refreshed if need be; raises NotSignedIn when only a person can help, else ClientError."""
    login, tokens = _signed_in(logins, entry)
    if is_fresh(tokens, clock()):
        return login, tokens
    asked_at = time.time_ns()
    with logins.lock(entry) as note:
        login, tokens = _signed_in(logins, entry)
        if is_fresh(tokens, clock()):
            return login, tokens
        try:
            _raise_noted(note, asked_at)
            return login, _refreshed(logins, login, tokens, refresh, note)
        except ClientError:
            if tokens.expires_at > clock():
                return login, tokens
            raise


def _signed_in(logins: Logins, entry: Entry) -> tuple[Login, Tokens]:
    login = logins.load(entry)
    if login is None or login.tokens is None:
        raise NotSignedIn(f"not signed in to {entry.url}; run: mosk-proxy login {entry.url}")
    return login, login.tokens


def _refreshed(logins: Logins, login: Login, tokens: Tokens, refresh: Callable[[Login], Tokens], note: int) -> Tokens:
    if tokens.refresh_token is None:
        raise NotSignedIn(f"the session at {login.issuer} has ended; run: mosk-proxy login {login.entry.url}")
    try:
        fresh = refresh(login)
    except SessionEnded as error:
        # Never to be shown to the issuer again; the ID token beside it is good for its last seconds.
        logins.save(replace(login, tokens=replace(tokens, refresh_token=None)))
        raise NotSignedIn(f"{error}; run: mosk-proxy login {login.entry.url}") from error
    except ClientError as error:
        _write_note(note, str(error))
        raise
    logins.save(replace(login, tokens=fresh))
    return fresh


def _write_note(note: int, reason: str) -> None:
    os.ftruncate(note, 0)
    os.pwrite(note, f"{time.time_ns()} {reason}".encode()[:_LONGEST_NOTE], 0)


def _raise_noted(note: int, asked_at: int) -> None:
    failed_at, _, reason = os.pread(note, _LONGEST_NOTE, 0).decode(errors="replace").partition(" ")
    # Later than now would be a clock that was set back meanwhile.
    if failed_at.isdecimal() and asked_at <= int(failed_at) <= time.time_ns():
        raise ClientError(reason)

"""Signing in: /oauth2/start sends a browser to the issuer, /oauth2/callback takes what it brings back."""

import time
from collections.abc import Callable, Sequence

from proxy.errors import Unauthenticated, Unavailable
from proxy.sessions.cookies import SESSION_COOKIE, remove_cookie, session_cookie, set_cookie
from proxy.sessions.identifiers import session_key
from proxy.sessions.sealing import Sealer
from proxy.sessions.sessions import Sessions
from proxy.signin.attempts import (
    ATTEMPT_SECONDS,
    Attempt,
    attempt_of,
    new_attempt,
    sealed_cookie,
    sealed_state,
    surplus_cookies,
    target_of,
)
from proxy.signin.authorization import authorization_url, code_in, parameters
from proxy.signin.failures import IssuerRefused, NotBelieved, refused, unknown_sign_in, used_sign_in
from proxy.signin.granted import Granted, Verifier, Visitor, granted
from proxy.signin.id_token import Expected
from proxy.signin.outcomes import Outcome, Redirected, SignedOut
from proxy.signin.provider import Provider
from proxy.signin.return_to import PORTAL, return_target, start_path

# What the browser comes back with from the issuer's sign-out; the callback is the one address that is registered there anyway.
SIGNED_OUT_STATE = "signed-out"
_FAILURES = (IssuerRefused, NotBelieved, Unauthenticated, Unavailable)


class SignIn:
    """Signs browsers in at one issuer. Queries are those of the request target, cookie lines the values of its `Cookie` fields."""

    def __init__(
        self,
        provider: Provider,
        sessions: Sessions,
        sealer: Sealer,
        verifier: Verifier,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._settings = provider.settings
        self._sessions = sessions
        self._sealer = sealer
        self._verifier = verifier
        self._clock = clock

    async def start(self, query: str, cookie_lines: Sequence[bytes] = ()) -> Outcome:
        """Answer GET /oauth2/start?rd=<where to return to>."""
        settings = self._settings
        target = return_target(parameters(query).get("rd"), settings.origin, settings.redirect_hosts)
        try:
            # Nobody is sent on a journey that cannot end well, and then perhaps on another.
            self._sessions.require_store()
            metadata = await self._provider.metadata_for_browsers()
        except Unavailable as failure:
            return refused(failure, start_path(target))
        attempt, now = new_attempt(target), self._clock()
        location = authorization_url(settings, metadata, attempt, sealed_state(self._sealer, attempt))
        kept = sealed_cookie(self._sealer, attempt, now)
        return Redirected(location, (*surplus_cookies(self._sealer, cookie_lines, now), kept))

    async def callback(self, query: str, cookie_lines: Sequence[bytes], visitor: Visitor) -> Outcome:
        """Answer GET /oauth2/callback, to which the issuer sends browsers after a sign-in, and after a sign-out."""
        answer = parameters(query)
        state = answer.get("state", "")
        if state == SIGNED_OUT_STATE:
            # Anybody can make a link to this: somebody who is signed in is not told otherwise.
            return SignedOut() if session_cookie(cookie_lines) is None else Redirected(PORTAL)
        attempt = attempt_of(self._sealer, state, cookie_lines, self._clock())
        if attempt is None:
            return unknown_sign_in(start_path(target_of(self._sealer, state) or PORTAL))
        again, done = start_path(attempt.target), (remove_cookie(attempt.cookie_name),)
        try:
            self._sessions.require_store()
            code = code_in(answer, await self._provider.metadata())
            grant = await self._exchanged(code, attempt, visitor)
            # Behind the exchange, which a code survives once: only whoever can sign in can fill the store with names.
            if not await self._sessions.once(attempt.replay_name, 2 * ATTEMPT_SECONDS):
                return used_sign_in(again, done)
            return await self._signed_in(grant, attempt, cookie_lines)
        except _FAILURES as failure:
            return refused(failure, again, done)

    async def _exchanged(self, code: str, attempt: Attempt, visitor: Visitor) -> Granted:
        answer = await self._provider.exchange(code, attempt.verifier)
        expected = Expected(self._settings.client_id, attempt.nonce, answer.access_token)
        return await granted(self._verifier, self._settings, answer, expected, visitor)

    async def _signed_in(self, grant: Granted, attempt: Attempt, cookie_lines: Sequence[bytes]) -> Redirected:
        # A new id each time (session fixation, GHSA-f24x-5g9q-753f), and the session that it replaces is over.
        old = session_key(session_cookie(cookie_lines) or b"")
        if old is not None:
            await self._sessions.end([old])
        session_id, _ = await self._sessions.create(grant.identity, grant.contents, grant.generation)
        cookies = (remove_cookie(attempt.cookie_name), set_cookie(SESSION_COOKIE, session_id))
        return Redirected(attempt.target, cookies, username=grant.identity.username)

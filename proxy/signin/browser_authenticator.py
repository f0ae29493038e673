"""Who is it? A session cookie in, a session with its identity out: at once where nothing has to be asked, as for bearer tokens.

Theory of operation. `known` is two look-ups and a few comparisons. Whatever it cannot tell is for `verify`, which asks store and
issuer; all requests that wait for the same session wait for one such question, which goes on when one of them goes away.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from proxy.errors import Unauthenticated, Unavailable
from proxy.forwarding.tasks import TaskSet
from proxy.sessions.session import Session
from proxy.sessions.sessions import Sessions
from proxy.signin.failures import IssuerUnavailable
from proxy.signin.granted import Verifier
from proxy.signin.renewal import Renewal

_log = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS: Final = 5.0


class BrowserAuthenticator:
    """Believes session cookies. `clock` gives seconds since the epoch; questions to store and issuer run in `tasks`."""

    def __init__(
        self,
        sessions: Sessions,
        renewal: Renewal,
        verifier: Verifier,
        tasks: TaskSet,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sessions = sessions
        self._renewal = renewal
        self._verifier = verifier
        self._tasks = tasks
        self._clock = clock
        self._waiting: dict[bytes, asyncio.Future[Session]] = {}

    def known(self, session_id: bytes) -> Session | None:
        """Return the session of a cookie, None if that takes a question; raises Unavailable while the store is lost.

        Whoever remembers the session may use it as long as `is_fresh`.
        """
        session = self._sessions.cached(session_id)
        return session if session is not None and self.is_fresh(session) else None

    def is_fresh(self, session: Session) -> bool:
        """Tell whether a session can be used once more without asking anybody, and note that it was."""
        now = self._clock()
        identity = session.identity
        is_fresh = (
            session.is_current
            and identity is not None
            and now < session.refresh_at
            and now < identity.expires_at
            and now < session.ends_at
            and now < session.last_seen + self._sessions.lifetimes.idle
            and session.generation is self._verifier.generation
            and self._sessions.trouble is None
        )
        if is_fresh:
            session.last_seen = now
        return is_fresh

    async def verify(self, session_id: bytes) -> Session:
        """Return the session of a cookie, its tokens renewed if need be.

        Raises Unauthenticated when there is no such session (any longer), Unavailable when store or issuer do not answer.
        """
        waiting = self._waiting.get(session_id)
        if waiting is None:
            waiting = self._waiting[session_id] = asyncio.get_running_loop().create_future()
            waiting.add_done_callback(_retrieved)
            self._tasks.start(self._answer(session_id, waiting), "find session")
        return await asyncio.shield(waiting)

    async def _answer(self, session_id: bytes, waiting: asyncio.Future[Session]) -> None:
        try:
            waiting.set_result(await self._verified(session_id))
        except (Unauthenticated, Unavailable) as refusal:
            waiting.set_exception(refusal)
        finally:
            del self._waiting[session_id]
            if not waiting.done():
                waiting.set_exception(Unavailable("the session cannot be looked up", detail="the look-up was broken off"))

    async def _verified(self, session_id: bytes) -> Session:
        session = await self._sessions.find(session_id)
        trouble: IssuerUnavailable | None = None
        if session is not None and self._clock() >= session.refresh_at:
            session, trouble = await self._try_renewal(session)
        if session is None:
            raise _not_signed_in()
        try:
            await self._identify(session)
        except Unauthenticated as refusal:
            if trouble is not None:
                raise trouble from None
            return await self._replaced(session, refusal)
        session.last_seen = self._clock()
        return session

    async def _try_renewal(self, session: Session) -> tuple[Session | None, IssuerUnavailable | None]:
        """Return the session with other tokens; when the issuer does not answer the session as it is, and the trouble."""
        try:
            return await self._renewal.renewed(session), None
        except IssuerUnavailable as trouble:
            session.refresh_at = self._clock() + _ASK_AGAIN_SECONDS
            return session, trouble

    async def _identify(self, session: Session) -> None:
        """Find out whom the session's token speaks for; raises Unauthenticated when it no longer does."""
        generation = self._verifier.generation
        identity = session.identity
        if identity is None or session.generation is not generation or self._clock() >= identity.expires_at:
            session.identity = await self._verifier.verify(session.contents.id_token.encode())
            session.generation = generation

    async def _replaced(self, session: Session, refusal: Unauthenticated) -> Session:
        """Return the session with other tokens because its own is refused: expired, or its key is gone; else end it."""
        if session.contents.refresh_token is None:
            _log.info("session %s has ended: %s", session.label, refusal)
            await self._sessions.end([session.key])
            raise _not_signed_in()
        renewed = await self._renewal.renewed(session)
        if renewed is None:
            raise _not_signed_in()
        await self._identify(renewed)
        return renewed


def _not_signed_in() -> Unauthenticated:
    # RFC 6750 section 3.1: no error code for somebody who has shown no token.
    return Unauthenticated("not signed in", error="")


def _retrieved(waiting: asyncio.Future[Session]) -> None:
    """Look at a failure that perhaps nobody waits for any longer, so that it is not reported as forgotten."""
    if not waiting.cancelled():
        waiting.exception()

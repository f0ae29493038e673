"""Renews the tokens of sessions: once for all who wait, in this worker and in all others.

Theory of operation. Whoever finds that a session's tokens are about to expire claims the right to renew it from the store; a claim
has one holder among all workers, lasts longer than an exchange with the issuer can, and is void once the session has another revision.
Whoever does not get it looks again and again until the session has other tokens, or the claim has run out because its holder died.
So an issuer that rotates refresh tokens, and takes the second use of one for theft (RFC 9700 section 4.14.2), sees each of them once.

An issuer that does not answer takes nobody's session away: tokens that are still good are used until they no longer are.
An issuer that refuses ends the session.
"""

import asyncio
import logging
import secrets
from typing import Final

import msgspec

from proxy.errors import Unauthenticated, Unavailable
from proxy.identity.principal import Identity
from proxy.sessions.identifiers import provider_session_digest, subject_digest
from proxy.sessions.record import Contents
from proxy.sessions.session import Session
from proxy.sessions.sessions import Sessions
from proxy.sessions.store import StoreUnavailable
from proxy.signin.failures import IssuerRefused, IssuerUnavailable, NotBelieved
from proxy.signin.granted import Granted, Verifier, Visitor, granted
from proxy.signin.id_token import Expected
from proxy.signin.provider import Provider, TokenAnswer

_log = logging.getLogger(__name__)

_CLAIM_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 20.0
_KEEP_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
# What an issuer says of a refresh token, or of a client that may no longer refresh; anything else is a passing trouble.
_FINAL: Final = frozenset({"invalid_grant", "unauthorized_client"})


class Renewal:
    """Renews sessions at one issuer."""

    def __init__(self, provider: Provider, sessions: Sessions, verifier: Verifier) -> None:
        self._provider = provider
        self._sessions = sessions
        self._verifier = verifier

    async def renewed(self, session: Session) -> Session | None:
        """Return the session with other tokens, None if it has ended; raises Unavailable if the issuer or the store does not answer."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._renewed(session)
        except TimeoutError:
            raise IssuerUnavailable("a renewal by another worker takes too long") from None

    async def _renewed(self, session: Session) -> Session | None:
        current: Session | None = session
        while current is not None and current.revision == session.revision:
            holder = secrets.token_bytes(16)
            if await self._sessions.claim(current, holder, _CLAIM_SECONDS):
                return await self._renew(current, holder)
            await asyncio.sleep(_LOOK_SECONDS)
            current = await self._sessions.load(session.key)
        return current

    async def _renew(self, session: Session, holder: bytes) -> Session | None:
        try:
            answer = await self._provider.refresh(session.contents.refresh_token or "")
            grant = await self._granted(session, answer)
        except Unavailable:
            await self._sessions.release(session, holder)
            raise
        except IssuerRefused as refusal:
            if refusal.code not in _FINAL:
                await self._sessions.release(session, holder)
                raise IssuerUnavailable(f"{self._provider.settings.issuer} does not renew sessions: {refusal}") from None
            return await self._end(session, str(refusal))
        except (NotBelieved, Unauthenticated) as failure:
            return await self._end(session, f"its new token is not accepted: {failure}")
        contents = _unrenewable(session.contents) if grant is None else grant.contents
        await self._keep(session, contents)
        renewed = await self._sessions.load(session.key)
        if grant is not None and renewed is not None and renewed.contents == contents:
            renewed.identity, renewed.generation = grant.identity, grant.generation
        return renewed

    async def _keep(self, session: Session, contents: Contents) -> None:
        # The issuer may have taken the old refresh token out of use: what it gave instead must not be lost to a short disturbance.
        for pause in _KEEP_PAUSES:
            try:
                await self._sessions.renew(session, contents)
            except StoreUnavailable:
                await asyncio.sleep(pause)
            else:
                return
        await self._sessions.renew(session, contents)

    async def _granted(self, session: Session, answer: TokenAnswer) -> Granted | None:
        """Return what the issuer granted, None if it gave no ID token (OpenID Connect Core 1.0 section 12.2 allows it)."""
        if answer.id_token is None:
            return None
        kept = session.contents
        settings = self._provider.settings
        expected = Expected(settings.client_id, kept.nonce, answer.access_token, is_renewal=True)
        # RFC 6749 section 6: without another refresh token the one before stays good.
        whole = TokenAnswer(answer.id_token, answer.access_token, answer.refresh_token or kept.refresh_token)
        grant = await granted(self._verifier, settings, whole, expected, Visitor(kept.device, kept.address))
        _check_continues(session, grant.identity)
        return grant

    async def _end(self, session: Session, cause: str) -> Session | None:
        """End a session that the issuer no longer renews, unless somebody has renewed it after all; returns it then."""
        current = await self._sessions.load(session.key)
        if current is not None and current.revision != session.revision:
            return current
        _log.info("session %s has ended: %s", session.label, cause)
        await self._sessions.end([session.key])
        return None


def _check_continues(session: Session, identity: Identity) -> None:
    """Raise NotBelieved unless an identity is the session's user, in the same session at the issuer."""
    if subject_digest(identity.issuer, identity.subject) != session.subject:
        raise NotBelieved("ID token for another user: sub")
    if identity.session_id is None or session.provider_session is None:
        return
    if provider_session_digest(identity.issuer, identity.session_id) != session.provider_session:
        raise NotBelieved("ID token of another session: sid")


def _unrenewable(contents: Contents) -> Contents:
    # The session goes on with the token that it has, until that expires.
    return msgspec.structs.replace(contents, refresh_token=None)

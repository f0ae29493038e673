"""Signing out: at a user's wish, here and at the issuer, and at the issuer's.

Sign-out at the issuer is OpenID Connect RP-Initiated Logout 1.0 with `client_id` and `logout_hint`. An `id_token_hint` is not sent: in
this proxy an ID token is a credential for APIs, and neither a URL nor a page may hold one. What the hint would have done, letting the
issuer end the session without a question, is done before: the refresh token is revoked (RFC 7009), from us to the issuer.
"""

import logging
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from proxy.errors import Unauthenticated, Unavailable
from proxy.sessions.cookies import SESSION_COOKIE, remove_cookie, session_cookie
from proxy.sessions.session import Session
from proxy.sessions.sessions import Sessions
from proxy.signin.authorization import parameters
from proxy.signin.failures import IssuerRefused, IssuerUnavailable, NotBelieved, refused
from proxy.signin.granted import Verifier
from proxy.signin.logout_token import LOGOUT_TYPES, Logout, logout_of
from proxy.signin.outcomes import Accepted, Outcome, Redirected, Refused, SignedOut
from proxy.signin.provider import Provider
from proxy.signin.same_origin import is_same_origin
from proxy.signin.sign_in import SIGNED_OUT_STATE

_log = logging.getLogger(__name__)

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_BODY_BYTES: Final = 131_072


class SignOut:
    """Ends sessions here, and browsers' sessions at the issuer. `clock` gives seconds since the epoch."""

    def __init__(
        self, provider: Provider, sessions: Sessions, verifier: Verifier, clock: Callable[[], float] = time.time
    ) -> None:
        self._provider = provider
        self._settings = provider.settings
        self._sessions = sessions
        self._verifier = verifier
        self._clock = clock

    async def sign_out(self, cookie_lines: Sequence[bytes], origin: str | None, sec_fetch_site: str | None) -> Outcome:
        """Answer POST /oauth2/sign_out, with the request's fields of these names."""
        if not is_same_origin(origin, sec_fetch_site, self._settings.origin):
            message = "a page of another origin may not sign you out"
            return Refused(HTTPStatus.FORBIDDEN, "cross_origin", message, "/", detail=f"Origin {origin!r:.200}")
        session_id = session_cookie(cookie_lines)
        try:
            session = None if session_id is None else await self._sessions.find(session_id)
            await self._sessions.end([] if session is None else [session.key])
        except Unavailable as failure:
            # The cookie stays: it is still good for a session that nobody could end.
            return refused(failure, "/")
        gone = (remove_cookie(SESSION_COOKIE),)
        return SignedOut(gone) if session is None else await self._at_the_issuer(session, gone)

    async def backchannel_logout(self, content_type: str | None, body: bytes) -> Outcome:
        """Answer POST /oauth2/backchannel-logout, by which the issuer tells that somebody has been signed out."""
        media_type = (content_type or "").partition(";")[0].strip().lower()
        token = parameters(body.decode("utf-8", "replace")).get("logout_token") if len(body) <= _MOST_BODY_BYTES else None
        if media_type != _FORM or not token:
            return _bad_logout("a form with one logout_token is expected", f"content type {content_type!r:.100}")
        try:
            logout = await self._believed(token.encode("utf-8", "replace"))
            return Accepted(await self._end(logout))
        except (NotBelieved, Unauthenticated) as failure:
            return _bad_logout("the logout token is not accepted", str(failure))
        except Unavailable as failure:
            return refused(failure, "/")

    async def _believed(self, token: bytes) -> Logout:
        signed = await self._verifier.signed_claims(token, LOGOUT_TYPES)
        if signed.issuer.issuer != self._settings.issuer:
            raise NotBelieved(f"logout token of another issuer, {signed.issuer.issuer!r:.200}")
        logout = logout_of(signed.claims, signed.issuer.rules, self._settings.client_id, self._clock())
        name = sha256(b"logout token" + logout.token_id.encode("utf-8", "replace")).digest()
        if not await self._sessions.once(name, logout.seconds + 1):
            raise NotBelieved("logout token seen before: jti")
        return logout

    async def _end(self, logout: Logout) -> int:
        issuer = self._settings.issuer
        if logout.provider_session is not None:
            return await self._sessions.end_provider_session(issuer, logout.provider_session, logout.subject)
        return await self._sessions.end_subject(issuer, logout.subject or "")

    async def _at_the_issuer(self, session: Session, gone: tuple[str, ...]) -> Outcome:
        """End the session at the issuer too; whatever becomes of that, it has ended here."""
        identity = session.identity
        username = None if identity is None else identity.username
        try:
            metadata = await self._provider.metadata_for_browsers()
        except IssuerUnavailable as failure:
            _log.warning("signed out here, not at the issuer: %s", failure.detail)
            return SignedOut(gone, username)
        await self._revoke(session)
        if metadata.end_session_endpoint is None:
            return SignedOut(gone, username)
        return Redirected(self._end_session_url(metadata.end_session_endpoint, username), gone, username)

    async def _revoke(self, session: Session) -> None:
        if session.contents.refresh_token is not None:
            try:
                await self._provider.revoke(session.contents.refresh_token)
            except IssuerUnavailable as failure:
                _log.warning("refresh token not revoked: %s", failure.detail)
            except IssuerRefused as failure:
                _log.warning("refresh token not revoked: %s", failure)

    def _end_session_url(self, endpoint: str, username: str | None) -> str:
        wish = {
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": self._settings.redirect_uri,
            "state": SIGNED_OUT_STATE,
            **({} if username is None else {"logout_hint": username}),
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(wish)}"


def _bad_logout(message: str, detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "invalid_request", message, "/", detail=detail)

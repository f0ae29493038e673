"""Signing browsers in, as this process does it: the sessions, the issuer's client, and the keys that are in force at the moment."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from proxy.edge.context import Edge
from proxy.identity.principal import Identity
from proxy.issuers.authenticator import SignedClaims
from proxy.sessions.opening import opened
from proxy.sessions.sessions import Sessions
from proxy.sessions.store import UnusableStore
from proxy.settings import Settings
from proxy.settings.browser_rooms import session_settings, sign_in_settings
from proxy.signin.room import SignInRoom, sign_in_room


@dataclass(frozen=True, slots=True)
class SigningIn:
    """The sessions of this worker, and what signs people in and out."""

    sessions: Sessions
    room: SignInRoom


class CurrentVerifier:
    """The authenticator of the site in force: a reload may put another in its place, whose `generation` is another, too."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    @property
    def generation(self) -> object:
        """Another object whenever identities that were handed out are no longer believed."""
        return self._edge.site.authenticator.generation

    async def verify(self, token: bytes) -> Identity:
        """Return whom a token speaks for; raises Unauthenticated, Unavailable."""
        return await self._edge.site.authenticator.verify(token)

    async def signed_claims(self, token: bytes, types: Collection[str]) -> SignedClaims:
        """Return what an issuer says in a token of one of these types; raises Unauthenticated, Unavailable."""
        return await self._edge.site.authenticator.signed_claims(token, types)


@asynccontextmanager
async def signing_in(edge: Edge, settings: Settings) -> AsyncIterator[SigningIn | None]:
    """Give what signs browsers in while the context lasts, None if the configuration has no `sign_in`.

    Raises SettingsError or RuntimeError, with one line for the operator, when a file or the store cannot be used.
    """
    given = sign_in_settings(settings)
    if given is None:
        yield None
        return
    try:
        async with opened(session_settings(settings)) as found:
            room = sign_in_room(given, found, CurrentVerifier(edge), edge.tasks, clock=edge.wall_clock)
            found.sessions.watchers.append(edge.open_requests)
            try:
                yield SigningIn(found.sessions, room)
            finally:
                await room.close()
    except UnusableStore as error:
        raise RuntimeError(f"sessions: {error}") from None

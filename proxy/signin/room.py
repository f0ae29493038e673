"""The parts of signing in, put together over one issuer, one store and one verifier."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from proxy.forwarding.tasks import TaskSet
from proxy.sessions.opening import OpenedSessions
from proxy.signin.browser_authenticator import BrowserAuthenticator
from proxy.signin.granted import Verifier
from proxy.signin.provider import DEFAULT_PATIENCE, Patience, Provider
from proxy.signin.renewal import Renewal
from proxy.signin.settings import SignInSettings
from proxy.signin.sign_in import SignIn
from proxy.signin.sign_out import SignOut


@dataclass(frozen=True, slots=True)
class SignInRoom:
    """What answers the paths below /oauth2, and what believes session cookies."""

    sign_in: SignIn
    sign_out: SignOut
    browsers: BrowserAuthenticator
    provider: Provider

    async def close(self) -> None:
        """Close the connections to the issuer."""
        await self.provider.close()


def sign_in_room(
    settings: SignInSettings,
    opened: OpenedSessions,
    verifier: Verifier,
    tasks: TaskSet,
    *,
    clock: Callable[[], float] = time.time,
    patience: Patience = DEFAULT_PATIENCE,
) -> SignInRoom:
    """Return the parts for `settings`; a reload makes others over the same sessions. `clock` gives seconds since the epoch."""
    provider = Provider(settings, patience)
    renewal = Renewal(provider, opened.sessions, verifier)
    return SignInRoom(
        sign_in=SignIn(provider, opened.sessions, opened.sealer, verifier, clock),
        sign_out=SignOut(provider, opened.sessions, verifier, clock),
        browsers=BrowserAuthenticator(opened.sessions, renewal, verifier, tasks, clock),
        provider=provider,
    )

"""A worker's desk where browsers sign in, and such a browser."""

import time
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from scripted_issuer import CLIENT, ScriptedIssuer

from proxy.issuers.authenticator import Authenticator
from proxy.issuers.settings import Rhythm
from proxy.sessions import following
from proxy.sessions.opening import OpenedSessions
from proxy.signin.granted import Visitor
from proxy.signin.outcomes import Outcome, Redirected
from proxy.signin.provider import Patience
from proxy.signin.room import SignInRoom
from proxy.signin.settings import SignInSettings

PUBLIC_URL = "https://entry.example"
QUICK_KEYS = Rhythm(refresh=60, attempt=1, patience=1, cool_down=0.05, first_retry=0.01, last_retry=0.05, last_kept_retry=0.05)
QUICK_STORE = following.Rhythm(retry=0.02, upkeep=60)
QUICK = Patience(exchange=0.4, revocation=0.3, cool_down=0, fresh_for_browsers=0)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = field(default_factory=lambda: float(int(time.time())))

    def __call__(self) -> float:
        return self.now


class Browser:
    """Keeps the cookies that the proxy sets, and shows them."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk
        self.cookies: dict[str, str] = {}

    @property
    def lines(self) -> list[bytes]:
        return ["; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()]

    @property
    def session_id(self) -> bytes:
        return self.cookies["__Host-mosk"].encode()

    def keep(self, outcome: Outcome) -> Outcome:
        for line in outcome.cookies:
            assert "; Path=/; Secure; HttpOnly; SameSite=Lax" in line
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return outcome

    async def start(self, query: str = "") -> Outcome:
        return self.keep(await self.desk.room.sign_in.start(query, self.lines))

    async def callback(self, query: str) -> Outcome:
        return self.keep(await self.desk.room.sign_in.callback(query, self.lines, Visitor("Firefox", "192.0.2.7")))

    async def sign_in(self, query: str = "", **changes: str | None) -> Outcome:
        begun = await self.start(query)
        assert isinstance(begun, Redirected), begun
        return await self.callback(self.desk.issuer.signs_in(begun.location, **changes))


@dataclass
class Desk:
    """One worker; `rooms` are its own and those of the others."""

    issuer: ScriptedIssuer
    room: SignInRoom
    opened: OpenedSessions
    authenticator: Authenticator
    clock: Clock

    def browser(self) -> Browser:
        return Browser(self)


def settings_for(issuer: str, **changes: object) -> SignInSettings:
    given = {"public_url": PUBLIC_URL, "client_secret": "s3cret:%", "redirect_hosts": frozenset({"grafana.example"})} | changes
    return SignInSettings(issuer=issuer, client_id=CLIENT, **given)

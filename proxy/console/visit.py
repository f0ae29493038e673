"""What the console is told by those who run it: who visits, what the installation has, and which sessions there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from aiohttp import web

from proxy.directory.clusters import Directory
from proxy.policy.policy import Policy
from proxy.policy.roles import RoleSet
from proxy.routing.routes import Routes


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks for a page.

    `unknown` are the strings of the role claim that are no role here. `session` is the label under which the visitor's own session is
    shown, None when a token let them in; it or the token lasts until `ends_at`, in seconds since the epoch.
    """

    username: str
    issuer: str
    roles: RoleSet
    ends_at: float
    session: str | None = None
    full_name: str | None = None
    unknown: tuple[str, ...] = ()


class OwnSession(Protocol):
    """A session as its user is shown it; moments are seconds since the epoch. `label` names it and opens nothing."""

    @property
    def label(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def last_seen(self) -> float: ...
    @property
    def ends_at(self) -> float: ...
    @property
    def device(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def is_this(self) -> bool: ...


class OwnSessions(Protocol):
    """The sessions of visitors that have one themselves. Any of these may raise a RequestError: Unavailable without a store."""

    async def own(self, visitor: Visitor) -> Sequence[OwnSession]:
        """Return all sessions of the visitor."""

    async def end(self, visitor: Visitor, label: str) -> bool:
        """End one of the visitor's own sessions; False if none of them has this label."""

    async def end_others(self, visitor: Visitor) -> int:
        """End all sessions of the visitor but the one that asks; returns how many."""


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where kubectl gets tokens: the public client of an issuer; `authority` is PEM, for an issuer that is not publicly trusted."""

    issuer: str
    client_id: str
    scopes: tuple[str, ...] = ("openid",)
    authority: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What pages tell of the installation; asked for at each request, because a reload or a discovered cluster changes it.

    `public_url` has no slash at its end; `public_ca` is PEM, for a certificate that is not publicly trusted.
    """

    policy: Policy
    directory: Directory
    routes: Routes
    public_url: str
    public_ca: str | None = field(default=None, repr=False)
    tokens: TokenSource | None = None


Resolver: TypeAlias = Callable[[web.Request], Visitor | None]
Facts: TypeAlias = Callable[[], SiteFacts]

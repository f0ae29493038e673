"""The console inside this process: what it is told of the installation and of who asks, and the pool that leads to it."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from proxy.app.signing_in import SigningIn
from proxy.console.application import application
from proxy.console.pages import Pages
from proxy.console.running import running
from proxy.console.sign_in_pages import CameFrom, add_sign_in
from proxy.console.visit import OwnSession, SiteFacts, TokenSource, Visitor
from proxy.edge.context import Edge
from proxy.edge.own_pages import OWN_UPSTREAM, OwnPages
from proxy.edge.visit import Visit
from proxy.forwarding.pool import Pool, PoolLimits
from proxy.forwarding.tasks import TaskSet
from proxy.sessions.session import Session, Summary
from proxy.sessions.sessions import Sessions
from proxy.settings import Settings

# Pages are short: what waits longer for one of so many connections waits for something that hangs.
_LIMITS: Final = PoolLimits(connections=64, idle_connections=16)


@dataclass(frozen=True, slots=True)
class _Guest(Visitor):
    """A visitor with the session by which they came."""

    held: Session | None = field(default=None, repr=False)


@asynccontextmanager
async def serving_console(
    edge: Edge, settings: Callable[[], Settings], tasks: TaskSet, signing_in: SigningIn | None
) -> AsyncIterator[None]:
    """Serve the console to whom `edge` lets in; `settings` gives those in force."""

    def resolve(request: web.Request) -> Visitor | None:
        return visitor_of(edge.visits.get(request.headers.get("X-Request-Id", "")))

    def facts() -> SiteFacts:
        return site_facts(edge, settings())

    app = application(resolve, facts, BrowserSessions(None if signing_in is None else signing_in.sessions), time.time)
    if signing_in is not None:
        add_sign_in(app, signing_in.room, lambda request: _came_from(edge, request), Pages(time.time))
    async with running(app) as dial:
        pool = Pool(OWN_UPSTREAM, None, _LIMITS, tasks, dial=dial)
        edge.own_pages = OwnPages.served_by(
            pool, is_tls=edge.settings.is_tls, browsers=None if signing_in is None else signing_in.room.browsers
        )
        try:
            yield
        finally:
            edge.own_pages = None
            pool.close()


def _came_from(edge: Edge, request: web.Request) -> CameFrom:
    visit = edge.visits.get(request.headers.get("X-Request-Id", ""))
    return CameFrom((), "") if visit is None else CameFrom(visit.cookies, visit.address)


def visitor_of(visit: Visit | None) -> Visitor | None:
    """Return who asks for a page, None for nobody."""
    if visit is None or visit.identity is None:
        return None
    identity, session = visit.identity, visit.session
    known = frozenset(identity.roles.strings)
    claimed = [group.removeprefix(identity.groups_prefix) for group in identity.groups]
    return _Guest(
        username=identity.username,
        issuer=identity.issuer,
        roles=identity.roles,
        ends_at=identity.expires_at if session is None else session.ends_at,
        session=None if session is None else session.label,
        full_name=identity.full_name,
        unknown=tuple(string for string in claimed if string not in known),
        held=session,
    )


def site_facts(edge: Edge, settings: Settings) -> SiteFacts:
    """Return what the console tells of the installation."""
    site = edge.site
    return SiteFacts(
        policy=site.policy,
        directory=site.directory,
        routes=site.routes,
        public_url=settings.public_url,
        public_ca=None if settings.public_ca_file is None else settings.public_ca_file.read_text(encoding="ascii"),
        tokens=_token_source(settings),
    )


def _token_source(settings: Settings) -> TokenSource:
    """Name the client by which kubectl signs in: the first audience that is believed, at the first issuer."""
    issuer = settings.issuers[0]
    authority = None if issuer.ca_file is None else issuer.ca_file.read_text(encoding="ascii")
    return TokenSource(issuer.issuer, issuer.audiences[0], authority=authority)


class BrowserSessions:
    """The sessions of visitors, as the console asks for them; None keeps none."""

    def __init__(self, sessions: Sessions | None) -> None:
        self._sessions = sessions

    async def own(self, visitor: Visitor) -> Sequence[OwnSession]:
        """Return all sessions of the visitor."""
        found = self._of(visitor)
        if found is None:
            return ()
        sessions, session = found
        summaries: tuple[Summary, ...] = await sessions.of_user(session)
        return summaries

    async def end(self, visitor: Visitor, label: str) -> bool:
        """End one of the visitor's own sessions; False if none of them has this label."""
        found = self._of(visitor)
        return found is not None and await found[0].end_labelled(found[1], label)

    async def end_others(self, visitor: Visitor) -> int:
        """End all sessions of the visitor but the one that asks; returns how many."""
        found = self._of(visitor)
        return 0 if found is None else await found[0].end_others(found[1])

    def _of(self, visitor: Visitor) -> tuple[Sessions, Session] | None:
        held = visitor.held if isinstance(visitor, _Guest) else None
        return None if self._sessions is None or held is None else (self._sessions, held)

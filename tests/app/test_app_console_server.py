"""What the console is told of who asks."""

import time

from proxy.app.console_server import BrowserSessions, visitor_of
from proxy.console.visit import Visitor
from proxy.edge.visit import Visit
from proxy.identity.principal import Identity
from proxy.policy.roles import RoleSet
from proxy.sessions.record import Contents
from proxy.sessions.session import Session

ROLES = ("m:kaas@reader", "offline_access")
ENDS = time.time() + 300


def identity() -> Identity:
    groups = tuple(f"oidc:{role}" for role in ROLES)
    roles = RoleSet.from_strings(ROLES)
    return Identity(
        "iss", "sub", "oidc:ann", groups, roles, frozenset(), ENDS, b"token", full_name="Ann A.", groups_prefix="oidc:"
    )


def session(**changes) -> Session:
    contents = Contents("token", None, 0, ENDS, "", "", "")
    known = {"key": b"k" * 32, "subject": b"s", "provider_session": None, "created_at": 0, "ends_at": ENDS + 900, "revision": 1}
    moments = {"last_seen": 0, "written": 0, "refresh_at": ENDS}
    return Session(contents=contents, **(known | moments | changes))


def test_a_visitor_is_told_of_what_is_believed_of_them() -> None:
    visitor = visitor_of(Visit(identity(), None, "192.0.2.1", ()))
    assert visitor is not None
    assert (visitor.username, visitor.full_name, visitor.session, visitor.ends_at) == ("oidc:ann", "Ann A.", None, ENDS)
    assert (visitor.roles.strings, visitor.unknown) == (("m:kaas@reader",), ("offline_access",))


def test_a_session_ends_later_than_its_token() -> None:
    held = session()
    visitor = visitor_of(Visit(identity(), held, "192.0.2.1", ()))
    assert visitor is not None
    assert (visitor.session, visitor.ends_at) == (held.label, ENDS + 900)
    assert "Contents" not in repr(visitor)


def test_nobody_is_nobody() -> None:
    assert visitor_of(None) is None
    assert visitor_of(Visit(None, None, "192.0.2.1", ())) is None


async def test_without_sessions_there_are_none() -> None:
    visitor = Visitor("ann", "iss", RoleSet.from_strings(ROLES), ENDS)
    none = BrowserSessions(None)
    assert (await none.own(visitor), await none.end(visitor, "x"), await none.end_others(visitor)) == ((), False, 0)

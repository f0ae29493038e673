"""Browsers: which requests a session cookie may speak for, and what those must show besides.

A cookie is sent by whoever can make a browser send something. So it is a key to our own pages and to StackLight only, never to an API;
and what changes something, or opens a WebSocket, must come from a page of the very origin that it addresses (threats: cross-site
request forgery, cross-site WebSocket hijacking).
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from proxy.edge.memory import BlockMemory
from proxy.errors import Forbidden, RequestError, Unauthenticated
from proxy.routing.request_head import HeaderBlock, RequestHead
from proxy.sessions.cookies import session_cookie
from proxy.sessions.session import Session
from proxy.signin.browser_authenticator import BrowserAuthenticator
from proxy.signin.same_origin import is_same_origin

if TYPE_CHECKING:
    from proxy.edge.transaction import Transaction

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}
_NOT_A_PAGE: Final = (b"/kaas", b"/k8s", b"/oauth2")


def cookie_credential(block: HeaderBlock) -> bytes | None:
    """Return the session id of a request that has no other credential: one with a bearer token is judged by that alone."""
    if not block.cookies or block.authorization or any(b"bearer" in line.lower() for line in block.websocket_protocols):
        return None
    return session_cookie(block.cookies)


def known_session(browsers: BrowserAuthenticator, memory: BlockMemory) -> Session | None:
    """Return the session of a block's cookie, None if that takes a question; raises Unavailable while the store is lost.

    What was worked out for the block is used again only for the very identity that it was worked out for.
    """
    session = memory.session
    if session is not None and session.identity is memory.session_identity and browsers.is_fresh(session):
        return session
    memory.forget()
    memory.session = memory.session_identity = None
    if memory.session_id is not None and (session := browsers.known(memory.session_id)) is not None:
        remember_session(memory, session)
        return session
    return None


def remember_session(memory: BlockMemory, session: Session) -> None:
    """Note whom the cookie of a block speaks for."""
    memory.session, memory.session_identity = session, session.identity


def require_same_origin(head: RequestHead, scheme: str) -> None:
    """Raise Forbidden unless a request is safe, or was made by a page of the origin that it addresses; `scheme` is the public one."""
    block = head.block
    if head.method in _SAFE and block.upgrade is None:
        return
    own = f"{scheme}://{block.host_text.removesuffix(_DEFAULT_PORTS[scheme])}"
    origins, sites = _values(block, b"origin"), _values(block, b"sec-fetch-site")
    origin = origins[0] if len(origins) == 1 else None
    if not is_same_origin(origin, None, own) or any(site != "same-origin" for site in sites):
        raise Forbidden("this request was not made by a page of this origin")


def is_navigation(block: HeaderBlock) -> bool:
    """Tell whether a person in front of a browser waits for a page (Fetch Metadata, `Sec-Fetch-Mode`), not a script of one."""
    return block.accepts_html and all(mode == "navigate" for mode in _values(block, b"sec-fetch-mode"))


def sign_in_location(head: RequestHead, error: RequestError) -> bytes | None:
    """Return where a request is sent that failed because nobody is signed in, None if it is to be told so instead."""
    block, target = head.block, head.target
    if not isinstance(error, Unauthenticated) or block.authorization or head.method != "GET" or block.upgrade is not None:
        return None
    path = target.partition(b"?")[0]
    is_page = target.startswith(b"/") and not any(path == root or path.startswith(root + b"/") for root in _NOT_A_PAGE)
    if not is_page or not is_navigation(block):
        return None
    return b"/oauth2/start?rd=" + quote(target, safe="").encode()


class OpenRequests:
    """What is under way in the name of sessions, by their keys; a watcher of `Sessions`."""

    def __init__(self) -> None:
        self._by_session: dict[bytes, set[Transaction]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_session.values()))

    def begin(self, key: bytes, transaction: "Transaction") -> None:
        """Note that a request has begun."""
        self._by_session.setdefault(key, set()).add(transaction)

    def end(self, key: bytes, transaction: "Transaction") -> None:
        """Note that it has ended."""
        under_way = self._by_session.get(key)
        if under_way is not None:
            under_way.discard(transaction)
            if not under_way:
                del self._by_session[key]

    def open_sessions(self) -> Collection[bytes]:
        """Return the keys of the sessions in whose name something is under way."""
        return self._by_session.keys()

    def sessions_ended(self, keys: frozenset[bytes]) -> None:
        """Cut what is under way in the name of sessions that have ended."""
        for key in keys:
            for transaction in list(self._by_session.get(key, ())):
                transaction.session_ended()


def _values(block: HeaderBlock, lower_name: bytes) -> list[str]:
    return [value.decode("ascii") for name, value in block.fields if name.lower() == lower_name]

"""The proxy's own pages: who may see which, and how a request for one reaches the server inside this process.

They are carried as any other request is, over connections that nobody outside can dial. Who asks travels beside the request, in
`Edge.visits`, under the request's id, which only the edge sets and nobody can guess.
"""

from dataclasses import dataclass
from typing import Final

from proxy.directory.upstream import Upstream
from proxy.edge.answers import HSTS
from proxy.edge.site import Site
from proxy.edge.verdict import Admission, Carriage
from proxy.errors import Forbidden, NoRoute
from proxy.forwarding.pool import Pool
from proxy.identity.principal import Identity
from proxy.policy.decision import Allowed
from proxy.policy.roles import RoleSet
from proxy.routing.request_head import RequestHead
from proxy.routing.target import OwnPage
from proxy.signin.browser_authenticator import BrowserAuthenticator
from proxy.wire.inbound import AnswerRules
from proxy.wire.outbound import Grant, outbound_headers

# Where nothing is dialled: the name in Host, and in what operators read.
OWN_UPSTREAM: Final = Upstream("console", "http", "console", 80)
_ALLOWED: Final = Allowed(None, (), None, None)
_NO_GRANT: Final = Grant((), "")
_NOBODY: Final = Identity("", "", "", (), RoleSet.from_strings(()), frozenset(), 0.0, b"")


@dataclass(frozen=True, slots=True)
class OwnPages:
    """The server of our own pages; with `browsers` it signs people in, too."""

    pool: Pool
    rules: AnswerRules
    browsers: BrowserAuthenticator | None = None

    @classmethod
    def served_by(cls, pool: Pool, *, is_tls: bool, browsers: BrowserAuthenticator | None = None) -> "OwnPages":
        """Make the value for a pool that leads to the server."""
        rules = AnswerRules(b"", frozenset(), is_kubernetes=False, is_own=True, added=HSTS if is_tls else b"")
        return cls(pool, rules, browsers)

    def carriage(self, site: Site, head: RequestHead, target: OwnPage, identity: Identity | None) -> Carriage:
        """Return how a request goes there; raises Forbidden as for any other target."""
        if head.block.impersonates:
            raise Forbidden("impersonation headers are not accepted here")
        who = _NOBODY if identity is None else identity
        headers = outbound_headers(
            head.block, OWN_UPSTREAM, None, who, _NO_GRANT, upgrade=None, credential_names=site.credential_names
        )
        return Carriage(Admission(_ALLOWED, who, self.pool, self.rules, headers, None, b""), target.path, target.query)


def is_sign_in(target: OwnPage) -> bool:
    """Tell whether a path is one of those of signing in and out, which nobody has to be known for."""
    return target.path.startswith(b"/oauth2/")


def require_page(target: OwnPage, *, is_public_host: bool, has_sign_in: bool) -> None:
    """Raise NoRoute unless there are pages at this path."""
    if not is_public_host or (is_sign_in(target) and not has_sign_in):
        raise NoRoute("There is nothing at this path")

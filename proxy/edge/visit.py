"""What the server of our own pages is told of a request, inside the process: no header has to be believed for it."""

from dataclasses import dataclass, field

from proxy.identity.principal import Identity
from proxy.sessions.session import Session


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for a page of ours, and from where.

    `identity` is None where nobody has to be known, `session` where no cookie was the credential; `cookies` are all `Cookie` lines.
    """

    identity: Identity | None
    session: Session | None
    address: str
    cookies: tuple[bytes, ...] = field(repr=False)

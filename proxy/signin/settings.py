"""What the configuration says of signing in."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SignInSettings:
    """The client as which browsers are signed in at `issuer`, for a proxy that they reach at `public_url` (no slash at its end).

    Without `client_secret` it is a public client. `redirect_hosts` are further hosts, by https, to which a sign-in may return.
    `ca_file` replaces the system's authorities towards the issuer.
    """

    public_url: str
    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid", "profile")
    redirect_hosts: frozenset[str] = frozenset()
    ca_file: Path | None = None

    @property
    def origin(self) -> str:
        """What browsers send as `Origin` from our own pages: without a default port (RFC 6454 section 6.2)."""
        return self.public_url.removesuffix(":443")

    @property
    def redirect_uri(self) -> str:
        """Where the issuer sends browsers back to; registered there word for word."""
        return f"{self.public_url}/oauth2/callback"

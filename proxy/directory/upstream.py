"""An upstream server and how we authenticate to it. Plain values: files are read and sockets opened elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class PassToken:
    """The user's own verified token, if its `aud` contains `audience`."""

    audience: str


@dataclass(frozen=True, slots=True)
class Impersonate:
    """The proxy's own credential (a token or a client certificate) plus `Impersonate-*` headers."""

    token_file: Path | None = None
    client_certificate_file: Path | None = None
    client_key_file: Path | None = None
    groups: Literal["effective", "all"] = "effective"


@dataclass(frozen=True, slots=True)
class StaticToken:
    """The proxy's own token for everybody."""

    token_file: Path


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """Headers that name the user to an application which trusts the proxy (Grafana `auth.proxy`)."""

    user_header: str
    role_header: str | None = None
    role: str | None = None
    name_header: str | None = None
    email_header: str | None = None


@dataclass(frozen=True, slots=True)
class NoCredential:
    """Nothing: the network alone protects the application."""


Credential: TypeAlias = PassToken | Impersonate | StaticToken | IdentityHeaders | NoCredential


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a target is served.

    `name` is the target's own text (`kaas`, `k8s/team-a/prod`, `sl/team-a/prod/grafana`); `host` is a name or an address without
    brackets; `base_path` is empty or begins with `/` and does not end with one. `ca_file` or `ca_pem` (PEM text) replace the
    system's authorities; with neither, those are used. `keep_prefix` is for StackLight applications in path mode.
    """

    name: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    base_path: bytes = b""
    credential: Credential = NoCredential()
    ca_file: Path | None = None
    ca_pem: str | None = None
    server_name: str | None = None
    keep_prefix: bool = False

"""The configuration as frozen models: attribute names are the keys of the file, at every level.

What one value or one block can tell is checked here; what needs two blocks is in `cross_checks`. Fields stand in the order in which
they are checked: a validator sees the fields above its own in `info.data`, and those that failed are missing there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from proxy.issuers.keys import SUPPORTED_ALGORITHMS, UnusableKeySet, parse_key_set
from proxy.policy.policy import SYSTEM_NAMESPACES
from proxy.settings.credentials import Block
from proxy.settings.files import (
    AuditPath,
    AuthoritiesFile,
    CertificateFile,
    KeyFile,
    KeySetFile,
    PermissionsFile,
    SecretFile,
    SessionKeyFile,
    check_pair,
    read,
)
from proxy.settings.scalars import (
    NOT_EMPTY,
    Address,
    Algorithm,
    Cidr,
    ClaimValue,
    Count,
    Domain,
    Duration,
    DurationOrZero,
    HeaderName,
    HostName,
    Leeway,
    Name,
    Namespace,
    Port,
    Prefix,
    PublicUrl,
    ServerUrl,
    SessionStore,
)
from proxy.settings.servers import ClusterSettings, DiscoverySettings, ManagementSettings


class TlsSettings(Block):
    """The public listener's certificate."""

    certificate_file: CertificateFile
    key_file: KeyFile

    @field_validator("key_file")
    @classmethod
    def _belongs_to_the_certificate(cls, key: Path, info: ValidationInfo) -> Path:
        if "certificate_file" in info.data:
            check_pair(info.data["certificate_file"], key)
        return key


class ListenSettings(Block):
    """Where users connect; without `tls` plain HTTP."""

    address: Address = "0.0.0.0"  # noqa: S104 - the public listener is meant for everybody
    port: Port = 8443
    tls: TlsSettings | None = None


class AdminSettings(Block):
    """Where probes and metrics are served."""

    address: Address = "127.0.0.1"
    port: Port = 9090


class ForwardAuthSettings(Block):
    """The header pair that carries the original request of a forward-auth question."""

    method_header: HeaderName = "X-Original-Method"
    url_header: HeaderName = "X-Original-URL"


class IssuerBlock(Block):
    """An OpenID issuer whose tokens are believed."""

    issuer: ServerUrl
    audiences: Annotated[tuple[Name, ...], NOT_EMPTY] = ("kaas", "k8s", "sl")
    username_claim: Name = "preferred_username"
    groups_claim: Name = "iam_roles"
    username_prefix: Prefix = ""
    groups_prefix: Prefix = ""
    algorithms: Annotated[tuple[Algorithm, ...], NOT_EMPTY] = ("RS256", "PS256", "ES256", "EdDSA")
    required_claims: Mapping[Name, ClaimValue] = Field(default_factory=dict)
    leeway_seconds: Leeway = 60
    max_lifetime_hours: Duration = 24
    ca_file: AuthoritiesFile | None = None
    jwks_file: KeySetFile | None = None

    @field_validator("jwks_file")
    @classmethod
    def _holds_keys(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is not None:
            try:
                parse_key_set(read(file), info.data.get("algorithms", SUPPORTED_ALGORITHMS))
            except UnusableKeySet as error:
                raise ValueError(f"is no key set: {error}") from None
        return file


class SignInSettings(Block):
    """The client as which browsers are signed in."""

    issuer: ServerUrl
    client_id: Name
    client_secret_file: SecretFile | None = None
    scopes: tuple[Name, ...] = ("openid", "profile")
    redirect_hosts: tuple[HostName, ...] = ()

    @field_validator("scopes")
    @classmethod
    def _ask_for_an_id_token(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("must contain openid")
        return scopes


class SessionsSettings(Block):
    """Where browser sessions are kept, and for how long."""

    store: SessionStore = "sqlite:///var/lib/mosk-proxy/sessions.db"
    password_file: SecretFile | None = None
    ca_file: AuthoritiesFile | None = None
    key_file: SessionKeyFile | None = None
    idle_minutes: Duration = 30
    lifetime_hours: Duration = 12


class PolicySettings(Block):
    """The permission table (the shipped one when null) and the namespaces that belong to the management cluster."""

    permissions_file: PermissionsFile | None = None
    system_namespaces: tuple[Namespace, ...] = SYSTEM_NAMESPACES


class LimitsSettings(Block):
    """Bounds of a request in bytes and fields, of a worker in connections, of a user in requests a second and streams at once."""

    request_line_bytes: Count = 16384
    header_bytes: Count = 65536
    headers: Count = 128
    body_bytes: Count | None = None
    connections: Count = 20000
    requests_per_user: Count | None = None
    streams_per_user: Count | None = None


class TimeoutsSettings(Block):
    """How long is waited for what."""

    header_seconds: Duration = 10
    idle_seconds: Duration = 75
    connect_seconds: Duration = 5
    response_seconds: Duration = 60
    body_idle_seconds: Duration = 60
    drain_delay_seconds: DurationOrZero = 0
    drain_seconds: DurationOrZero = 30
    stream_hours: Duration = 12
    stream_follows_token: bool = False


class AuditSettings(Block):
    """Where audit lines go (`-` is standard output), and what happens when they cannot be written fast enough."""

    path: AuditPath | None = "-"
    when_full: Literal["drop", "refuse"] = "drop"


class TracingSettings(Block):
    """Where traces are sent."""

    otlp_endpoint: ServerUrl | None = None


class Settings(Block):
    """The whole configuration file."""

    public_url: PublicUrl
    hosts: tuple[HostName, ...] = ()
    public_ca_file: AuthoritiesFile | None = None
    listen: ListenSettings = ListenSettings()
    admin: AdminSettings = AdminSettings()
    workers: Count = 1
    ui_domain: Domain | None = None
    trusted_proxies: tuple[Cidr, ...] = ()
    forward_auth: ForwardAuthSettings = ForwardAuthSettings()
    issuers: Annotated[tuple[IssuerBlock, ...], NOT_EMPTY]
    sign_in: SignInSettings | None = None
    sessions: SessionsSettings = SessionsSettings()
    management: ManagementSettings | None = None
    discovery: DiscoverySettings = DiscoverySettings()
    clusters: tuple[ClusterSettings, ...] = ()
    policy: PolicySettings = PolicySettings()
    limits: LimitsSettings = LimitsSettings()
    timeouts: TimeoutsSettings = TimeoutsSettings()
    audit: AuditSettings = AuditSettings()
    tracing: TracingSettings = TracingSettings()

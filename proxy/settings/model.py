"""The configuration as frozen models: attribute names are the keys of the file, at every level.

What one value or one block can tell is checked here; what needs two blocks is in `cross_checks`. Fields stand in the order in which
they are checked: a validator sees the fields above its own in `info.data`, and those that failed are missing there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from proxy.issuers.keys import SUPPORTED_ALGORITHMS, UnusableKeySet, parse_key_set
from proxy.settings.credentials import (
    Block,
    CredentialSettings,
    ImpersonateSettings,
    NoCredentialSettings,
    PassTokenSettings,
)
from proxy.settings.files import (
    AuditPath,
    AuthoritiesFile,
    AuthoritiesText,
    CertificateFile,
    KeyFile,
    KeySetFile,
    PermissionsFile,
    SecretFile,
    check_pair,
    read,
)
from proxy.settings.scalars import (
    NOT_EMPTY,
    Address,
    Algorithm,
    AllowedHost,
    Cidr,
    ClaimValue,
    ClusterName,
    Count,
    Domain,
    Duration,
    DurationOrZero,
    HeaderName,
    HostName,
    Leeway,
    ManagementCluster,
    Name,
    Namespace,
    Port,
    Prefix,
    PublicUrl,
    ServerUrl,
    SessionStore,
)

Application: TypeAlias = Literal["grafana", "alertmanager", "prometheus", "alerta", "opensearch-dashboards"]

# Namespaces of the management cluster that hold its own controllers: write access there is more than any project role means.
SYSTEM_NAMESPACES = (
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "openstack-provider-system",
    "system",
    "kaas",
    "lcm-system",
    "istio-system",
    "stacklight",
)


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


class IssuerSettings(Block):
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
    key_file: SecretFile | None = None
    idle_minutes: Duration = 30
    lifetime_hours: Duration = 12


class ServerSettings(Block):
    """A server that we connect to, and the authorities that vouch for it (the system's when none are named)."""

    url: ServerUrl
    ca_file: Annotated[AuthoritiesFile | None, Field(validate_default=True)] = None
    ca_data: Annotated[AuthoritiesText | None, Field(validate_default=True)] = None

    @field_validator("ca_file", "ca_data")
    @classmethod
    def _has_a_use(cls, authorities: Path | str | None, info: ValidationInfo) -> Path | str | None:
        if authorities is not None and info.data.get("url", "").startswith("http://"):
            raise ValueError("has no use with http://: write https:// or leave it out")
        return authorities

    @field_validator("ca_data")
    @classmethod
    def _is_the_only_one(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None and info.data.get("ca_file", "failed") is not None:
            raise ValueError("give either ca_file or ca_data, not both")
        return text

    @field_validator("credential", check_fields=False)
    @classmethod
    def _can_be_presented(cls, credential: CredentialSettings, info: ValidationInfo) -> CredentialSettings:
        is_plain = info.data.get("url", "").startswith("http://")
        if is_plain and isinstance(credential, ImpersonateSettings) and credential.client_certificate_file is not None:
            raise ValueError("a client certificate has no use with http://: write https:// or give token_file")
        return credential


class ManagementSettings(ServerSettings):
    """The management API."""

    cluster: ManagementCluster | None = None
    credential: CredentialSettings = PassTokenSettings(kind="pass_token", audience="kaas")


class ClusterApiSettings(ServerSettings):
    """A child cluster's Kubernetes API."""

    credential: CredentialSettings


class ApplicationSettings(ServerSettings):
    """A StackLight application."""

    keep_prefix: bool = False
    credential: CredentialSettings = NoCredentialSettings(kind="none")


class ClusterSettings(Block):
    """A child cluster declared by hand."""

    namespace: Namespace
    name: ClusterName
    api: ClusterApiSettings | None = None
    stacklight: Annotated[Mapping[Application, ApplicationSettings], Field(validate_default=True)] = Field(default_factory=dict)

    @field_validator("stacklight")
    @classmethod
    def _has_something_to_reach(
        cls, applications: Mapping[Application, ApplicationSettings], info: ValidationInfo
    ) -> Mapping[Application, ApplicationSettings]:
        if not applications and info.data.get("api", "failed") is None:
            raise ValueError("missing: a cluster needs api, stacklight, or both")
        return applications


class DiscoverySettings(Block):
    """Reading Cluster objects from the management API."""

    enabled: bool = False
    allow_pass_token: bool = False
    credential: Annotated[CredentialSettings | None, Field(validate_default=True)] = None
    cluster_credential: Annotated[CredentialSettings | None, Field(validate_default=True)] = None
    stacklight_credential: CredentialSettings = NoCredentialSettings(kind="none")
    allowed_hosts: tuple[AllowedHost, ...] = ()

    @field_validator("credential", "cluster_credential")
    @classmethod
    def _is_there_when_needed(cls, credential: CredentialSettings | None, info: ValidationInfo) -> CredentialSettings | None:
        if credential is None and info.data.get("enabled", False):
            raise ValueError("missing: discovery needs it")
        return credential

    @field_validator("cluster_credential", "stacklight_credential")
    @classmethod
    def _may_pass_tokens(cls, credential: CredentialSettings | None, info: ValidationInfo) -> CredentialSettings | None:
        if isinstance(credential, PassTokenSettings) and not info.data.get("allow_pass_token", True):
            raise ValueError("pass_token needs discovery.allow_pass_token: whoever writes a Cluster object would receive tokens")
        return credential


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
    issuers: Annotated[tuple[IssuerSettings, ...], NOT_EMPTY]
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

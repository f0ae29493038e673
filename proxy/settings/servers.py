"""Blocks that name servers to connect to: the management API, child clusters, StackLight applications, and their discovery."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from proxy.settings.credentials import (
    Block,
    CredentialSettings,
    IdentityHeadersSettings,
    ImpersonateSettings,
    NoCredentialSettings,
    PassTokenSettings,
)
from proxy.settings.files import AuthoritiesFile, AuthoritiesText
from proxy.settings.scalars import AllowedHost, ClusterName, ManagementCluster, Namespace, ServerUrl

Application: TypeAlias = Literal["grafana", "alertmanager", "prometheus", "alerta", "opensearch-dashboards"]


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

    @field_validator("credential")
    @classmethod
    def _is_our_own(cls, credential: CredentialSettings | None) -> CredentialSettings | None:
        if isinstance(credential, PassTokenSettings | IdentityHeadersSettings):
            raise ValueError(  # noqa: TRY004 - pydantic reports a ValueError and lets a TypeError through
                "nobody's request is at hand when objects are read: give kind token, or impersonate for a client certificate"
            )
        return credential

    @field_validator("cluster_credential", "stacklight_credential")
    @classmethod
    def _may_pass_tokens(cls, credential: CredentialSettings | None, info: ValidationInfo) -> CredentialSettings | None:
        if isinstance(credential, PassTokenSettings) and not info.data.get("allow_pass_token", True):
            raise ValueError("pass_token needs discovery.allow_pass_token: whoever writes a Cluster object would receive tokens")
        return credential

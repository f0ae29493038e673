"""`credential` blocks: one model a kind."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from proxy.settings.files import CertificateFile, KeyFile, TokenFile, check_pair
from proxy.settings.scalars import HeaderName, Name

KINDS = ("pass_token", "impersonate", "token", "identity_headers", "none")


class Block(BaseModel):
    """A mapping of the file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PassTokenSettings(Block):
    """The user's own verified token goes upstream."""

    kind: Literal["pass_token"]
    audience: Name


class ImpersonateSettings(Block):
    """The proxy's own token or client certificate, plus `Impersonate-*`."""

    kind: Literal["impersonate"]
    client_certificate_file: CertificateFile | None = None
    client_key_file: Annotated[KeyFile | None, Field(validate_default=True)] = None
    token_file: Annotated[TokenFile | None, Field(validate_default=True)] = None
    groups: Literal["effective", "all"] = "effective"

    @field_validator("client_key_file")
    @classmethod
    def _belongs_to_the_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "client_certificate_file" not in info.data:
            return key
        certificate: Path | None = info.data["client_certificate_file"]
        if (certificate is None) != (key is None):
            raise ValueError("client_certificate_file and client_key_file go together")
        if certificate is not None and key is not None:
            check_pair(certificate, key)
        return key

    @field_validator("token_file")
    @classmethod
    def _is_the_only_way(cls, token: Path | None, info: ValidationInfo) -> Path | None:
        names = ("client_certificate_file", "client_key_file")
        # A field that failed is missing here: it was given all the same.
        has_certificate = any(info.data.get(name, name) is not None for name in names)
        if token is None and not has_certificate:
            raise ValueError("missing: give token_file, or client_certificate_file with client_key_file")
        if token is not None and has_certificate:
            raise ValueError("give either token_file or the client certificate, not both")
        return token


class TokenSettings(Block):
    """The proxy's own token for everybody."""

    kind: Literal["token"]
    token_file: TokenFile


class IdentityHeadersSettings(Block):
    """Headers that name the user to an application which trusts the proxy."""

    kind: Literal["identity_headers"]
    user_header: HeaderName
    role_header: Annotated[HeaderName | None, Field(validate_default=True)] = None
    name_header: Annotated[HeaderName | None, Field(validate_default=True)] = None
    email_header: Annotated[HeaderName | None, Field(validate_default=True)] = None
    role: Annotated[Name | None, Field(validate_default=True)] = None

    @field_validator("role_header", "name_header", "email_header")
    @classmethod
    def _is_a_header_of_its_own(cls, header: str | None, info: ValidationInfo) -> str | None:
        taken = {value.lower(): name for name, value in info.data.items() if name.endswith("_header") and value is not None}
        if header is not None and header.lower() in taken:
            raise ValueError(f"the same header as {taken[header.lower()]}")
        return header

    @field_validator("role")
    @classmethod
    def _goes_with_its_header(cls, role: str | None, info: ValidationInfo) -> str | None:
        if "role_header" in info.data and (info.data["role_header"] is None) != (role is None):
            raise ValueError("role_header and role go together")
        return role


class NoCredentialSettings(Block):
    """Nothing is added to requests."""

    kind: Literal["none"]


CredentialSettings: TypeAlias = Annotated[
    PassTokenSettings | ImpersonateSettings | TokenSettings | IdentityHeadersSettings | NoCredentialSettings,
    Field(discriminator="kind"),
]

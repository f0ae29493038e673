"""Files that the configuration names: each is read and parsed when the configuration is, so that no bad one is met while serving."""

import base64
import binascii
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, ValidationInfo

from proxy.policy.permissions import Permissions, load_permissions
from proxy.sessions.key_file import UnusableKeys, read_keys

_MAX_BYTES = 4 * 1024 * 1024
_PEM_BEGIN = "-----BEGIN "


def read(path: Path) -> bytes:
    """Return a file's bytes; raises ValueError with what is wrong in two words."""
    try:
        with path.open("rb") as file:
            found = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ValueError("not found") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {(error.strerror or 'unknown error').lower()}") from None
    if len(found) > _MAX_BYTES:
        raise ValueError("is larger than 4 MiB")
    return found


def read_permissions(path: Path) -> Permissions:
    """Read a permission table; raises PermissionsError, or ValueError when the file cannot be read."""
    try:
        text = read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: byte {error.start}") from None
    return load_permissions(text, str(path))


def check_authorities(pem: bytes) -> None:
    """Raise ValueError unless `pem` holds at least one certificate and nothing that OpenSSL refuses."""
    _certificates(pem)
    try:
        ssl.create_default_context(cadata=pem.decode("ascii", "ignore"))
    except ssl.SSLError as error:
        raise ValueError(f"refused by OpenSSL: {error.reason}") from None


def check_pair(certificate_file: Path, key_file: Path) -> None:
    """Raise ValueError unless the key is the certificate's, and OpenSSL takes both."""
    certificate = _certificates(read(certificate_file))[0]
    key = load_pem_private_key(read(key_file), None)
    if certificate.public_key() != key.public_key():
        raise ValueError(f"is not the key of {certificate_file.name}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file, password="")
    except ssl.SSLError as error:
        raise ValueError(f"refused by OpenSSL: {error.reason}") from None


def absolute(path: Path, info: ValidationInfo) -> Path:
    """Resolve against the configuration file's folder, which the validation context carries as `folder`."""
    folder: Path = (info.context or {}).get("folder", Path.cwd())
    return folder / path


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("holds no PEM certificate, or a broken one") from None


def _check_certificates(pem: bytes) -> None:
    _certificates(pem)


def _check_key(pem: bytes) -> None:
    try:
        load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("is encrypted: store it without a passphrase and protect the file") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no PEM private key") from None


def _check_token(token: bytes) -> None:
    text = token.strip()
    if not text:
        raise ValueError("is empty")
    # RFC 6750 section 2.1: what could not stand in a header must not be found out at the first request.
    if not all(0x21 <= byte <= 0x7E for byte in text):  # noqa: PLR2004 - visible ASCII
        raise ValueError("must hold one token in one line of visible ASCII")


def _check_secret(secret: bytes) -> None:
    if not secret.strip():
        raise ValueError("is empty")


def _session_keys(path: Path) -> Path:
    read(path)  # for the words that every other file is refused with
    try:
        read_keys(path)
    except UnusableKeys as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from None
    return path


def _authorities_text(given: str) -> str:
    # A kubeconfig's certificate-authority-data is base64 of the PEM text; a block of PEM text is as clear.
    if given.lstrip().startswith(_PEM_BEGIN):
        pem = given
    else:
        try:
            pem = base64.b64decode("".join(given.split()), validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            raise ValueError("neither PEM text nor base64 of it") from None
    check_authorities(pem.encode("ascii", "ignore"))
    return pem


def _audit_path(text: str, info: ValidationInfo) -> str:
    if text == "-":
        return text
    path = absolute(Path(text), info)
    if path.is_dir():
        raise ValueError("is a directory")
    if not path.parent.is_dir():
        raise ValueError(f"folder {path.parent} not found")
    return str(path)


def _checked(check: Callable[[bytes], None]) -> AfterValidator:
    def check_file(path: Path) -> Path:
        check(read(path))
        return path

    return AfterValidator(check_file)


_Absolute: TypeAlias = Annotated[Path, AfterValidator(absolute)]

AuthoritiesFile = Annotated[_Absolute, _checked(check_authorities)]
CertificateFile = Annotated[_Absolute, _checked(_check_certificates)]
KeyFile = Annotated[_Absolute, _checked(_check_key)]
TokenFile = Annotated[_Absolute, _checked(_check_token)]
SecretFile = Annotated[_Absolute, _checked(_check_secret)]
SessionKeyFile = Annotated[_Absolute, AfterValidator(_session_keys)]
KeySetFile = _Absolute
PermissionsFile = _Absolute
AuthoritiesText = Annotated[str, AfterValidator(_authorities_text)]
AuditPath = Annotated[str, AfterValidator(_audit_path)]

"""A certificate authority for the life of one demonstration, and server certificates for loopback (P-256)."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from proxy.demo.files import write_private

LIFETIME = timedelta(days=30)
_SKEW = timedelta(minutes=5)
_NAMES: tuple[x509.GeneralName, ...] = (
    x509.IPAddress(IPv4Address("127.0.0.1")),
    x509.IPAddress(IPv6Address("::1")),
    x509.DNSName("localhost"),
)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Where the PEM files of one server lie."""

    certificate_file: Path
    key_file: Path

    def ssl_context(self) -> ssl.SSLContext:
        """What a server needs to show this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context


class CertificateAuthority:
    """Signs server certificates for loopback names; its own key never leaves memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _build("mosk-proxy demonstration CA", self._key, self._key, issuer=None)
        self.file = folder / "ca.crt"
        self.file.write_bytes(_pem(self._certificate))

    def __repr__(self) -> str:
        return f"CertificateAuthority({self.file})"

    def issue(self, name: str) -> ServerCertificate:
        """Write `<name>.crt` and `<name>.key` (mode 0600) for a server on 127.0.0.1, ::1 and localhost."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _build(name, key, self._key, issuer=self._certificate)
        written = ServerCertificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        written.certificate_file.write_bytes(_pem(certificate))
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        write_private(written.key_file, key.private_bytes(encoding, form, serialization.NoEncryption()).decode())
        return written


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _build(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + LIFETIME)
    )
    # RFC 5280 as strict verifiers (Python 3.13's default) read it: both key identifiers, key usage, basic constraints.
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), False),
        *(_authority_extensions() if issuer is None else _server_extensions()),
    ]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signing_key, hashes.SHA256())


def _authority_extensions() -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(signs_certificates=True), True),
    ]


def _server_extensions() -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(_NAMES), False),
    ]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )

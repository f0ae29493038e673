"""The issuer of all measurements: one RSA key, its key set, tokens as Keycloak writes them, and a P-256 server certificate."""

import datetime as dt
import ipaddress
import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

ISSUER = "https://keycloak.test/auth/realms/iam"
AUDIENCES = ["kaas", "k8s", "sl"]
KEY_ID = "bench-1"
LIFETIME_SECONDS = 8 * 3600


class Issuer:
    """Signs RS256 tokens as `url`; the key lives as long as the object."""

    def __init__(self, url: str = ISSUER) -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def key_set(self) -> str:
        """The JWKS document."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return json.dumps({"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]})

    def write_keys(self, folder: Path) -> Path:
        """Write the key set as keys.json, which is returned, and the public key alone as keys.pem."""
        file = folder / "keys.json"
        file.write_text(self.key_set())
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        file.with_suffix(".pem").write_bytes(self._key.public_key().public_bytes(serialization.Encoding.PEM, kind))
        return file

    def token(self, username: str, roles: Sequence[str]) -> str:
        """An access token of its own identity (`jti`), valid for eight hours."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCES,
            "azp": "k8s",
            "typ": "Bearer",
            "sub": str(uuid.uuid5(uuid.NAMESPACE_DNS, username)),
            "jti": str(uuid.uuid4()),
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "preferred_username": username,
            "iam_roles": list(roles),
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": KEY_ID})


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed P-256 certificate for localhost and its key, as two PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "tls.crt", folder / "tls.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate_file, key_file

"""What a pool is made from, so that a reload and a changed cluster keep every pool for which nothing has changed."""

from dataclasses import dataclass
from pathlib import Path

from proxy.directory.upstream import Credential, Impersonate, StaticToken, Upstream
from proxy.forwarding.pool import PoolLimits


@dataclass(frozen=True, slots=True)
class Material:
    """What a credential's files hold: the token to send, and what TLS contexts are made from."""

    secret: bytes | None
    files: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PoolKey:
    """What a pool was made from: two equal ones are the same connections."""

    upstream: Upstream
    material: Material
    limits: PoolLimits


def read_material(credential: Credential, ca_file: Path | None = None) -> Material:
    """Read a credential's files, and that of the authorities; raises OSError."""
    named = [ca_file]
    if isinstance(credential, Impersonate):
        named += [credential.client_certificate_file, credential.client_key_file]
    return Material(_secret(credential), tuple(path.read_bytes() for path in named if path is not None))


def _secret(credential: Credential) -> bytes | None:
    match credential:
        case Impersonate(token_file=Path() as token_file) | StaticToken(token_file=token_file):
            return token_file.read_bytes().strip()
        case _:
            return None

"""Keys of every kind, and a forge that signs whatever header and payload a test wants."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from proxy.issuers.keys import SUPPORTED_ALGORITHMS, PublicKey, parse_key_set

PRIVATE = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "rsa-other": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
LOADERS = {"rsa": RSAAlgorithm, "rsa-other": RSAAlgorithm, "p256": ECAlgorithm, "p384": ECAlgorithm, "ed25519": OKPAlgorithm}


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _encoded(part: dict | bytes) -> bytes:
    return base64url(part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode())


def public_key(name: str) -> PublicKey:
    jwk = LOADERS[name].to_jwk(PRIVATE[name].public_key(), as_dict=True)
    document = json.dumps({"keys": [{**jwk, "kid": name}]}).encode()
    return parse_key_set(document, SUPPORTED_ALGORITHMS).keys[0]


def mint(payload: dict | bytes, header: dict | bytes | None = None, *, key: str = "rsa", algorithm: str = "RS256") -> bytes:
    """Sign exactly these bytes; the header may say something else than what is done."""
    head = _encoded({"alg": algorithm, "kid": key} if header is None else header)
    signing_input = head + b"." + _encoded(payload)
    if algorithm == "none":
        return signing_input + b"."
    if algorithm.startswith("HS"):
        secret = PRIVATE[key].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return signing_input + b"." + base64url(hmac.digest(secret, signing_input, hashlib.sha256))
    signature = jwt.get_algorithm_by_name(algorithm).sign(signing_input, PRIVATE[key])
    return signing_input + b"." + base64url(signature)


@pytest.fixture(name="mint", scope="session")
def _mint() -> Callable[..., bytes]:
    return mint


@pytest.fixture(name="public_key", scope="session")
def _public_key() -> Callable[[str], PublicKey]:
    return public_key

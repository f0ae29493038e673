"""JSON Web Key Sets (RFC 7517) as verification keys: our own table of what a key may serve, PyJWT's algorithms over its key.

A set is read key by key: one that is weak, foreign or broken is left out by name and spoils none of the others.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import AllowedPublicKeys, ECAlgorithm, OKPAlgorithm, RSAAlgorithm

# RFC 7518 section 3.1, RFC 8037. PyJWT binds a key without `alg` to one algorithm; an RSA key serves PS256 and RS256 alike.
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_ALGORITHMS: Final[Mapping[tuple[str, str | None], frozenset[str]]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
    ("OKP", "Ed448"): frozenset({"EdDSA"}),
}
SUPPORTED_ALGORITHMS: Final = frozenset[str]().union(*_ALGORITHMS.values())

_LOADERS: Final[Mapping[str, Callable[[dict[str, Any]], object]]] = {
    "RSA": RSAAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "OKP": OKPAlgorithm.from_jwk,
}
# RFC 7638 section 3.2 and RFC 8037 section 2: the members that make a key, in their order.
_REQUIRED_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "RSA": ("e", "kty", "n"),
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
}
_MINIMUM_RSA_BITS: Final = 2048
_MAX_MEMBER_CHARACTERS: Final = 2731  # a modulus of 16,384 bits; OpenSSL verifies with no longer one
_MAX_KEYS: Final = 100


class UnusableKeySet(Exception):
    """A document that is no key set, or one without a single usable key."""


class _UnusableKey(Exception):
    pass


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of an issuer; equal keys have the same id, the same RFC 7638 thumbprint and serve the same algorithms."""

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: bytes
    key: AllowedPublicKeys = field(compare=False, repr=False)

    def verify(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Tell whether the key has made the signature with that algorithm."""
        return algorithm in self.algorithms and jwt.get_algorithm_by_name(algorithm).verify(signing_input, self.key, signature)


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of an issuer, and one phrase about each that was left out."""

    keys: tuple[PublicKey, ...] = ()
    left_out: tuple[str, ...] = ()

    def select(self, algorithm: str, key_id: str | None) -> PublicKey | None:
        """Return the one key that a token's header means; without a key id only if exactly one fits."""
        fitting = [key for key in self.keys if algorithm in key.algorithms and (key_id is None or key.key_id == key_id)]
        return fitting[0] if len(fitting) == 1 else None

    def knows(self, key_id: str) -> bool:
        """Tell whether a key has that id, whatever it serves."""
        return any(key.key_id == key_id for key in self.keys)


def parse_key_set(document: bytes, algorithms: Collection[str]) -> KeySet:
    """Read a JWK set, its keys limited to `algorithms`; raises UnusableKeySet."""
    usable: list[PublicKey] = []
    left_out: list[str] = []
    members = [member for member in _members(document) if not _is_for_encryption(member)]
    for number, member in enumerate(members):
        try:
            usable.append(_public_key(member, algorithms))
        except _UnusableKey as error:
            left_out.append(f"{_name(member, number)}: {error}")
    twice = _ids_of_several(members)
    left_out.extend(f"kid {key_id!r:.80}: names several keys" for key_id in sorted(twice))
    keys = tuple(key for key in usable if key.key_id not in twice)
    if not keys:
        raise UnusableKeySet("; ".join(["no usable key", *left_out[:3]]))
    return KeySet(keys, tuple(left_out))


def _members(document: bytes) -> list[Any]:
    try:
        keys = msgspec.json.decode(document, type=dict[str, Any]).get("keys")
    except (ValueError, RecursionError):
        raise UnusableKeySet("not a JSON object") from None
    if not isinstance(keys, list):
        raise UnusableKeySet("without a list of keys")
    if len(keys) > _MAX_KEYS:
        raise UnusableKeySet(f"more than {_MAX_KEYS} keys")
    return keys


def _is_for_encryption(member: object) -> bool:
    # Keycloak publishes such a key beside each for signatures: nothing to report.
    return isinstance(member, dict) and member.get("use") == "enc"


def _ids_of_several(members: Iterable[Any]) -> set[str]:
    # Counted over the unusable ones too: which of two was meant is not ours to guess.
    ids = Counter(member["kid"] for member in members if isinstance(member, dict) and isinstance(member.get("kid"), str))
    return {key_id for key_id, count in ids.items() if count > 1}


def _name(member: object, number: int) -> str:
    key_id = member.get("kid") if isinstance(member, dict) else None
    return f"key {number}" if key_id is None else f"kid {key_id!r:.80}"


def _public_key(member: object, algorithms: Collection[str]) -> PublicKey:
    if not isinstance(member, dict):
        raise _UnusableKey("not an object")
    key_id, kind = member.get("kid"), _kind(member)
    if not isinstance(key_id, str | None):
        raise _UnusableKey("kid is not a text")
    _refuse_other_uses(member)
    served = _served(member, kind, algorithms)
    names = _REQUIRED_MEMBERS[kind[0]]
    values = {name: member.get(name) for name in names}
    if not all(isinstance(value, str) and len(value) <= _MAX_MEMBER_CHARACTERS for value in values.values()):
        raise _UnusableKey("incomplete")
    key = _loaded(kind[0], values)
    if isinstance(key, RSAPublicKey) and key.key_size < _MINIMUM_RSA_BITS:
        raise _UnusableKey(f"{key.key_size} bits are too few")
    return PublicKey(key_id, served, hashlib.sha256(msgspec.json.encode(values)).digest(), key)


def _kind(member: dict[str, Any]) -> tuple[str, str | None]:
    key_type, curve = member.get("kty"), member.get("crv")
    if key_type == "oct":
        raise _UnusableKey("symmetric")
    kind = ("RSA", None) if key_type == "RSA" else (str(key_type), str(curve))
    if kind not in _ALGORITHMS:
        raise _UnusableKey(f"kty {key_type!r:.40} with crv {curve!r:.40} is not supported")
    return kind


def _refuse_other_uses(member: dict[str, Any]) -> None:
    if "d" in member:
        # Whoever publishes it has lost it: anybody can sign with it.
        raise _UnusableKey("private")
    if member.get("use", "sig") != "sig":
        raise _UnusableKey("not for signatures")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _UnusableKey("not for verifying")


def _served(member: dict[str, Any], kind: tuple[str, str | None], algorithms: Collection[str]) -> frozenset[str]:
    served = _ALGORITHMS[kind].intersection(algorithms)
    if "alg" in member:
        served = served.intersection([str(member["alg"])])
    if not served:
        raise _UnusableKey(f"alg {member.get('alg')!r:.40} is not accepted for it")
    return served


def _loaded(key_type: str, values: dict[str, Any]) -> AllowedPublicKeys:
    try:
        # Without `d` among the values the loaders return public keys only.
        return cast("AllowedPublicKeys", _LOADERS[key_type](values))
    except (jwt.InvalidKeyError, UnsupportedAlgorithm, ValueError):
        raise _UnusableKey("not parsable") from None

"""Authenticated encryption of what is kept or handed out: AES-256-GCM, bound to its place, under several keys at a time.

A sealed text is `version (1) · key id (4) · nonce (12) · ciphertext and tag`. The first key encrypts, every one decrypts, so that
keys can be rotated while sessions live. What it is sealed for (a purpose and a name) is associated data: a sealed text that was moved
to another session or is shown for another purpose does not open (CVE-2024-47616 is what happens otherwise).
"""

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32

_VERSION: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_VERSION) + _KEY_ID_BYTES + _NONCE_BYTES

Purpose: TypeAlias = Literal["session", "sign-in state", "sign-in cookie"]


class Sealer:
    """Seals and opens under `keys` (32 bytes each, at least one); the first seals."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers: dict[bytes, AESGCM] = {}
        self._current = b""
        self.use(keys)

    def __repr__(self) -> str:
        return f"Sealer({len(self._ciphers)} keys)"

    def use(self, keys: Sequence[bytes]) -> None:
        """Take other keys into use from now on."""
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])

    def seal(self, text: bytes, purpose: Purpose, name: bytes) -> bytes:
        """Return `text` sealed for one purpose and one name within it."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, text, _associated(purpose, name))
        return _VERSION + self._current + nonce + sealed

    def open(self, sealed: bytes, purpose: Purpose, name: bytes) -> bytes | None:
        """Return what was sealed for this purpose and name; None for anything else, tampered, foreign or of a retired key."""
        cipher = self._ciphers.get(sealed[len(_VERSION) : len(_VERSION) + _KEY_ID_BYTES])
        if cipher is None or not sealed.startswith(_VERSION):
            return None
        nonce = sealed[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD_BYTES:], _associated(purpose, name))
        except (InvalidTag, ValueError):
            return None


def _associated(purpose: Purpose, name: bytes) -> bytes:
    return purpose.encode() + b"\0" + name


def _key_id(key: bytes) -> bytes:
    return sha256(b"key id" + key).digest()[:_KEY_ID_BYTES]

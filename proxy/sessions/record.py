"""What is kept of a session: a row that anybody who reads the store may see, and contents that only the key file opens."""

from typing import Final

import msgspec

from proxy.sessions.sealing import Sealer

_DEVICE_CHARACTERS: Final = 256


class Contents(msgspec.Struct, frozen=True, array_like=True):
    """The tokens of a session and where it came from: never logged, never shown in `repr`, sealed before they leave the process.

    `issued_at` and `expires_at` are `iat` and `exp` of the ID token, in seconds since the epoch; `nonce` is that of the sign-in.
    """

    id_token: str
    refresh_token: str | None
    issued_at: float
    expires_at: float
    nonce: str
    device: str
    address: str

    def __repr__(self) -> str:
        return "Contents(…)"


class StoredSession(msgspec.Struct, frozen=True):
    """One row of the store; moments are seconds since the epoch.

    `key` is the SHA-256 of the session's id, `subject` and `provider_session` are digests by which its siblings are found.
    `revision` grows with each change of `sealed`.
    """

    key: bytes
    subject: bytes
    provider_session: bytes | None
    created_at: float
    last_seen: float
    ends_at: float
    revision: int
    sealed: bytes

    def __repr__(self) -> str:
        return f"StoredSession({self.key.hex()[:8]}, revision {self.revision})"


_contents = msgspec.msgpack.Decoder(Contents)


def seal_contents(sealer: Sealer, key: bytes, contents: Contents) -> bytes:
    """Return contents as the session `key` keeps them."""
    return sealer.seal(msgspec.msgpack.encode(contents), "session", key)


def open_contents(sealer: Sealer, stored: StoredSession) -> Contents | None:
    """Return what a row holds; None if it was tampered with, moved from another row, or its encryption key is gone."""
    text = sealer.open(stored.sealed, "session", stored.key)
    try:
        return None if text is None else _contents.decode(text)
    except msgspec.DecodeError:
        return None


def described(text: str) -> str:
    """Return what a client said of itself, fit to be shown: one line, no control characters, not long."""
    return "".join(character if character.isprintable() else " " for character in text[:_DEVICE_CHARACTERS]).strip()

"""The file with the keys that seal sessions: base64 of 32 bytes a line, the first one in use, the others still open what they sealed.

Blank lines and lines that begin with `#` are skipped. A file that does not exist is made, complete from the first moment that anybody
can see it, so that several workers that start at once agree on one key.
"""

import base64
import binascii
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxy.sessions.sealing import KEY_BYTES

_MOST_BYTES: Final = 65_536
_OF_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
_HEAD: Final = (
    "# Keys of mosk-proxy's browser sessions, base64 of 32 bytes each: the first one encrypts, all of them decrypt.\n"
    "# To rotate: put a new line first, and take an old one out once no session can be as old as that.\n"
)


class UnusableKeys(Exception):
    """The keys cannot be had; the text is one line that names the file and the remedy."""


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Read a key file; raises UnusableKeys."""
    try:
        # Opened first, then asked: the file that is judged is the file that is read.
        with path.open("rb") as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnusableKeys(f"{path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & _OF_OTHERS:
        raise UnusableKeys(f"{path}: others than its owner and group may use it: chmod 600 {path}")
    try:
        return parse_keys(text)
    except ValueError as error:
        raise UnusableKeys(f"{path}: {error}") from None


def read_or_make_keys(path: Path) -> tuple[bytes, ...]:
    """Read a key file, after making one with a new key if there is none; raises UnusableKeys."""
    try:
        if not path.exists():
            _make(path)
    except OSError as error:
        raise UnusableKeys(f"{path}: cannot be made: {error.strerror}") from None
    return read_keys(path)


def parse_keys(text: bytes) -> tuple[bytes, ...]:
    """Return the keys in a key file's text; raises ValueError with what is wrong, never with what it holds."""
    if len(text) > _MOST_BYTES:
        raise ValueError("is too long for a key file")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    keys = tuple(_key(line, number) for number, line in lines if line and not line.startswith(b"#"))
    if not keys:
        raise ValueError("holds no key: one line with base64 of 32 random bytes")
    return keys


def _key(line: bytes, number: int) -> bytes:
    try:
        key = base64.b64decode(line, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"line {number} is not base64 of {KEY_BYTES} bytes")
    return key


def _make(path: Path) -> None:
    text = _HEAD.encode() + base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n"
    # mkstemp's own mode is 0600. A link cannot replace a file that another worker has made in between.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(name)
    finally:
        Path(name).unlink()

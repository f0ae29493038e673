"""Names of sessions: the random id that only a browser holds, and digests under which the rest is kept and looked for.

The id is the credential. The store sees its SHA-256 alone, so that whoever reads the store holds nobody's cookie.
"""

import base64
import re
import secrets
from hashlib import sha256
from typing import Final

_ID_BYTES: Final = 32
_ID: Final = re.compile(rb"[A-Za-z0-9_-]{43}")
_LABEL_BYTES: Final = 12


def new_session_id() -> bytes:
    """Return 256 random bits as 43 characters of base64url."""
    return _base64url(secrets.token_bytes(_ID_BYTES))


def session_key(session_id: bytes) -> bytes | None:
    """Return the SHA-256 of a session id, None for what cannot be one."""
    return sha256(session_id).digest() if _ID.fullmatch(session_id) is not None else None


def subject_digest(issuer: str, subject: str) -> bytes:
    """Return what all sessions of one user of one issuer have in common."""
    return _digest(b"sub", issuer, subject)


def provider_session_digest(issuer: str, provider_session: str) -> bytes:
    """Return what all sessions of one sign-in at the issuer (its `sid`) have in common."""
    return _digest(b"sid", issuer, provider_session)


def session_label(key: bytes) -> str:
    """Return a name under which a session is shown to its user; it opens nothing, and its key cannot be told from it."""
    return _base64url(sha256(b"label" + key).digest()[:_LABEL_BYTES]).decode()


def _digest(kind: bytes, issuer: str, name: str) -> bytes:
    # The issuer's digest has a fixed length: no issuer and name can be read as another issuer and name (CVE-2023-35941).
    return sha256(kind + sha256(issuer.encode()).digest() + name.encode("utf-8", "surrogatepass")).digest()


def _base64url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")

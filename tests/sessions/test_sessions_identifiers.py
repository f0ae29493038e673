import hashlib
import re

import pytest

from proxy.sessions.identifiers import (
    new_session_id,
    provider_session_digest,
    session_key,
    session_label,
    subject_digest,
)


def test_an_id_is_256_random_bits_and_kept_as_its_digest():
    ids = {new_session_id() for _ in range(50)}
    assert len(ids) == 50
    for session_id in ids:
        assert re.fullmatch(rb"[A-Za-z0-9_-]{43}", session_id)
        assert session_key(session_id) == hashlib.sha256(session_id).digest()


@pytest.mark.parametrize(
    "tampered",
    [b"", b"x", b"A" * 42, b"A" * 44, b"A" * 42 + b"=", b"A" * 42 + b"\n", b"A" * 43 + b"\n", b" " + b"A" * 42, b"A" * 42 + b"\xe9", b"+" * 43],
)  # fmt: skip
def test_what_cannot_be_an_id_has_no_key(tampered):
    assert session_key(tampered) is None


def test_no_two_names_share_a_digest():
    digests = [
        subject_digest("https://a", "b"),
        subject_digest("https://ab", ""),
        subject_digest("https://", "ab"),
        subject_digest("https://a", "b\0"),
        provider_session_digest("https://a", "b"),
        subject_digest("https://a", "\ud800"),
    ]
    assert len(set(digests)) == len(digests)
    assert {len(digest) for digest in digests} == {32}


def test_a_label_tells_sessions_apart_and_is_not_their_key():
    one, other = session_label(b"1" * 32), session_label(b"2" * 32)
    assert one != other
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", one)
    assert session_label(b"1" * 32) == one

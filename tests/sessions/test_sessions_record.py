import msgspec
import pytest

from proxy.sessions.record import Contents, described, open_contents, seal_contents
from proxy.sessions.sealing import Sealer

SEALER = Sealer([b"k" * 32])
CONTENTS = Contents("id.token.secret", "refresh-secret", 1.0, 301.0, "nonce-secret", "Firefox", "192.0.2.7")


def test_contents_open_in_their_own_row_only(make):
    row = make()
    sealed = seal_contents(SEALER, row.key, CONTENTS)
    assert b"secret" not in sealed
    assert open_contents(SEALER, make(key=row.key, sealed=sealed)) == CONTENTS
    assert open_contents(SEALER, make(sealed=sealed)) is None, "moved into another session"
    assert open_contents(SEALER, make(key=row.key, sealed=sealed[:-1])) is None
    assert open_contents(Sealer([b"x" * 32]), make(key=row.key, sealed=sealed)) is None


@pytest.mark.parametrize(
    "text", [b"", b"\xc1", msgspec.msgpack.encode(["too", "short"]), msgspec.msgpack.encode({"id_token": 1})]
)
def test_contents_of_another_form_are_no_contents(make, text):
    row = make()
    assert open_contents(SEALER, make(key=row.key, sealed=SEALER.seal(text, "session", row.key))) is None


def test_nothing_secret_is_shown(make):
    row = make(sealed=b"secret")
    shown = f"{CONTENTS!r} {CONTENTS} {row!r} {row}"
    assert "secret" not in shown
    assert row.key.hex() not in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mozilla/5.0 (X11; Linux) Firefox/140", "Mozilla/5.0 (X11; Linux) Firefox/140"),
        ("a\r\nb\x1b[31m\x00", "a  b [31m"),
        ("x" * 1000, "x" * 256),
        ("\u202eevil", "evil"),
        ("", ""),
    ],
)
def test_what_a_client_says_of_itself_is_fit_to_be_shown(text, expected):
    assert described(text) == expected

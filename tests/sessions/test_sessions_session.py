import pytest

from proxy.sessions.identifiers import session_label
from proxy.sessions.record import Contents
from proxy.sessions.session import held, refresh_moment


def contents(refresh_token: str | None, lifetime: float) -> Contents:
    return Contents("id-secret", refresh_token, 1000, 1000 + lifetime, "nonce", "device", "address")


@pytest.mark.parametrize(
    ("refresh_token", "lifetime", "expected"),
    [
        ("refresh", 300, 1240),
        ("refresh", 3600, 4540),
        ("refresh", 60, 1048),
        ("refresh", 1, 1000.8),
        (None, 300, float("inf")),
    ],
)
def test_tokens_are_renewed_in_the_last_part_of_their_life(refresh_token, lifetime, expected):
    assert refresh_moment(contents(refresh_token, lifetime)) == pytest.approx(expected)


def test_a_row_becomes_a_session_that_shows_no_token(make, clock):
    row = make(revision=7)
    session = held(row, contents("refresh-secret", 300))
    assert (session.key, session.revision, session.last_seen, session.is_current) == (row.key, 7, clock.now, True)
    assert session.label == session_label(row.key)
    assert "secret" not in repr(session)

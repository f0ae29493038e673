import pytest

from proxy.client.errors import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invalid_grant", "invalid_grant"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[2Jcleared \x9b31m", "[2Jcleared 31m"),
        ("\u202eright to left", "right to left"),
        (400, "400"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_what_a_server_says_cannot_act_on_a_terminal(text, shown):
    assert printable(text) == shown

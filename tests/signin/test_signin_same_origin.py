import pytest

from proxy.signin.same_origin import is_same_origin

OWN = "https://entry.example:8443"


@pytest.mark.parametrize(
    ("origin", "site", "is_same"),
    [
        (OWN, None, True),
        (OWN, "same-origin", True),
        ("HTTPS://Entry.Example:8443", None, True),
        (None, None, False),
        (None, "same-origin", False),
        ("null", None, False),
        ("", None, False),
        (OWN, "same-site", False),
        (OWN, "cross-site", False),
        (OWN, "none", False),
        (OWN, "", False),
        ("https://entry.example", None, False),
        ("http://entry.example:8443", None, False),
        (OWN + ".evil.example", None, False),
        (OWN + "/", None, False),
        ("https://evil.example", None, False),
        ("https://grafana.entry.example:8443", None, False),
    ],
)
def test_only_a_page_of_our_own_origin_may_change_something(origin, site, is_same):
    assert is_same_origin(origin, site, OWN) is is_same

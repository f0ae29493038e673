import pytest

from proxy.client.entry import Entry
from proxy.client.errors import ClientError


@pytest.mark.parametrize(
    ("text", "url", "label"),
    [
        ("https://entry.example", "https://entry.example", "entry.example"),
        ("https://entry.example/", "https://entry.example", "entry.example"),
        ("https://Entry.Example:443", "https://entry.example", "entry.example"),
        ("HTTPS://entry.example:8443", "https://entry.example:8443", "entry.example-8443"),
        ("https://127.0.0.1:8443/", "https://127.0.0.1:8443", "127.0.0.1-8443"),
        ("https://[::1]:8443", "https://[::1]:8443", "--1-8443"),
        ("https://[fd00::5]", "https://[fd00::5]", "fd00--5"),
    ],
)
def test_an_entry_has_one_spelling(text, url, label):
    assert Entry.parse(text) == Entry(url, label)
    assert Entry.parse(url) == Entry(url, label)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://entry.example", "kubectl sends no token over anything else"),
        ("entry.example", "is not the URL of an entry"),
        ("ftp://entry.example", "is not the URL of an entry"),
        ("https://", "is not the URL of an entry"),
        ("https://:8443", "is not the URL of an entry"),
        ("https://user@entry.example", "is not the URL of an entry"),
        ("https://../x", "is not the URL of an entry"),
        ("https://a_b", "is not the URL of an entry"),
        ("https://entry.example/kaas", "says more than"),
        ("https://entry.example?x", "says more than"),
        ("https://entry.example#x", "says more than"),
        ("https://entry.example:99999", "is not a URL"),
        ("https://entry.example:x", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("", "is not the URL of an entry"),
    ],
)
def test_anything_else_is_refused(text, reason):
    with pytest.raises(ClientError, match=reason):
        Entry.parse(text)

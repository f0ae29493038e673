"""Which requests count as sent by a page of ours."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.console.protection import require_same_origin
from proxy.errors import Forbidden

ENTRY = "https://entry.example"
FORWARDED = {"Host": "console", "X-Forwarded-Host": "entry.example"}


def sent(*headers):
    return make_mocked_request("POST", "/console/sessions/end", CIMultiDict(headers))


@pytest.mark.parametrize(
    "headers",
    [
        [*FORWARDED.items(), ("Origin", ENTRY), ("Sec-Fetch-Site", "same-origin")],
        [*FORWARDED.items(), ("Origin", ENTRY)],
        [("Host", "entry.example"), ("Origin", ENTRY)],
        [("X-Forwarded-Host", "Entry.Example:8443"), ("Origin", "https://entry.example:8443")],
        [("X-Forwarded-Host", "second.example"), ("Origin", "https://second.example")],
    ],
)
def test_our_own(headers):
    require_same_origin(sent(*headers), ENTRY)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", ENTRY)],
        [("Origin", "null")],
        [("Origin", "")],
        [("Origin", "http://entry.example")],
        [("Origin", "https://entry.example:444")],
        [("Origin", "https://entry.example.evil.example")],
        [("Origin", "https://second.example")],
        [("Origin", ENTRY), ("Origin", "https://evil.example")],
        [("Origin", ENTRY), ("Sec-Fetch-Site", "same-site")],
        [("Origin", ENTRY), ("Sec-Fetch-Site", "none")],
        [("Origin", ENTRY), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    ],
)
def test_all_others(headers):
    own = [] if headers == [("Origin", ENTRY)] else list(FORWARDED.items())
    with pytest.raises(Forbidden, match="not sent by a page of this proxy"):
        require_same_origin(sent(("Host", "console"), *own[1:], *headers), ENTRY)

import string
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.signin.return_to import PORTAL, return_target, start_path

OWN = "https://entry.example:8443"
HOSTS = frozenset({"grafana.example", "alerts.ui.example"})


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/", "/"),
        ("/console/me", "/console/me"),
        ("/sl/team-a/prod/grafana/d/abc?orgId=1&from=now-6h&var-x=a%2Fb", None),
        ("/sl/a/b/prometheus/graph?g0.expr=sum(rate(up%5B5m%5D))%20%3E%200", None),
        ('/sl/a/b/prometheus/graph?g0.expr=sum{a="b"}[5m]|x', None),
        ('/sl/a/b/grafana/explore?left={"a":[1]}&x=;y', None),
        ("/a%20b/c", None),
        ("/a//b", None),
        ("/@evil.example", None),
        ("/:80/", None),
        ("/a:b", None),
        ("/path?next=https://evil.example", None),
        (f"{OWN}/console/me?x=1", "/console/me?x=1"),
        (f"{OWN}/", "/"),
        ("https://grafana.example", None),
        ("https://grafana.example/", None),
        ("https://grafana.example/d/1?a=b", None),
        ("https://grafana.example:443/d/1", None),
        ("https://alerts.ui.example:8443/", None),
    ],
)  # fmt: skip
def test_what_is_plain_is_returned_to(wanted, target):
    assert return_target(wanted, OWN, HOSTS) == (target or wanted)


HOSTILE = [
    None, "", " ", "x", "console/me", "?x", "#x", ".", "..", "*",
    "//evil.example", "///evil.example", "////evil.example", "//evil.example/%2e%2e", "//entry.example:8443/",
    "/\\evil.example", "\\\\evil.example", "/\\/evil.example", "\\/evil.example", "/%5cevil.example", "/%5Cevil.example", "/a/%5c%5cb",
    "/%2f/evil.example", "/%2fevil.example", "/%2Fevil.example", "/%252fevil.example", "/%255cevil.example", "/%25%32%66evil.example",
    "/\tevil", "/\t/evil.example", "\t//evil.example", "/%09/evil.example", "/\n/evil.example", "/%0a/evil.example", "/%0d%0aSet-Cookie:x",
    "/%250d%250aSet-Cookie:x", "\r\n//evil.example", " //evil.example", "/ /evil.example", "/\x00", "/%00", "/%2500", "/\x7f", "/%7f",
    "/\xa0", "/é", "/\u2028", "/\uff0fevil.example", "/\u3002", "//evil\u3002example", "/%c2%85",
    "/.", "/..", "/./", "/../", "/.//evil.example", "/..//evil.example", "/a/../b", "/a/./b", "/%2e%2e/b", "/a/%2e%2e/b", "/%2e/b", "/%252e%252e/b",
    "/a;b", "/;@evil.example", "/a#b", "/a%", "/a%2", "/a%zz", "/a<b>", '/a"b', "/a`b", "/a{b}", "/a|b", "/a^b",
    "/a?x=\\", "/a?x=<script>", "/a?x=`", "/a?x= ", "/a?x=\n", "/a?x#y",
    "/oauth2", "/oauth2/", "/oauth2/start", "/oauth2/start?rd=/x", "/OAuth2/start", "/oauth2/callback", "/%6fauth2/start", "/oauth2%2fstart",
    f"{OWN}//evil.example", f"{OWN}/oauth2/start", OWN, f"{OWN}.evil.example/", f"{OWN}@evil.example/", f"{OWN}/../x", f"{OWN}evil/",
    "https://entry.example/", "http://entry.example:8443/", "https://evil.example", "https://evil.example/", "https://grafana.example.evil.example/",
    "https://evilgrafana.example/", "https://x.grafana.example/", "https://grafana.example@evil.example/", "https://evil.example#@grafana.example/",
    "https://grafana.example:pass@evil.example/", "https://evil.example\\@grafana.example/", "https://evil.example/\\grafana.example",
    "https://grafana.example\\.evil.example/", "https://grafana.example%2eevil.example/", "https://grafana.example:80/", "https://grafana.example:8444/",
    "https://grafana.example:/", "https://grafana.example:443@evil.example/", "https://grafana.example.", "https://GRAFANA.example/",
    "https:grafana.example/", "https:/grafana.example/", "https:///grafana.example/", "https:\\\\grafana.example", "HTTPS://grafana.example/",
    "https://grafana.example/\\evil", "https://grafana.example//x", "https://grafana.example/../x", "https://grafana.example?x", "https://grafana.example#x",
    "http://grafana.example/", "ftp://grafana.example/", "javascript:alert(1)", "javascript://grafana.example/%0aalert(1)", "JaVaScRiPt:alert(1)",
    "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://grafana.example/x", "\x01javascript:alert(1)", "java\tscript:alert(1)",
    "/" + "a" * 2048, "https://grafana.example/" + "a" * 2048,
]  # fmt: skip


@pytest.mark.parametrize("wanted", HOSTILE)
def test_what_is_hostile_is_the_portal(wanted):
    assert return_target(wanted, OWN, HOSTS) == PORTAL


def test_the_longest_target_fits():
    longest = "/" + "a" * 2047
    assert return_target(longest, OWN, HOSTS) == longest


PIECES = [
    "/",
    "\\",
    "//",
    ".",
    "..",
    "%2f",
    "%5c",
    "%09",
    "%25",
    "\t",
    "\n",
    " ",
    "@",
    ":",
    "?",
    "#",
    "evil.example",
    "https:",
    "entry.example:8443",
]


@given(st.lists(st.sampled_from([*PIECES, *string.ascii_letters[:4]]), max_size=8).map("".join))
def test_no_composition_leads_to_another_host(wanted):
    target = return_target(wanted, OWN, HOSTS)
    # As browsers read it (WHATWG URL): a backslash is a slash, tabs and line breaks are not there.
    read = target.replace("\\", "/").translate({9: None, 10: None, 13: None}).strip()
    assert urlsplit(urljoin(OWN + "/oauth2/callback", read)).netloc in {"entry.example:8443", *HOSTS}
    assert return_target(target, OWN, HOSTS) == target, "a target is its own target"


def test_the_way_back_to_a_target_is_encoded():
    assert start_path("/") == "/oauth2/start"
    target = "/sl/a/b/grafana/?x=1&y=%2F"
    assert start_path(target) == f"/oauth2/start?rd={quote(target, safe='')}"

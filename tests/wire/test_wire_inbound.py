"""What an upstream's answer becomes: framing, addresses under the prefix, and what may not reach a browser."""

import pytest

from proxy.directory.upstream import Upstream
from proxy.edge.site import answer_rules
from proxy.errors import BadGateway
from proxy.wire.inbound import (
    AnswerHead,
    AnswerRules,
    BodyKind,
    answer_bytes,
    authorities,
    location,
    read_answer,
    read_plain_answer,
    set_cookie,
)

API = AnswerRules(b"/k8s/a/b", authorities("https", "10.0.1.10", 443))
GRAFANA = AnswerRules(b"/sl/a/b/grafana", authorities("http", "10.0.1.20", 3000), is_kubernetes=False)
BASED = AnswerRules(b"/sl/a/b/alerta", authorities("http", "alerta.example", 80), b"/base", is_kubernetes=False)
BY_HOST = AnswerRules(b"", authorities("http", "10.0.1.20", 3000), is_kubernetes=False)
LENGTH = (b"Content-Length", b"5")
CHUNKED = (b"Transfer-Encoding", b"chunked")


def read(
    *fields: tuple[bytes, bytes], status: int = 200, rules: AnswerRules = GRAFANA, method: str = "GET", version: str = "1.1"
):
    return read_answer(status, fields, rules, method, version)


def lines(head: AnswerHead) -> list[bytes]:
    return b"".join(head.lines).split(b"\r\n")[:-1]


@pytest.mark.parametrize(
    ("status", "method", "fields", "kind", "length"),
    [
        (200, "GET", [LENGTH], BodyKind.LENGTH, 5),
        (200, "GET", [(b"content-length", b" 0 ")], BodyKind.LENGTH, 0),
        (500, "POST", [LENGTH], BodyKind.LENGTH, 5),
        (200, "GET", [CHUNKED], BodyKind.CHUNKED, -1),
        (200, "GET", [(b"transfer-encoding", b" Chunked ")], BodyKind.CHUNKED, -1),
        (200, "GET", [], BodyKind.CLOSE, -1),
        (200, "HEAD", [LENGTH], BodyKind.NONE, 5),
        (200, "HEAD", [CHUNKED], BodyKind.NONE, -1),
        (200, "HEAD", [], BodyKind.NONE, -1),
        (204, "GET", [], BodyKind.NONE, -1),
        (204, "GET", [LENGTH], BodyKind.NONE, -1),
        (304, "GET", [LENGTH], BodyKind.NONE, 5),
        (304, "GET", [CHUNKED], BodyKind.NONE, -1),
        (103, "GET", [LENGTH], BodyKind.NONE, -1),
        (101, "GET", [], BodyKind.NONE, -1),
    ],
)
def test_how_a_body_ends(status: int, method: str, fields: list, kind: BodyKind, length: int) -> None:
    head = read(*fields, status=status, method=method)
    assert (head.status, head.body, head.length) == (status, kind, length)
    assert lines(head) == []


@pytest.mark.parametrize(
    ("status", "fields", "version"),
    [
        (200, [LENGTH, CHUNKED], "1.1"),
        (200, [LENGTH, LENGTH], "1.1"),
        (200, [(b"Content-Length", b"5, 5")], "1.1"),
        (200, [(b"Content-Length", b"-5")], "1.1"),
        (200, [(b"Content-Length", b"+5")], "1.1"),
        (200, [(b"Content-Length", b"")], "1.1"),
        (200, [(b"Content-Length", b"\xc2\xb2")], "1.1"),
        (200, [CHUNKED, CHUNKED], "1.1"),
        (200, [(b"Transfer-Encoding", b"gzip")], "1.1"),
        (200, [(b"Transfer-Encoding", b"gzip, chunked")], "1.1"),
        (200, [(b"Transfer-Encoding", b"chunked, gzip")], "1.1"),
        (200, [(b"Transfer-Encoding", b"")], "1.1"),
        (200, [CHUNKED], "1.0"),
        (304, [LENGTH, CHUNKED], "1.1"),
        (200, [LENGTH], "2.0"),
        (200, [LENGTH], "0.9"),
        (200, [LENGTH], "1.2"),
        (99, [LENGTH], "1.1"),
        (600, [LENGTH], "1.1"),
    ],
)
def test_what_could_be_read_in_two_ways_is_a_bad_gateway(status: int, fields: list, version: str) -> None:
    with pytest.raises(BadGateway):
        read(*fields, status=status, version=version)


@pytest.mark.parametrize(
    ("fields", "version", "keep_alive"),
    [
        ([LENGTH], "1.1", True),
        ([LENGTH], "1.0", False),
        ([LENGTH, (b"Connection", b"keep-alive")], "1.0", True),
        ([LENGTH, (b"Connection", b"close")], "1.1", False),
        ([LENGTH, (b"Connection", b"X-A, CLOSE")], "1.1", False),
        ([LENGTH, (b"Connection", b"keep-alive"), (b"Connection", b"close")], "1.1", False),
        ([CHUNKED], "1.1", True),
        ([], "1.1", False),
        ([(b"Connection", b"keep-alive")], "1.1", False),
    ],
)
def test_whether_the_upstream_keeps_its_connection(fields: list, version: str, *, keep_alive: bool) -> None:
    assert read(*fields, version=version).keep_alive is keep_alive


def test_order_spelling_and_repetition_are_kept() -> None:
    fields = [
        (b"X-B", b"1"),
        (b"Content-Type", b"text/plain"),
        (b"x-b", b"2"),
        (b"Link", b"a"),
        (b"LINK", b"b"),
        (b"ETag", b'"e"'),
    ]
    assert lines(read(LENGTH, *fields)) == [
        b"X-B: 1",
        b"Content-Type: text/plain",
        b"x-b: 2",
        b"Link: a",
        b"LINK: b",
        b'ETag: "e"',
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Connection",
        b"Proxy-Authenticate",
        b"Proxy-Authorization",
        b"TE",
        b"Transfer-Encoding",
        b"Upgrade",
        b"HTTP2-Settings",
        b"Content-Length",
        b"Clear-Site-Data",
        b"Strict-Transport-Security",
        b"Service-Worker-Allowed",
        b"Alt-Svc",
        b"NEL",
        b"Report-To",
        b"Reporting-Endpoints",
        b"Origin-Agent-Cluster",
        b"Access-Control-Allow-Origin",
        b"Access-Control-Allow-Credentials",
        b"Access-Control-Anything",
    ],
)
def test_what_is_not_for_the_client_is_dropped(name: bytes) -> None:
    value = {b"Content-Length": b"5", b"Transfer-Encoding": b"chunked"}.get(name, b"value")
    for spelling in (name, name.lower(), name.upper()):
        for rules in (API, GRAFANA, BY_HOST):
            head = read((b"X-Kept", b"1"), (spelling, value), rules=rules)
            assert [line for line in lines(head) if not line.startswith(b"X-Content-Type")] == [b"X-Kept: 1"]


def test_trailer_announces_what_is_forwarded() -> None:
    assert lines(read(CHUNKED, (b"Trailer", b"X-Checksum"))) == [b"Trailer: X-Checksum"]


def test_fields_that_connection_names_are_dropped_wherever_they_stand() -> None:
    head = read(
        (b"X-Secret", b"1"),
        (b"Content-Type", b"text/plain"),
        (b"Connection", b"x-secret, Content-Type"),
        (b"X-Kept", b"2"),
        (b"connection", b"Set-Cookie"),
        (b"Set-Cookie", b"a=b"),
        LENGTH,
    )
    assert lines(head) == [b"X-Kept: 2"]


def test_connection_cannot_drop_what_protects_the_browser() -> None:
    head = read((b"Connection", b"X-Content-Type-Options, Content-Length, Content-Security-Policy"), LENGTH, rules=API)
    assert lines(head) == [b"X-Content-Type-Options: nosniff"]
    assert (head.body, head.length) == (BodyKind.LENGTH, 5)


def test_an_api_answers_with_nosniff_once_and_without_cookies() -> None:
    head = read(LENGTH, (b"x-content-type-options", b"none"), (b"Set-Cookie", b"a=b"), rules=API)
    assert lines(head) == [b"X-Content-Type-Options: nosniff"]


def test_what_a_proxy_subresource_serves_is_sandboxed() -> None:
    usual, sandboxed = answer_rules(Upstream("k8s/a/b", "https", "10.0.1.10", 443))
    assert lines(read(LENGTH, rules=usual)) == [b"X-Content-Type-Options: nosniff"]
    own = (b"Content-Security-Policy", b"default-src *")
    assert lines(read(LENGTH, own, rules=sandboxed)) == [
        b"Content-Security-Policy: default-src *",  # two policies hold both: the upstream's own can only add to ours
        b"X-Content-Type-Options: nosniff",
        b"Content-Security-Policy: sandbox",
    ]


def test_an_application_by_host_name_has_no_prefix() -> None:
    by_path, by_host = answer_rules(Upstream("sl/a/b/grafana", "http", "10.0.1.20", 3000))
    assert (by_path.prefix, by_host.prefix) == (b"/sl/a/b/grafana", b"")
    assert not by_path.is_kubernetes


@pytest.mark.parametrize(
    ("rules", "value", "mapped"),
    [
        (GRAFANA, b"/login", b"/sl/a/b/grafana/login"),
        (GRAFANA, b"/", b"/sl/a/b/grafana/"),
        (GRAFANA, b"/a?b=c#d", b"/sl/a/b/grafana/a?b=c#d"),
        (GRAFANA, b"login", b"login"),
        (GRAFANA, b"../login", b"../login"),
        (GRAFANA, b"?page=2", b"?page=2"),
        (GRAFANA, b"", b""),
        (GRAFANA, b"//evil.example/", b"//evil.example/"),
        (GRAFANA, b"/\\evil.example", b"/sl/a/b/grafana/\\evil.example"),
        (GRAFANA, b"https://evil.example/login", b"https://evil.example/login"),
        (GRAFANA, b"http://10.0.1.20:3000/login", b"/sl/a/b/grafana/login"),
        (GRAFANA, b"HTTP://10.0.1.20:3000/login", b"/sl/a/b/grafana/login"),
        (GRAFANA, b"http://10.0.1.20:3000", b"/sl/a/b/grafana/"),
        (GRAFANA, b"http://10.0.1.20:3000//evil.example", b"/sl/a/b/grafana//evil.example"),
        (GRAFANA, b"http://10.0.1.20/login", b"http://10.0.1.20/login"),
        (GRAFANA, b"https://10.0.1.20:3000/login", b"https://10.0.1.20:3000/login"),
        (GRAFANA, b"http://10.0.1.20:3000@evil.example/", b"http://10.0.1.20:3000@evil.example/"),
        (GRAFANA, b"http://10.0.1.20:3000.evil.example/", b"http://10.0.1.20:3000.evil.example/"),
        (GRAFANA, b"javascript:alert(1)", b"javascript:alert(1)"),
        (GRAFANA, b"/sl/a/b/grafana", b"/sl/a/b/grafana"),
        (GRAFANA, b"/sl/a/b/grafana/login", b"/sl/a/b/grafana/login"),
        (GRAFANA, b"/sl/a/b/grafana?a", b"/sl/a/b/grafana?a"),
        (GRAFANA, b"/sl/a/b/grafana2", b"/sl/a/b/grafana/sl/a/b/grafana2"),
        (API, b"https://10.0.1.10/api", b"/k8s/a/b/api"),
        (API, b"https://10.0.1.10:443/api", b"/k8s/a/b/api"),
        (API, b"http://10.0.1.10:443/api", b"http://10.0.1.10:443/api"),
        (BASED, b"/base/login", b"/sl/a/b/alerta/login"),
        (BASED, b"/base", b"/sl/a/b/alerta/"),
        (BASED, b"/base?a=b", b"/sl/a/b/alerta/?a=b"),
        (BASED, b"/based", b"/sl/a/b/alerta/based"),
        (BASED, b"http://alerta.example/base/x", b"/sl/a/b/alerta/x"),
        (BASED, b"http://alerta.example:80/base/x", b"/sl/a/b/alerta/x"),
        (BY_HOST, b"/login", b"/login"),
        (BY_HOST, b"http://10.0.1.20:3000/login", b"/login"),
        # On the upstream's own host this is a path; without its host it would name another one.
        (BY_HOST, b"http://10.0.1.20:3000//evil.example/", b"/.//evil.example/"),
        (BY_HOST, b"http://10.0.1.20:3000/\\evil.example/", b"/./\\evil.example/"),
    ],
)
def test_a_redirect_to_the_upstream_itself_stays_under_the_prefix(rules: AnswerRules, value: bytes, mapped: bytes) -> None:
    assert location(value, rules) == mapped
    for name in (b"Location", b"content-location"):
        assert lines(read(LENGTH, (name, value), rules=rules))[0] == name + b": " + mapped


@pytest.mark.parametrize(
    ("scheme", "host", "port", "forms"),
    [
        ("https", "a.example", 443, {b"https://a.example", b"https://a.example:443"}),
        ("http", "a.example", 80, {b"http://a.example", b"http://a.example:80"}),
        ("http", "a.example", 443, {b"http://a.example:443"}),
        ("https", "2001:db8::1", 6443, {b"https://[2001:db8::1]:6443"}),
    ],
)
def test_how_an_upstream_may_name_itself(scheme: str, host: str, port: int, forms: set[bytes]) -> None:
    assert authorities(scheme, host, port) == forms


@pytest.mark.parametrize(
    ("rules", "value", "mapped"),
    [
        (GRAFANA, b"a=b", b"a=b; Path=/sl/a/b/grafana"),
        (GRAFANA, b"a=b; Path=/", b"a=b; Path=/sl/a/b/grafana/"),
        (GRAFANA, b"a=b; path=/x; HttpOnly; SameSite=Lax", b"a=b; HttpOnly; SameSite=Lax; Path=/sl/a/b/grafana/x"),
        (GRAFANA, b"a=b;Secure;Path=/sl/a/b/grafana/y", b"a=b; Secure; Path=/sl/a/b/grafana/y"),
        (GRAFANA, b"a=b; Path=/sl/a/b/prometheus", b"a=b; Path=/sl/a/b/grafana/sl/a/b/prometheus"),
        (GRAFANA, b"a=b; Path=", b"a=b; Path=/sl/a/b/grafana"),
        (GRAFANA, b"a=b; Path=relative", b"a=b; Path=/sl/a/b/grafana"),
        (GRAFANA, b"a=b; Domain=example.com; Max-Age=5", b"a=b; Max-Age=5; Path=/sl/a/b/grafana"),
        (GRAFANA, b"a=b; DOMAIN=.example", b"a=b; Path=/sl/a/b/grafana"),
        (GRAFANA, b"a=b; Domain", b"a=b; Path=/sl/a/b/grafana"),
        (BASED, b"a=b; Path=/base", b"a=b; Path=/sl/a/b/alerta/"),
        (BASED, b"a=b; Path=/base/x", b"a=b; Path=/sl/a/b/alerta/x"),
        (BY_HOST, b"a=b; Path=/x; Domain=ui.example", b"a=b; Path=/x"),
        (BY_HOST, b"a=b", b"a=b; Path=/"),
        (GRAFANA, b"__Host-mosk=forged; Path=/", None),
        (GRAFANA, b"__host-MOSK=forged", None),
        (GRAFANA, b" \t__Host-mosk=forged", None),
        (GRAFANA, b"__Host-mosk", None),
        # A cookie without a name: browsers have sent `=__Host-mosk=forged` back without its first sign (CVE-2022-2860).
        (GRAFANA, b"=__Host-mosk=forged", None),
        (GRAFANA, b" = __Host-mosk=forged", None),
    ],
)
def test_a_cookie_is_bound_to_its_application(rules: AnswerRules, value: bytes, mapped: bytes | None) -> None:
    assert set_cookie(value, rules) == mapped
    expected = [] if mapped is None else [b"Set-Cookie: " + mapped]
    assert lines(read(LENGTH, (b"Set-Cookie", value), rules=rules)) == expected


def test_each_cookie_of_an_answer_is_mapped() -> None:
    head = read(LENGTH, (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"))
    assert [line.partition(b";")[0] for line in lines(head)] == [b"Set-Cookie: a=1", b"Set-Cookie: b=2"]


def test_our_own_answers_keep_our_cookies_and_get_our_lines() -> None:
    rules = AnswerRules(b"", frozenset(), is_kubernetes=False, is_own=True, added=b"X-Ours: yes\r\n")
    cookie = (b"Set-Cookie", b"__Host-mosk=x; Path=/; Secure")
    assert lines(read(LENGTH, cookie, rules=rules)) == [b"Set-Cookie: __Host-mosk=x; Path=/; Secure", b"X-Ours: yes"]
    assert read_plain_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", rules, "GET") is None


@pytest.mark.parametrize(
    ("status", "first"), [(200, b"HTTP/1.1 200 OK"), (404, b"HTTP/1.1 404 Not Found"), (299, b"HTTP/1.1 299 ")]
)
def test_the_status_line_is_ours(status: int, first: bytes) -> None:
    head = read(LENGTH, (b"X-A", b"b"), status=status)
    assert answer_bytes(head, framing=b"Content-Length: 5\r\n") == first + b"\r\nX-A: b\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("value", "upgrade"), [(b"websocket", b"websocket"), (b"SPDY/3.1", b"spdy/3.1"), (b"websocket, h2c", b"websocket, h2c")]
)
def test_the_protocol_switched_to_is_told_as_a_whole(value: bytes, upgrade: bytes) -> None:
    assert read((b"Upgrade", value), (b"Connection", b"Upgrade"), status=101).upgrade == upgrade
    assert read(LENGTH).upgrade is None

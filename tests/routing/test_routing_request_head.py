"""What may be read from a request's head without doubt, and what is refused: the checks that llhttp leaves to us."""

import pytest

from proxy.errors import Malformed
from proxy.routing.request_head import HeaderBlock, check_header_block, check_target_authority, parse_request_line

HOST = ("Host", "entry.example")


def block(*fields: tuple[str, str], is_http11: bool = True, host: bool = True) -> HeaderBlock:
    given = [HOST, *fields] if host else fields
    return check_header_block([(name.encode("latin-1"), value.encode("latin-1")) for name, value in given], is_http11=is_http11)


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (b"GET / HTTP/1.1", ("GET", b"/", True)),
        (b"POST /a?b#c HTTP/1.0", ("POST", b"/a?b#c", False)),
        (b"DELETE https://a/b HTTP/1.1", ("DELETE", b"https://a/b", True)),
        (b"OPTIONS * HTTP/1.1", ("OPTIONS", b"*", True)),
    ],
)
def test_a_request_line_is_read(line: bytes, parsed: tuple) -> None:
    assert parse_request_line(line) == parsed


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET /",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"GET / HTTP/0.9",
        b"GET / HTTP/1.10",
        b"GET / http/1.1",
        b"GET / RTSP/1.0",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"GET\t/ HTTP/1.1",
        b"GET / x HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\xe9 HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"get / HTTP/1.1",
        b"M-SEARCH / HTTP/1.1",
        b"AAAAAAAAAAAAAAAAA / HTTP/1.1",
    ],
)
def test_any_other_request_line_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_request_line(line)


def test_fields_keep_order_and_spelling_and_lose_the_space_around() -> None:
    found = block(("X-B", " 1 "), ("x-b", "\t2"), ("X-A", "a b"))
    assert found.fields == ((b"Host", b"entry.example"), (b"X-B", b"1"), (b"x-b", b"2"), (b"X-A", b"a b"))


@pytest.mark.parametrize(
    "name", ["X_A", "X.A", "X!A", "X$A", "X'A", "X+A", "X~A", "X|A", "X`A", "X A", "", "X-A:", "X\xe9", "X\x00"]
)
def test_a_name_of_other_bytes_is_refused(name: str) -> None:
    with pytest.raises(Malformed, match="letters, digits and dashes"):
        block((name, "a"))


@pytest.mark.parametrize("value", ["caf\xe9", "\x80", "\xa0", "\xff"])
def test_a_value_beyond_ascii_is_refused(value: str) -> None:
    with pytest.raises(Malformed, match="must be ASCII"):
        block(("X-A", value))


# Host


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("Entry.Example", "entry.example"),
        ("entry.example:8443", "entry.example:8443"),
        ("127.0.0.1", "127.0.0.1"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("[::1]:443", "[::1]:443"),
        ("entry.example.", "entry.example."),
        ("_dmarc", "_dmarc"),
        (" entry.example ", "entry.example"),
    ],
)
def test_a_host_is_read(value: str, host: str) -> None:
    found = block(("Host", value), host=False)
    assert (found.host, found.host_text) == (host.encode(), host)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a, b",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "user@a",
        "a:",
        "a:http",
        "a:123456",
        "a:1:2",
        "::1",
        "[::1",
        "[::1]x",
        "[fe80::1%25eth0]",
        "http://a",
        "a%2eb",
    ],
)
def test_a_malformed_host_is_refused(value: str) -> None:
    with pytest.raises(Malformed, match="Host"):
        block(("Host", value), host=False)


@pytest.mark.parametrize("hosts", [[], [HOST, HOST], [HOST, ("host", "other")]])
def test_exactly_one_host_is_required(hosts: list) -> None:
    with pytest.raises(Malformed, match="exactly one Host"):
        block(*hosts, host=False)


@pytest.mark.parametrize(
    "target", [b"/", b"/path", b"https://entry.example:8443/x", b"HTTP://ENTRY.example:8443", b"https://entry.example:8443?a"]
)
def test_a_target_of_the_same_authority_passes(target: bytes) -> None:
    check_target_authority(target, b"entry.example:8443")


@pytest.mark.parametrize(
    "target",
    [
        b"*",
        b"path",
        b"entry.example:8443",
        b"https://entry.example/x",
        b"https://other.example:8443/x",
        b"https://a@entry.example:8443/x",
        b"https://entry.example:8443@other.example/x",
        b"https://entry.example:8443\\@other.example/x",
        b"ftp://entry.example:8443/x",
        b"https:/entry.example:8443/x",
        b"https:///x",
        b"",
    ],
)
def test_any_other_target_is_refused(target: bytes) -> None:
    with pytest.raises(Malformed):
        check_target_authority(target, b"entry.example:8443")


# framing


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ([], (None, False, False)),
        ([("Content-Length", "0")], (0, False, False)),
        ([("content-length", " 12 ")], (12, False, True)),
        ([("Content-Length", "003")], (3, False, True)),
        ([("Transfer-Encoding", "chunked")], (None, True, True)),
        ([("transfer-encoding", " CHUNKED ")], (None, True, True)),
    ],
)
def test_framing_is_read(fields: list, framing: tuple) -> None:
    found = block(*fields)
    assert (found.content_length, found.is_chunked, found.has_body) == framing


@pytest.mark.parametrize(
    "fields",
    [
        [("Content-Length", "1"), ("Content-Length", "1")],
        [("Content-Length", "1"), ("Content-Length", "2")],
        [("Content-Length", "1, 1")],
        [("Content-Length", "")],
        [("Content-Length", "+1")],
        [("Content-Length", "-1")],
        [("Content-Length", "0x1")],
        [("Content-Length", "1_0")],
        [("Content-Length", "1 0")],
        [("Content-Length", "9" * 20)],
        [("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "0")],
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "identity"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "identity")],
        [("Transfer-Encoding", "gzip, chunked")],
        [("Transfer-Encoding", "chunked, gzip")],
        [("Transfer-Encoding", ", chunked")],
        [("Transfer-Encoding", "chunked,")],
        [("Transfer-Encoding", "chunked;q=1")],
        [("Transfer-Encoding", "xchunked")],
        [("Transfer-Encoding", "\x0bchunked")],
        [("Transfer-Encoding", '"chunked"')],
        [("Transfer-Encoding", "")],
    ],
)
def test_framing_that_could_be_read_in_two_ways_is_refused(fields: list) -> None:
    with pytest.raises(Malformed, match=r"Transfer-Encoding|Content-Length"):
        block(*fields)


def test_a_transfer_coding_in_http_1_0_is_refused() -> None:
    with pytest.raises(Malformed, match=r"in HTTP/1\.1"):
        block(("Transfer-Encoding", "chunked"), is_http11=False)


@pytest.mark.parametrize(
    ("connection", "is_http11", "keep_alive"),
    [
        ([], True, True),
        ([], False, False),
        (["keep-alive"], False, True),
        (["Keep-Alive, X-A"], False, True),
        (["close"], True, False),
        (["CLOSE"], True, False),
        (["x-a , Close"], True, False),
        (["keep-alive", "close"], True, False),
        (["keep-alive", "close"], False, False),
        ([","], True, True),
    ],
)
def test_whether_the_connection_goes_on(connection: list[str], *, is_http11: bool, keep_alive: bool) -> None:
    assert block(*(("Connection", value) for value in connection), is_http11=is_http11).keep_alive is keep_alive


def test_connection_options_are_lower_case_and_not_empty() -> None:
    found = block(("Connection", "Upgrade, X-A ,,"), ("connection", "\tx-b"))
    assert found.connection_options == {b"upgrade", b"x-a", b"x-b"}


# upgrade and expectation


@pytest.mark.parametrize(
    ("fields", "upgrade"),
    [
        ([("Connection", "Upgrade"), ("Upgrade", "websocket")], b"websocket"),
        ([("Connection", "keep-alive, uPgRaDe"), ("upgrade", "WebSocket")], b"websocket"),
        ([("Connection", "keep-alive"), ("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")], b"spdy/3.1"),
        ([("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Content-Length", "0")], b"websocket"),
        ([("Connection", "Upgrade"), ("Upgrade", "h2c")], b"h2c"),
        ([("Upgrade", "websocket")], None),
        ([("Connection", "close"), ("Upgrade", "websocket, h2c")], None),
        ([("Connection", "Upgrade")], None),
    ],
)
def test_the_protocol_asked_for(fields: list, upgrade: bytes | None) -> None:
    assert block(*fields).upgrade == upgrade


@pytest.mark.parametrize(
    ("fields", "is_http11"),
    [
        ([("Upgrade", "websocket, h2c")], True),
        ([("Upgrade", "websocket"), ("Upgrade", "websocket")], True),
        ([("Upgrade", "")], True),
        ([("Upgrade", "websocket"), ("Content-Length", "1")], True),
        ([("Upgrade", "h2c"), ("Transfer-Encoding", "chunked")], True),
        ([("Upgrade", "websocket")], False),
    ],
)
def test_an_upgrade_in_doubt_is_refused(fields: list, *, is_http11: bool) -> None:
    with pytest.raises(Malformed, match=r"[Uu]pgrade"):
        block(("Connection", "Upgrade"), *fields, is_http11=is_http11)


def test_the_one_expectation() -> None:
    assert block(("Expect", "100-Continue")).expects_continue
    assert not block(("Expect", "100-continue"), is_http11=False).expects_continue
    assert not block().expects_continue
    for values in (["200-ok"], ["100-continue, x"], ["100-continue", "100-continue"], [""]):
        with pytest.raises(Malformed, match="expectation"):
            block(*(("Expect", value) for value in values))


# what authentication and answers need


def test_every_credential_line_is_kept_apart() -> None:
    found = block(("Authorization", "Bearer a"), ("authorization", "Bearer b"), ("Sec-WebSocket-Protocol", "x, y"))
    assert found.authorization == (b"Bearer a", b"Bearer b")
    assert found.websocket_protocols == (b"x, y",)


@pytest.mark.parametrize("name", ["Impersonate-User", "impersonate-uid", "IMPERSONATE-Extra-a", "Impersonate", "Impersonateuser"])
def test_impersonation_is_seen_in_any_spelling(name: str) -> None:
    assert block((name, "root")).impersonates


def test_what_only_looks_like_impersonation_is_none() -> None:
    assert not block(("X-Impersonate-User", "root"), ("Connection", "Impersonate-User")).impersonates


@pytest.mark.parametrize(
    ("accepts", "html"),
    [
        (["text/html,application/xhtml+xml"], True),
        (["application/json", "TEXT/HTML;q=0.9"], True),
        (["application/json"], False),
        (["*/*"], False),
        ([], False),
    ],
)
def test_who_wants_a_page(accepts: list[str], *, html: bool) -> None:
    assert block(*(("Accept", value) for value in accepts)).accepts_html is html

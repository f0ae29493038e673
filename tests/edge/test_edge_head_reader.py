"""Malformed requests over raw sockets, each without and with a valid token: refused, closed, and nothing reaches the upstream."""

import contextlib
import socket

import pytest
from edge_door import POD, Door, Wire

# What follows a refused message on the same connection must never be read as a request.
SMUGGLED = b"GET /k8s/team-a/prod/api/v1/smuggled HTTP/1.1\r\nHost: entry.example\r\n\r\n"
H = b"Host: entry.example\r\n"
LINE = b"GET " + POD.encode() + b" HTTP/1.1\r\n"
POST = b"POST " + POD.encode() + b" HTTP/1.1\r\n"


def get(*lines: bytes) -> bytes:
    return LINE + H + b"".join(line + b"\r\n" for line in lines) + b"{auth}\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return POST + H + b"".join(line + b"\r\n" for line in lines) + b"{auth}\r\n" + body


def target(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + H + b"{auth}\r\n"


REFUSED = {
    # framing, by llhttp or by us
    "two equal lengths": post(b"Content-Length: 2", b"Content-Length: 2", body=b"ab"),
    "two different lengths": post(b"Content-Length: 2", b"Content-Length: 3", body=b"abc"),
    "a list of lengths": post(b"Content-Length: 2, 2", body=b"ab"),
    "a signed length": post(b"Content-Length: +2", body=b"ab"),
    "a negative length": post(b"Content-Length: -2", body=b"ab"),
    "a hexadecimal length": post(b"Content-Length: 0x2", body=b"ab"),
    "an underscore in a length": post(b"Content-Length: 1_0", body=b"ab"),
    "an empty length": post(b"Content-Length:", body=b"ab"),
    "an enormous length": post(b"Content-Length: 18446744073709551616"),
    "length before chunked": post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked before length": post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunkedx": post(b"Transfer-Encoding: chunkedx", body=b"0\r\n\r\n"),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked on two lines": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunked, then identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "identity, then chunked": post(b"Transfer-Encoding: identity, chunked", body=b"0\r\n\r\n"),
    "identity and chunked on two lines": post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "gzip, then chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "an empty coding before chunked": post(b"Transfer-Encoding: , chunked", body=b"0\r\n\r\n"),
    "an empty coding behind chunked": post(b"Transfer-Encoding: chunked,", body=b"0\r\n\r\n"),
    "an empty transfer coding": post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
    "a vertical tab before chunked": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "a non-breaking space before chunked": post(b"Transfer-Encoding: \xa0chunked", body=b"0\r\n\r\n"),
    "identity alone": post(b"Transfer-Encoding: identity"),
    "chunked in HTTP/1.0": b"POST " + POD.encode() + b" HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n{auth}\r\n0\r\n\r\n",
    "white space before a colon": get(b"X-A : b"),
    "a tab before a colon": get(b"X-A\t: b"),
    "a folded line": get(b"X-A: b\r\n c"),
    "a line without a colon": get(b"X-A"),
    "an empty field name": get(b": b"),
    "a bare LF behind a field": LINE + H + b"X-A: b\n{auth}\r\n",
    "a bare LF behind the request line": b"GET " + POD.encode() + b" HTTP/1.1\n" + H + b"{auth}\r\n",
    "bare LFs everywhere": b"GET " + POD.encode() + b" HTTP/1.1\nHost: entry.example\n\n",
    "a bare CR in a value": get(b"X-A: b\rc"),
    "a NUL in a value": get(b"X-A: b\x00c"),
    "a control byte in a value": get(b"X-A: b\x01c"),
    "a DEL in a value": get(b"X-A: b\x7fc"),
    # names and values, by us
    "an underscore in a name": get(b"X_Forwarded_User: root"),
    "a dot in a name": get(b"X.Forwarded.User: root"),
    "a dollar in a name": get(b"X$A: b"),
    "an exclamation mark in a name": get(b"X!A: b"),
    "Latin-1 in a value": get(b"X-A: caf\xe9"),
    "UTF-8 in a value": get(b"X-A: caf\xc3\xa9"),
    # methods and versions
    "a lower-case method": b"get " + POD.encode() + b" HTTP/1.1\r\n" + H + b"{auth}\r\n",
    "a mixed-case method": b"gEt " + POD.encode() + b" HTTP/1.1\r\n" + H + b"{auth}\r\n",
    "an unknown method": b"FOO " + POD.encode() + b" HTTP/1.1\r\n" + H + b"{auth}\r\n",
    "QUERY": b"QUERY " + POD.encode() + b" HTTP/1.1\r\n" + H + b"{auth}\r\n",
    "M-SEARCH": b"M-SEARCH " + POD.encode() + b" HTTP/1.1\r\n" + H + b"{auth}\r\n",
    "TRACE": b"TRACE " + POD.encode() + b" HTTP/1.1\r\n" + H + b"{auth}\r\n",
    "CONNECT": b"CONNECT entry.example:443 HTTP/1.1\r\n" + H + b"{auth}\r\n",
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET " + POD.encode() + b"\r\n\r\n",
    "HTTP/0.9 by name": b"GET " + POD.encode() + b" HTTP/0.9\r\n" + H + b"{auth}\r\n",
    "HTTP/2.0": b"GET " + POD.encode() + b" HTTP/2.0\r\n" + H + b"{auth}\r\n",
    "HTTP/1.2": b"GET " + POD.encode() + b" HTTP/1.2\r\n" + H + b"{auth}\r\n",
    "http/1.1 in lower case": b"GET " + POD.encode() + b" http/1.1\r\n" + H + b"{auth}\r\n",
    "RTSP/1.0": b"GET " + POD.encode() + b" RTSP/1.0\r\n" + H + b"{auth}\r\n",
    "two spaces in the request line": b"GET  " + POD.encode() + b" HTTP/1.1\r\n" + H + b"{auth}\r\n",
    # Host
    "no Host": LINE + b"{auth}\r\n",
    "no Host in HTTP/1.0": b"GET " + POD.encode() + b" HTTP/1.0\r\n{auth}\r\n",
    "an empty Host": LINE + b"Host:\r\n{auth}\r\n",
    "two Hosts": LINE + H + H + b"{auth}\r\n",
    "a list of Hosts": LINE + b"Host: entry.example, entry.example\r\n{auth}\r\n",
    "a Host with user information": LINE + b"Host: a@entry.example\r\n{auth}\r\n",
    "a Host with a path": LINE + b"Host: entry.example/x\r\n{auth}\r\n",
    "an absolute target of another host": target(b"https://other.example" + POD.encode()),
    "an absolute target with user information": target(b"https://a@entry.example" + POD.encode()),
    "an absolute target of another scheme": target(b"ftp://entry.example" + POD.encode()),
    # targets
    "a fragment": target(POD.encode() + b"#x"),
    "a fragment in the query": target(POD.encode() + b"?a=b#x"),
    "a broken escape": target(POD.encode() + b"%zz"),
    "a broken escape in the query": target(POD.encode() + b"?a=%f"),
    "an 8-bit target": target(POD.encode() + b"\xe9"),
    "a control byte in the target": target(POD.encode() + b"\x01"),
    "a tab in the target": target(POD.encode() + b"\tx"),
    "a backslash in the path": target(POD.encode() + b"\\x"),
    "a dot segment": target(b"/k8s/team-a/prod/api/../../../kaas/api/v1/secrets"),
    "an encoded dot segment": target(b"/k8s/team-a/prod/api/%2e%2e/x"),
    "a dot segment with a parameter": target(b"/k8s/team-a/prod/api/..;a=b/x"),
    "an empty segment": target(b"/k8s/team-a/prod//api/v1/pods"),
    "an encoded slash": target(b"/k8s/team-a%2fprod/api/v1/pods"),
    "an encoded backslash": target(b"/k8s/team-a/prod/api%5cv1/pods"),
    "double encoding": target(b"/k8s/team-a/prod/api/v1/namespaces/a/pods/%252e"),
    "an encoded NUL": target(b"/k8s/team-a/prod/api/v1/namespaces/a/pods/a%00b"),
    "a parameter": target(b"/k8s/team-a/prod/api/v1;x=y/pods"),
    "a star as the path": target(b"*"),
    "a relative target": target(b"k8s/team-a/prod/api"),
    # upgrades
    "an upgrade with a body": post(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"abcde"),
    "an upgrade with chunks": post(
        b"Connection: Upgrade", b"Upgrade: websocket", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "an h2c upgrade with a body": post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5", body=b"abcde"),
    "an upgrade in HTTP/1.0": b"GET "
    + POD.encode()
    + b" HTTP/1.0\r\n"
    + H
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\n{auth}\r\n",
    "an upgrade to several protocols": get(b"Connection: Upgrade", b"Upgrade: websocket, h2c"),
    "an upgrade on two lines": get(b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"),
    "an unknown expectation": post(b"Expect: 200-ok", b"Content-Length: 2", body=b"ab"),
    # chunked bodies
    "a space behind a chunk size": post(b"Transfer-Encoding: chunked", body=b"2 \r\nab\r\n0\r\n\r\n"),
    "a signed chunk size": post(b"Transfer-Encoding: chunked", body=b"+2\r\nab\r\n0\r\n\r\n"),
    "0x before a chunk size": post(b"Transfer-Encoding: chunked", body=b"0x2\r\nab\r\n0\r\n\r\n"),
    "an empty chunk size": post(b"Transfer-Encoding: chunked", body=b"\r\nab\r\n0\r\n\r\n"),
    "a chunk size too large": post(b"Transfer-Encoding: chunked", body=b"ffffffffffffffffff\r\nab\r\n0\r\n\r\n"),
    "a chunk without its CRLF": post(b"Transfer-Encoding: chunked", body=b"2\r\nabX\r\n0\r\n\r\n"),
    "a bare LF behind a chunk size": post(b"Transfer-Encoding: chunked", body=b"2\nab\r\n0\r\n\r\n"),
    "a bare LF behind a chunk": post(b"Transfer-Encoding: chunked", body=b"2\r\nab\n0\r\n\r\n"),
    "a control byte in an extension": post(b"Transfer-Encoding: chunked", body=b"2;a=\x01\r\nab\r\n0\r\n\r\n"),
    "a length in a trailer": post(b"Transfer-Encoding: chunked", body=b"0\r\nContent-Length: 5\r\n\r\n"),
    "a coding in a trailer": post(b"Transfer-Encoding: chunked", body=b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "a folded trailer": post(b"Transfer-Encoding: chunked", body=b"0\r\nX-A: b\r\n c\r\n\r\n"),
}


def refused(entry: Door, message: bytes) -> Wire:
    wire = entry.connect()
    with contextlib.suppress(ConnectionError):
        wire.send(message + SMUGGLED)
    return wire


@pytest.mark.parametrize("with_token", [False, True], ids=["anonymous", "token"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_request_is_refused_and_nothing_of_what_follows_is_read(entry: Door, case: str, *, with_token: bool) -> None:
    auth = f"Authorization: Bearer {entry.issuer.token()}\r\n".encode() if with_token else b""
    wire = refused(entry, REFUSED[case].replace(b"{auth}", auth))
    answer = wire.answer()
    chunked_after_judgement = not with_token and b"chunked\r\n" in REFUSED[case] and answer.status == 401
    assert answer.status == 400 or chunked_after_judgement, answer
    assert answer["connection"] == "close"
    assert wire.is_ended()
    heads = [request for request in entry.upstream.taken() if b"smuggled" in request or b"chunked" not in request.lower()]
    assert heads == []
    wire.sock.close()


def test_the_answer_is_a_status_object_for_apis_and_a_page_for_browsers(entry: Door) -> None:
    wire = refused(entry, get(b"X_A: b").replace(b"{auth}", b""))
    status = wire.answer().json()
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 400, "BadRequest")
    wire = refused(entry, b"GET / HTTP/1.1\r\n" + H + b"Accept: text/html\r\nX_A: b\r\n\r\n")
    assert wire.answer()["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"GET /k8s/team-a/prod/" + b"a" * 20_000 + b" HTTP/1.1\r\n" + H + b"\r\n", 431),
        (b"GET /k8s/team-a/prod/" + b"a" * 20_000, 431),
        (LINE + H + b"X-A: " + b"b" * 70_000 + b"\r\n\r\n", 431),
        (LINE + H + b"X-A: " + b"b" * 70_000, 431),
        (LINE + H + b"X-A: b\r\n" * 200 + b"\r\n", 431),
        (b"\r\n" * 40_000 + LINE, 431),
    ],
    ids=["long line", "endless line", "long field", "endless field", "many fields", "empty lines"],
)
def test_a_head_beyond_the_limits_is_431(entry: Door, message: bytes, status: int) -> None:
    wire = refused(entry, message)
    answer = wire.answer()
    assert (answer.status, answer["connection"]) == (status, "close")
    assert entry.upstream.taken() == []


def test_a_keycloak_token_with_hundreds_of_groups_passes(entry: Door) -> None:
    roles = [f"m:kaas:project-{number}@reader" for number in range(900)] + ["m:kaas:team-a@writer"]
    assert entry.ask("GET", POD, roles=roles).status == 200


@pytest.mark.parametrize("beginning", [b"2;" + b"x" * 100_000, b"0" * 100_000, b"2\r\nab" + b"0" * 100_000])
def test_bytes_around_chunks_are_bounded(entry: Door, beginning: bytes) -> None:
    wire = entry.connect()
    with contextlib.suppress(ConnectionError):
        wire.send(entry.head("POST", POD, "Transfer-Encoding: chunked") + beginning)
    assert wire.answer().status == 431


def test_endless_trailers_are_bounded(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("POST", POD, "Transfer-Encoding: chunked") + b"0\r\n")
    with contextlib.suppress(ConnectionError):
        wire.send(b"X-A: b\r\n" * 20_000)
    assert wire.answer().status == 431


def test_a_foreign_host_is_misdirected(entry: Door) -> None:
    for host in ("other.example", "entry.example.", "127.0.0.1"):
        wire = entry.connect()
        wire.send(entry.head("GET", f"{POD}-misdirected", host=host))
        answer = wire.answer()
        assert (answer.status, answer.json()["kind"]) == (421, "Status")
    assert not any(b"misdirected" in request for request in entry.upstream.taken())


def test_port_and_case_of_the_host_do_not_matter(entry: Door) -> None:
    for host in ("Entry.Example:8443", "ENTRY.EXAMPLE"):
        wire = entry.connect()
        wire.send(entry.head("GET", POD, host=host))
        assert wire.answer().status == 200


def test_one_byte_at_a_time_is_read_like_all_at_once(entry: Door) -> None:
    wire = entry.connect()
    wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in entry.head("GET", POD):
        wire.send(bytes([byte]))
    assert wire.answer().status == 200


def test_a_malformed_request_leaves_no_audit_line_and_a_count(entry: Door) -> None:
    before = entry.running.edge.counters.malformed.copy()
    lines = len(entry.audit_lines())
    assert refused(entry, get(b"X_A: b").replace(b"{auth}", b"")).answer().status == 400
    assert sum(entry.running.edge.counters.malformed.values()) == sum(before.values()) + 1
    assert len(entry.audit_lines()) == lines

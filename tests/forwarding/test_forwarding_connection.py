"""What an upstream may answer: how each answer ends, what is passed on of it, and what is refused instead."""

import time
from collections.abc import Callable

import httptools
import pytest
from edge_door import POD, TLS, Door, Wire, answering, server_tls

Maker = Callable[..., Door]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POISON = b"HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison"


@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
def test_an_answer_of_known_length_arrives_whole(make_door: Maker, size: int) -> None:
    body = bytes(range(250)) * (size // 250) + b"y" * (size % 250)
    entry = make_door(answering(*[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body] * 2))
    wire = entry.connect()
    for _ in range(2):
        wire.send(entry.head("GET", POD))
        answer = wire.answer()
        assert (answer["content-length"], answer.body == body) == (str(size), True)
    assert entry.upstream.connections == 1


def test_a_chunked_answer_keeps_its_trailers_and_loses_dangerous_ones(make_door: Maker) -> None:
    entry = make_door(
        answering(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n4\r\ndefg\r\n"
            b"0\r\nX-Checksum: 5\r\nSet-Cookie: a=b\r\nHost: x\r\n\r\n"
        )
    )
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert b"Transfer-Encoding: chunked" in wire.until(b"\r\n\r\n")
    rest = wire.until(b"\r\n\r\n")
    assert rest.endswith(b"0\r\nX-Checksum: 5\r\n\r\n")
    assert b"abc" in rest


def test_an_answer_that_ends_with_its_connection_becomes_chunked(make_door: Maker) -> None:
    entry = make_door(answering(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", close=True))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    answer = wire.answer()
    assert (answer["transfer-encoding"], answer.body, answer["connection"]) == ("chunked", b"until the end", None)


def test_http_1_0_gets_an_answer_without_chunks_and_then_the_end(make_door: Maker) -> None:
    entry = make_door(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
    wire = entry.connect()
    wire.send(entry.head("GET", POD).replace(b"HTTP/1.1", b"HTTP/1.0"))
    head = wire.until(b"\r\n\r\n")
    assert b"chunked" not in head
    assert wire.rest() == b"abc"


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n'),
    ],
)
def test_an_answer_without_body_ends_at_its_head(make_door: Maker, method: str, answer: bytes) -> None:
    entry = make_door(answering(answer, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"))
    wire = entry.connect()
    wire.send(entry.head(method, POD))
    assert wire.until(b"\r\n\r\n").split(b" ")[1] == answer.split(b" ")[1]
    wire.send(entry.head("GET", POD))
    assert wire.answer().body == b"next"
    assert entry.upstream.connections == 1


def test_bytes_behind_the_answer_to_head_end_the_connection(make_door: Maker) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    entry = make_door(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde" + poison, poison))
    wire = entry.connect()
    wire.send(entry.head("HEAD", POD))
    assert b"200 OK" in wire.until(b"\r\n\r\n")
    time.sleep(0.05)
    assert entry.running.edge.site.pools["k8s/team-a/prod"].idle == 0


def test_interim_answers_are_passed_on(make_door: Maker) -> None:
    entry = make_door(answering(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 103 ")
    assert wire.answer().body == b"ok"


@pytest.mark.parametrize("surplus", [b"x", POISON], ids=["byte", "answer"])
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: 1\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n", b""),
    ],
    ids=["plain", "length", "chunked", "trailers", "empty", "204", "304"],
)
def test_bytes_behind_an_answer_are_nobodys_answer(make_door: Maker, answer: bytes, body: bytes, surplus: bytes) -> None:
    entry = make_door(answering(answer + surplus, b""))
    wire = entry.connect()
    for _ in range(2):
        wire.send(entry.head("GET", POD))
        head = wire.until(b"\r\n\r\n")
        assert head.startswith(answer[:12])
        assert b"Poison" not in head
        if body:
            assert wire.until(b"ok").endswith(b"ok")
        if b"chunked" in head:
            assert wire.until(b"\r\n\r\n") == b"\r\n0\r\n" + (b"X-End: 1\r\n" if b"X-End" in answer else b"") + b"\r\n"
        assert wire.buffer == b""
    assert entry.upstream.connections == 2


def test_bytes_that_nobody_asked_for_end_an_idle_connection(make_door: Maker) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(OK)
        time.sleep(0.05)
        wire.send(POISON)
        wire.rest()

    entry = make_door(script)
    wire, pool = entry.connect(), entry.running.edge.site.pools["k8s/team-a/prod"]
    wire.send(entry.head("GET", POD))
    assert wire.answer().body == b"ok"
    entry.until(lambda: pool.idle == 0)
    wire.send(entry.head("GET", POD))
    assert wire.answer().body == b"ok"
    assert entry.upstream.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX-End: 1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Other: 1\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
    ],
    ids=["plain", "chunked", "interim", "1.0"],
)
def test_an_answer_that_comes_byte_by_byte_is_the_same(make_door: Maker, answer: bytes) -> None:
    def script(wire: Wire) -> None:
        wire.sock.setsockopt(6, 1, 1)
        while wire.request():
            for byte in answer:
                wire.send(bytes([byte]))
                time.sleep(0.0005)

    entry = make_door(script)
    wire = entry.connect()
    for _ in range(2):
        wire.send(entry.head("GET", POD))
        found = wire.answer()
        if found.status == 103:
            found = wire.answer()
        assert (found.status, found.body) == (200, b"ok")
    assert entry.upstream.connections == 1


def test_many_interim_answers_are_followed_by_one_that_counts(make_door: Maker) -> None:
    interim = b"".join(b"HTTP/1.1 1%02d Interim\r\nX-Number: %d\r\n\r\n" % (number, number) for number in (0, 2, 3, 50, 99))
    entry = make_door(answering(interim + OK))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert [wire.answer().status for _ in range(6)] == [100, 102, 103, 150, 199, 200]


def test_a_client_of_http_1_0_is_told_of_no_interim_answer(make_door: Maker) -> None:
    entry = make_door(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK))
    wire = entry.connect()
    wire.send(entry.head("GET", POD).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert wire.answer().status == 200


def test_fields_of_an_interim_answer_are_not_those_of_the_final_one(make_door: Maker) -> None:
    entry = make_door(answering(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\nContent-Length: 9\r\n\r\n" + OK))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    early, final = wire.answer(), wire.answer()
    assert (early["x-early"], early["content-length"]) == ("1", None)
    assert (final["x-early"], final.body) == (None, b"ok")


@pytest.mark.parametrize(
    ("framing", "begin", "ending"),
    [
        (b"Content-Length: 100", b"beginning", b"only this"),
        (b"Content-Length: 100\r\nX-Other: 1", b"beginning", b"only this"),
        (b"Transfer-Encoding: chunked", b"9\r\nbeginning\r\n", b""),
        (b"Transfer-Encoding: chunked", b"9\r\nbeginning\r\n", b"64\r\nonly this"),
        (b"Transfer-Encoding: chunked", b"9\r\nbeginning\r\n", b"ZZ\r\n"),
        (b"Transfer-Encoding: chunked", b"9\r\nbeginning\r\n", b"0\r\n"),
        (b"Transfer-Encoding: chunked", b"9\r\nbeginning\r\n", b"0\r\nX-End: 1\r\n"),
    ],
    ids=["plain", "length", "chunk end", "within a chunk", "bad chunk", "last chunk", "within trailers"],
)
@pytest.mark.parametrize("listen", [None, TLS], ids=["plain", "TLS"])
def test_an_answer_that_breaks_off_never_looks_complete(
    make_door: Maker, framing: bytes, begin: bytes, ending: bytes, listen: dict | None
) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + begin)
        time.sleep(0.03)
        wire.send(ending)

    entry = make_door(script, **({"listen": listen} if listen else {}))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    wire.until(b"beginning")
    rest = wire.rest()
    assert wire.was_cut
    assert b"0\r\n\r\n" not in rest
    (line,) = entry.audit_lines(1)
    assert (line["decision"], line["status"]) == ("allow", 200)
    assert line["reason"].startswith("the upstream")


@pytest.mark.parametrize("is_clean", [True, False], ids=["close_notify", "cut"])
def test_a_body_that_ends_with_its_tls_connection_needs_a_clean_end(make_door: Maker, tmp_path, *, is_clean: bool) -> None:
    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
        if is_clean:
            wire.sock.unwrap()
        time.sleep(0.03)

    entry = make_door(script, upstream_tls=server_tls(tmp_path))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert b" 200 OK" in wire.until(b"\r\n\r\n")
    rest = wire.rest() if not is_clean else wire.until(b"0\r\n\r\n")
    assert (rest.endswith(b"0\r\n\r\n"), wire.was_cut) == (is_clean, not is_clean)


MALFORMED = {
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "two equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
    "an endless length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "RTSP": b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICE": b"ICE/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 099": b"HTTP/1.1 099 Low\r\nContent-Length: 2\r\n\r\nok",
    "status 600": b"HTTP/1.1 600 High\r\nContent-Length: 2\r\n\r\nok",
    "status 999": b"HTTP/1.1 999 High\r\nContent-Length: 2\r\n\r\nok",
    "status 20": b"HTTP/1.1 20 Short\r\nContent-Length: 2\r\n\r\nok",
    "status 2000": b"HTTP/1.1 2000 Long\r\nContent-Length: 2\r\n\r\nok",
    "a bare LF": b"HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 2\r\n\r\nok",
    "a folded line": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
    "a space before a colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "a NUL": b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 2\r\n\r\nok",
    "a CR in a value": b"HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: c\r\nContent-Length: 2\r\n\r\nok",
    "a switch that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "a switch to nothing": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02F",
    "an endless head": b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000,
    "interim and then nothing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing": b"",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_an_answer_that_could_be_read_in_two_ways_is_502(make_door: Maker, case: str) -> None:
    entry = make_door(answering(MALFORMED[case], close=True))
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    found = wire.answer()
    if found.status == 102:
        found = wire.answer()
    assert (found.status, found.json()["kind"], found.json()["reason"]) == (502, "Status", "InternalError")
    assert len(entry.upstream.taken()) == 1
    (line,) = entry.audit_lines(1)
    assert (line["decision"], line["status"], line["upstream"]) == ("allow", 502, f"http://127.0.0.1:{entry.upstream.port}")


def test_a_malformed_answer_on_a_reused_connection_is_not_asked_for_again(make_door: Maker) -> None:
    entry = make_door(answering(OK, b"SSH-2.0-OpenSSH\r\n", close=True))
    wire = entry.connect()
    for status in (200, 502):
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == status
    assert len(entry.upstream.taken()) == 2


def test_a_state_can_be_read_in_a_log(make_door: Maker) -> None:
    states = []

    def script(wire: Wire) -> None:
        while wire.request():
            states.append(repr(next(iter(entry.running.edge.connections))))
            wire.send(OK)

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.answer().status == 200
    assert "GET k8s/team-a/prod, Exchange(GET over k8s/team-a/prod, sent, status none yet)" in states[0]
    (connection,) = entry.running.edge.site.pools["k8s/team-a/prod"]._idle
    assert repr(connection) == "UpstreamConnection(idle, 1 answers so far)"


def test_llhttp_still_reads_what_the_own_checks_are_for() -> None:
    """The checks of our own would be idle if a later llhttp refused these by itself: then say so here and drop them."""
    for case in ("HTTP/2.0", "RTSP", "status 999", "chunked, gzip"):
        httptools.HttpResponseParser(object()).feed_data(MALFORMED[case])


@pytest.mark.parametrize("trailer", [b"y" * 60 + b"\r\nX-A: ", b"z" * 65], ids=["many", "one"])
def test_endless_trailers_of_an_upstream_end_its_answer(make_door: Maker, trailer: bytes) -> None:
    sent = [0]

    def script(wire: Wire) -> None:
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nbeginning\r\n0\r\nX-A: ")
        for _ in range(1000):
            wire.send(trailer * 1000)
            sent[0] += len(trailer) * 1000

    entry = make_door(script)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    wire.until(b"beginning")
    wire.rest()
    assert wire.was_cut
    assert sent[0] < 30_000_000


def test_a_second_answer_behind_the_first_reaches_nobody(make_door: Maker) -> None:
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
    first = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok"
    entry = make_door(answering(first + b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(second) + second))
    wire = entry.connect()
    wire.send(entry.head("GET", POD) + b"GET / HTTP/1.1\r\nHost: entry.example\r\n\r\n")
    assert wire.answer().body == b"ok"
    page = wire.answer()
    assert (page.status, page["content-type"]) == (200, "text/html; charset=utf-8")

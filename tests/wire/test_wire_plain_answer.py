"""The one expression for plain answers reads what llhttp reads, or nothing."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.inbound import AnswerHead, AnswerRules, BodyKind, answer_bytes, read_answer, read_plain_answer

RULES = AnswerRules(b"/k8s/a/b", frozenset())
NAMES = [
    "Content-Type",
    "Date",
    "Audit-Id",
    "Cache-Control",
    "ETag",
    "content-type",
    "X-Other",
    "Set-Cookie",
    "Connection",
    "Location",
]
LENGTHS = ["0", "7", "007", "12345678901234567890", "-1", "+7", "7, 7", "0x7", "", " 7", "7 "]


class Parsed:
    """What llhttp makes of an answer."""

    def __init__(self, data: bytes) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.head: tuple[int, str] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.head = (self._parser.get_status_code(), self._parser.get_http_version())


def by_llhttp(data: bytes, method: str) -> AnswerHead:
    parsed = Parsed(data)
    assert parsed.head is not None
    return read_answer(parsed.head[0], parsed.fields, RULES, method, parsed.head[1])


def head(status: str, fields: list[tuple[str, str]]) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Word", *(f"{name}: {value}" for name, value in fields), "", ""]).encode()


field = st.tuples(st.sampled_from(NAMES), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12))
length = st.tuples(st.just("Content-Length"), st.sampled_from(LENGTHS))


@given(
    status=st.sampled_from(["200", "201", "204", "304", "404", "500", "101", "100", "600"]),
    before=st.lists(field, max_size=3),
    lengths=st.lists(length, max_size=2),
    behind=st.lists(field, max_size=3),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_what_it_reads_llhttp_reads_too(status: str, before: list, lengths: list, behind: list, method: str) -> None:
    data = head(status, [*before, *lengths, *behind])
    found = read_plain_answer(data + b"body", RULES, method)
    if found is None:
        return
    answer, size = found
    other = by_llhttp(data, method)
    assert size == len(data)
    assert (answer.status, answer.body, answer.length, answer.keep_alive) == (
        other.status,
        other.body,
        other.length,
        other.keep_alive,
    )
    lines = [answer_bytes(one, framing=b"").replace(b": ", b":").split(b"\r\n") for one in (answer, other)]
    assert [line.rstrip() for line in lines[0]] == [line.rstrip() for line in lines[1]]


def test_the_commonest_answer_of_an_api_server_is_plain() -> None:
    data = head("200", [("Audit-Id", "a"), ("Content-Type", "application/json"), ("Date", "now"), ("Content-Length", "2")])
    found = read_plain_answer(data + b"{}", RULES, "GET")
    assert found is not None
    assert (found[0].body, found[0].length, found[1]) == (BodyKind.LENGTH, 2, len(data))


@pytest.mark.parametrize(
    "data",
    [
        head("200", [("Content-Length", "2"), ("Content-Length", "2")]),
        head("200", [("Content-Length", "2"), ("Transfer-Encoding", "chunked")]),
        head("200", [("Content-Length", "2"), ("Connection", "close")]),
        head("200", [("Set-Cookie", "a=b"), ("Content-Length", "2")]),
        head("200", [("Content-Type", "a\tb"), ("Content-Length", "2")]),
        head("200", [("Content-Length", "2")])[:-2],
        head("101", [("Content-Length", "2")]),
        head("204", [("Content-Length", "0")]),
        head("304", [("Content-Length", "2")]),
        head("200", [("Content-Length", "2")]).replace(b"HTTP/1.1", b"HTTP/1.0"),
        head("200", [("Content-Length", "2")]).replace(b"\r\n", b"\n"),
        head("200", [("Content-Length", "2")]).replace(b"Word", b"W\xf6rd"),
        b" " + head("200", [("Content-Length", "2")]),
    ],
)
def test_anything_else_is_left_to_llhttp(data: bytes) -> None:
    assert read_plain_answer(data, RULES, "GET") is None


def test_an_answer_to_head_is_left_to_llhttp() -> None:
    assert read_plain_answer(head("200", [("Content-Length", "2")]), RULES, "HEAD") is None

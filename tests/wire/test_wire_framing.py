"""Chunked bodies: what is decoded, what is refused, and that neither depends on how the bytes were cut on their way."""

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import HeadersTooLarge, Malformed
from proxy.wire.framing import LAST_CHUNK, ChunkedDecoder, chunk

LIMIT = 1000

ACCEPTED = {
    "nothing": (b"0\r\n\r\n", b""),
    "one chunk": (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    "two chunks": (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
    "upper-case digits": (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "lower-case digits": (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "leading zeros": (b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
    "an extension": (b'3;name=value;other="q"\r\nabc\r\n0;last\r\n\r\n', b"abc"),
    "an empty extension": (b"3;\r\nabc\r\n0;\r\n\r\n", b"abc"),
    "a tab in an extension": (b"3;\ta\r\nabc\r\n0\r\n\r\n", b"abc"),
    "line ends inside": (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    "a last chunk inside": (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    "trailers": (b"1\r\na\r\n0\r\nX-A: b\r\nX-B:\r\n\r\n", b"a"),
}

REFUSED = {
    "no size": b"\r\nabc",
    "a space before a size": b" 3\r\nabc",
    "a space behind a size": b"3 \r\nabc",
    "a space before an extension": b"3 ;a\r\nabc",
    "a sign": b"+3\r\nabc",
    "a negative size": b"-3\r\nabc",
    "0x": b"0x3\r\nabc",
    "an underscore": b"1_0\r\nabc",
    "a letter": b"g\r\nabc",
    "17 digits": b"00000000000000003\r\nabc",
    "a size of 2^62 and one": b"4000000000000001\r\n",
    "the largest size": b"ffffffffffffffff\r\n",
    "non-ASCII digits": b"\xd9\xa3\r\nabc",
    "a bare LF behind a size": b"3\nabc\r\n",
    "a bare CR behind a size": b"3\rabc\r\n",
    "two CRs behind a size": b"3\r\r\nabc\r\n",
    "a NUL in an extension": b"3;\x00\r\nabc",
    "a DEL in an extension": b"3;\x7f\r\nabc",
    "8 bits in an extension": b"3;\xe9\r\nabc",
    "a bare LF in an extension": b"3;a\nabc",
    "a longer chunk than announced": b"3\r\nabcd\r\n",
    "a shorter chunk than announced": b"3\r\nab\r\n0\r\n\r\n",
    "a bare LF behind a chunk": b"3\r\nabc\n0\r\n\r\n",
    "a bare CR behind a chunk": b"3\r\nabc\r0\r\n\r\n",
    "a bare LF at the end": b"0\r\n\n",
    "a trailer without a colon": b"0\r\nX-A\r\n\r\n",
    "a trailer without a name": b"0\r\n: a\r\n\r\n",
    "a space before a trailer's colon": b"0\r\nX-A : a\r\n\r\n",
    "a folded trailer": b"0\r\nX-A: a\r\n b\r\n\r\n",
    "an underscore in a trailer's name": b"0\r\nX_A: a\r\n\r\n",
    "a control byte in a trailer": b"0\r\nX-A: \x01\r\n\r\n",
    "8 bits in a trailer": b"0\r\nX-A: \xe9\r\n\r\n",
    "a length among the trailers": b"0\r\ncontent-LENGTH: 3\r\n\r\n",
    "a coding among the trailers": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a host among the trailers": b"0\r\nHost: other\r\n\r\n",
    "a bare LF behind a trailer": b"0\r\nX-A: b\n\r\n",
}


def decoded(stream: bytes, cuts: list[int], limit: int = LIMIT) -> tuple[bytes, bytes, bool]:
    """Feed a stream cut at these positions; return the body, what is left behind it, and whether it is complete."""
    decoder = ChunkedDecoder(limit)
    body, left = [], b""
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if decoder.is_complete:
            left += stream[begin:end]
            continue
        pieces, rest = decoder.feed(stream[begin:end])
        assert all(pieces)
        body += pieces
        left += rest
    return b"".join(body), left, decoder.is_complete


@pytest.mark.parametrize("case", ACCEPTED)
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n"])
def test_a_body_is_decoded_to_the_byte(case: str, behind: bytes) -> None:
    stream, body = ACCEPTED[case]
    assert decoded(stream + behind, []) == (body, behind, True)
    assert decoded(stream + behind, list(range(1, len(stream + behind)))) == (body, behind, True)


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_body_that_is_cut_short_is_not_complete(case: str) -> None:
    stream, body = ACCEPTED[case]
    for size in range(len(stream)):
        found, left, is_complete = decoded(stream[:size], [])
        assert body.startswith(found)
        assert (left, is_complete) == (b"", False)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_to_the_byte_is_refused(case: str) -> None:
    stream = REFUSED[case]
    for cuts in ([], list(range(1, len(stream)))):
        with pytest.raises(Malformed, match=r"malformed (chunked body|trailer)"):
            decoded(stream + b"\r\n\r\n", [*cuts])


@pytest.mark.parametrize(
    "stream",
    [
        b"1;" + b"a" * LIMIT,
        b"0" * LIMIT + b"1",
        (b"1;" + b"e" * 60 + b"\r\na\r\n") * LIMIT,
        b"%x\r\n%b\r\n0\r\n" % (10 * LIMIT, b"x" * 10 * LIMIT) + b"X-A: b\r\n" * LIMIT,
        b"%x\r\n%b\r\n1;" % (10 * LIMIT, b"x" * 10 * LIMIT) + b"a" * LIMIT,
        b"0\r\n" + b"X-A: b\r\n" * LIMIT,
        b"0\r\nX-A: " + b"b" * LIMIT,
    ],
    ids=["extension", "digits", "extensions", "late trailers", "late extension", "trailers", "trailer"],
)
def test_what_is_not_body_is_bounded(stream: bytes) -> None:
    for cuts in ([], list(range(1, len(stream), 7))):
        with pytest.raises(HeadersTooLarge):
            decoded(stream, cuts)


def test_the_bound_is_exact_for_a_line() -> None:
    line = b"2;" + b"e" * (LIMIT - 4) + b"\r\n"
    assert decoded(line + b"ab\r\n0\r\n\r\n", [])[2]
    with pytest.raises(HeadersTooLarge):
        decoded(b"2;e" + line[2:] + b"ab\r\n0\r\n\r\n", [])


@pytest.mark.parametrize("size", [1, 16, 4096])
def test_a_long_upload_in_small_chunks_comes_to_its_end(size: int) -> None:
    count = 20 * LIMIT
    stream = b"%x\r\n%b\r\n" % (size, b"x" * size) * count + b"0\r\n\r\n"
    assert decoded(stream, []) == (b"x" * size * count, b"", True)


EXTENSION = st.sampled_from([b"", b";a", b";a=b", b'; a="b;c"'])
TRAILER = st.sampled_from([b"X-Checksum: 1\r\n", b"x: \r\n", b"Expires: 0, 1\r\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A valid stream and its body."""
    pieces = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
    lines = [b"%x%b\r\n%b\r\n" % (len(piece), draw(EXTENSION), piece) for piece in pieces]
    trailers = draw(st.lists(TRAILER, max_size=2))
    return b"".join([*lines, b"0", draw(EXTENSION), b"\r\n", *trailers, b"\r\n"]), b"".join(pieces)


@given(streams(), st.binary(max_size=20), st.lists(st.integers(0, 500), max_size=12))
def test_how_a_stream_is_cut_changes_nothing(stream_and_body, behind: bytes, cuts: list[int]) -> None:
    stream, body = stream_and_body
    whole = stream + behind
    assert decoded(whole, sorted(min(cut, len(whole)) for cut in cuts)) == (body, behind, True)


class Peer:
    """llhttp on the same bytes."""

    def __init__(self) -> None:
        self.body = b""
        self.is_complete = False
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True

    def refusal(self, data: bytes) -> str:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            return str(error)
        return ""


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid stream with a few bytes changed, removed or put in."""
    stream = bytearray(draw(streams())[0])
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(stream) - 1, 0)))
        byte = draw(st.sampled_from(list(b"\r\n0123afgAF;:= \t\x00\x0b\xe9xX-_+")))
        match draw(st.sampled_from(["change", "remove", "insert"])):
            case "change" if stream:
                stream[at] = byte
            case "remove" if stream:
                del stream[at]
            case _:
                stream.insert(at, byte)
    return bytes(stream)


@given(damaged())
@example(b"1\r\na\r\n0\r\n\r\nrest")
def test_what_we_accept_llhttp_reads_in_the_same_way(stream: bytes) -> None:
    decoder, peer = ChunkedDecoder(LIMIT), Peer()
    try:
        pieces, rest = decoder.feed(stream)
    except Malformed:
        return
    if not decoder.is_complete:
        return
    refusal = peer.refusal(stream[: len(stream) - len(rest)])
    if "chunk extension" in refusal:  # we drop extensions unread, within their bytes and their bound; llhttp reads their grammar
        return
    assert refusal == ""
    assert (peer.body, peer.is_complete) == (b"".join(pieces), True)


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5))
def test_what_we_encode_we_decode(pieces: list[bytes]) -> None:
    stream = b"".join(part for piece in pieces for part in chunk(piece)) + LAST_CHUNK
    assert decoded(stream, []) == (b"".join(pieces), b"", True)

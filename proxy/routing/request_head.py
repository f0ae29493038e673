"""The head of a request as it came, checked: what may be read from it without doubt, or a refusal.

llhttp has refused what it refuses (bad framing, control bytes, folded lines) before these functions see a field; they refuse what
llhttp lets through (RFC 9112 sections 3.2, 6.1 and 6.3, and the rules of docs/data-plane.md). A `HeaderBlock` belongs to all
requests of a connection whose header bytes are the same; the request line is checked for each.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from proxy.errors import Malformed

Field: TypeAlias = tuple[bytes, bytes]

REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,16}) ([\x21-\x7e]+) HTTP/1\.([01])")
_NAME: Final = re.compile(rb"[A-Za-z0-9-]+")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_DIGITS: Final = re.compile(rb"[0-9]{1,19}")


class RequestLine(NamedTuple):
    """Method, request target and whether the version is 1.1 (else 1.0)."""

    method: str
    target: bytes
    is_http11: bool


class HeaderBlock(Struct, frozen=True):
    """The checked header fields of a request.

    `fields` are in the order and spelling received, values without surrounding white space. `host` is lower-case, with its port, and
    `host_text` the same as text.
    `upgrade` is the one protocol asked for, lower-case, when `Connection` names it too. `content_length` is None without one,
    and `has_body` says whether body bytes follow the head.
    """

    fields: tuple[Field, ...]
    host: bytes
    host_text: str
    is_http11: bool
    keep_alive: bool
    connection_options: frozenset[bytes]
    content_length: int | None = None
    is_chunked: bool = False
    upgrade: bytes | None = None
    expects_continue: bool = False
    authorization: tuple[bytes, ...] = ()
    websocket_protocols: tuple[bytes, ...] = ()
    cookies: tuple[bytes, ...] = ()
    impersonates: bool = False
    accepts_html: bool = False
    has_body: bool = False

    def __repr__(self) -> str:
        return f"HeaderBlock({len(self.fields)} fields for {self.host_text})"


class RequestHead(Struct, frozen=True):
    """One request: its line and its header block."""

    method: str
    target: bytes
    block: HeaderBlock


def parse_request_line(line: bytes) -> RequestLine:
    """Read a request line without its CRLF; raises Malformed unless it is `METHOD SP target SP HTTP/1.0|1.1` to the byte."""
    match = REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Malformed("malformed request line")
    method, target, minor = match.groups()
    return RequestLine(method.decode(), target, minor == b"1")


def check_header_block(fields: Sequence[Field], *, is_http11: bool) -> HeaderBlock:
    """Check the fields of one head and read what framing, routing and authentication need; raises Malformed."""
    known: dict[bytes, list[bytes]] = {}
    kept: list[Field] = []
    impersonates = False
    for name, raw in fields:
        value = raw.strip(b" \t")
        if _NAME.fullmatch(name) is None:
            raise Malformed("header field names may hold letters, digits and dashes only")
        if not value.isascii():
            raise Malformed("header field values must be ASCII")
        lower = name.lower()
        impersonates = impersonates or lower.startswith(b"impersonate")
        known.setdefault(lower, []).append(value)
        kept.append((name, value))
    options = _tokens(known.get(b"connection", ()))
    is_chunked = _check_transfer_encoding(known.get(b"transfer-encoding", ()), is_http11=is_http11)
    content_length = _check_content_length(known.get(b"content-length", ()), is_chunked=is_chunked)
    has_body = is_chunked or bool(content_length)
    upgrade = _check_upgrade(known.get(b"upgrade", ()), options, is_http11=is_http11, has_body=has_body)
    host = _check_host(known.get(b"host", ()))
    return HeaderBlock(
        fields=tuple(kept),
        host=host,
        host_text=host.decode(),
        is_http11=is_http11,
        keep_alive=b"close" not in options and (is_http11 or b"keep-alive" in options),
        connection_options=options,
        content_length=content_length,
        is_chunked=is_chunked,
        upgrade=upgrade,
        expects_continue=_check_expect(known.get(b"expect", ()), is_http11=is_http11),
        authorization=tuple(known.get(b"authorization", ())),
        websocket_protocols=tuple(known.get(b"sec-websocket-protocol", ())),
        cookies=tuple(known.get(b"cookie", ())),
        impersonates=impersonates,
        accepts_html=b"text/html" in b",".join(known.get(b"accept", ())).lower(),
        has_body=has_body,
    )


def check_target_authority(target: bytes, host: bytes) -> None:
    """Refuse an absolute-form target whose authority differs from `Host` (RFC 9112 section 3.2.2)."""
    if target.startswith(b"/"):
        return
    match = _ABSOLUTE.match(target)
    if match is None or match.group(1).lower() != host:
        raise Malformed("the request target must be a path, or an absolute URL of the same host as Host")


def raw_path(target: bytes) -> bytes:
    """Return the path of a request target in either form, as it came, without its query."""
    if not target.startswith(b"/"):
        match = _ABSOLUTE.match(target)
        target = target if match is None else target[match.end() :]
    return target.partition(b"?")[0]


def _tokens(values: Sequence[bytes]) -> frozenset[bytes]:
    return frozenset(token.strip(b" \t").lower() for value in values for token in value.split(b",") if token.strip(b" \t"))


def _check_host(values: Sequence[bytes]) -> bytes:
    if len(values) != 1:
        raise Malformed("exactly one Host header field is required")
    if _HOST.fullmatch(values[0]) is None:
        raise Malformed("malformed Host header field")
    return values[0].lower()


def _check_transfer_encoding(values: Sequence[bytes], *, is_http11: bool) -> bool:
    if not values:
        return False
    if not is_http11 or len(values) != 1 or values[0].lower() != b"chunked":
        raise Malformed("Transfer-Encoding must be exactly one chunked, in HTTP/1.1")
    return True


def _check_content_length(values: Sequence[bytes], *, is_chunked: bool) -> int | None:
    if not values:
        return None
    if is_chunked or len(values) != 1 or _DIGITS.fullmatch(values[0]) is None:
        raise Malformed("ambiguous Content-Length")
    return int(values[0])


def _check_upgrade(values: Sequence[bytes], options: frozenset[bytes], *, is_http11: bool, has_body: bool) -> bytes | None:
    """Return the protocol asked for; a list of them, a body, or HTTP/1.0 is refused (llhttp would skip the body)."""
    if not values or b"upgrade" not in options:
        return None
    if len(values) != 1 or b"," in values[0] or not values[0]:
        raise Malformed("Upgrade must name exactly one protocol")
    if not is_http11 or has_body:
        raise Malformed("an upgrade must be HTTP/1.1 and without a body")
    return values[0].lower()


def _check_expect(values: Sequence[bytes], *, is_http11: bool) -> bool:
    if not values:
        return False
    if len(values) != 1 or values[0].lower() != b"100-continue":
        raise Malformed("the only expectation known is 100-continue")
    return is_http11

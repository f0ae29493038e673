"""Builds the answer's head for the client from the upstream's: framing of our own, addresses mapped back under the prefix.

What an answer may not do to a browser's view of our origin is dropped (the contract's section 5): clear its data, pin its transport,
widen a service worker, open it to other origins, have it report its errors elsewhere, or set cookies from an API.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from msgspec import Struct

from proxy.errors import BadGateway
from proxy.routing.request_head import Field
from proxy.wire.managed import HOP_BY_HOP
from proxy.wire.outbound import SESSION_COOKIE

_DROPPED: Final = (HOP_BY_HOP - {b"trailer"}) | {
    b"clear-site-data",
    b"strict-transport-security",
    b"service-worker-allowed",
    b"alt-svc",
    b"origin-agent-cluster",
    b"nel",
    b"report-to",
    b"reporting-endpoints",
}
_SPECIAL: Final = _DROPPED | {b"content-length"}
# A field of one of these names goes through as it came; the commonest answers hold nothing else but framing.
_PLAIN: Final = frozenset(
    {
        b"content-type",
        b"date",
        b"cache-control",
        b"audit-id",
        b"etag",
        b"vary",
        b"content-encoding",
        b"server",
        b"last-modified",
        b"x-kubernetes-pf-flowschema-uid",
        b"x-kubernetes-pf-prioritylevel-uid",
    }
)
# The same, as one expression over a whole head: the names as API servers spell them, and exactly one plain Content-Length.
_PLAIN_LINES: Final = (
    rb"((?:(?:C(?:ontent-(?:Type|Encoding)|ache-Control)|Date|Audit-Id|E[tT]ag|Vary|Server|Last-Modified"
    rb"|X-Kubernetes-Pf-(?:Flowschema|Prioritylevel)-Uid): [\x20-\x7e]*+\r\n)*+)"
)
_PLAIN_ANSWER: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9][0-9]) [\x20-\x7e]*+\r\n"
    + _PLAIN_LINES
    + rb"Content-Length: ([0-9]{1,15}+)\r\n"
    + _PLAIN_LINES
    + rb"\r\n"
)
_NOSNIFF: Final = b"X-Content-Type-Options: nosniff\r\n"
_SANDBOX: Final = b"Content-Security-Policy: sandbox\r\n"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_PORTS: Final = {"http": 80, "https": 443}


class BodyKind(Enum):
    """How an answer's body ends: there is none, after so many bytes, at the last chunk, or when the upstream closes."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


# Names in this module: a member looked up on its class costs a descriptor call at each answer.
_NONE, _LENGTH, _CHUNKED, _CLOSE = BodyKind
_OK, _NO_CONTENT, _NOT_MODIFIED = 200, 204, 304
_ALWAYS_EMPTY: Final = frozenset({_NO_CONTENT, _NOT_MODIFIED})


class AnswerRules(Struct, frozen=True):
    """What is to be done with an upstream's answers, made once per upstream and kind of target.

    `prefix` is what the client's URL has before the upstream's path, `authorities` the lower-case `scheme://host[:port]` forms of
    the upstream itself, `base_path` what the upstream's URL has before its own paths. `is_own` are answers of this process, whose
    cookies are ours, and `added` header lines for them.
    """

    prefix: bytes
    authorities: frozenset[bytes]
    base_path: bytes = b""
    is_kubernetes: bool = True
    is_sandboxed: bool = False
    is_own: bool = False
    added: bytes = b""


class AnswerHead(Struct, frozen=True):
    """The upstream's answer, read: `lines` are pieces of the header lines to send, without framing and without the blank line."""

    status: int
    lines: list[bytes]
    body: BodyKind
    length: int
    keep_alive: bool
    upgrade: bytes | None = None


def read_answer(status: int, fields: Sequence[Field], rules: AnswerRules, method: str, version: str) -> AnswerHead:
    """Read and rewrite an upstream's answer head; raises BadGateway for one whose end could be read in two ways."""
    if (version != "1.1" and version != "1.0") or not 100 <= status <= 599:  # noqa: PLR1714, PLR2004 (RFC 9110 section 15)
        raise BadGateway("the upstream's answer is malformed", detail=f"version {version}, status {status}")
    lines: list[bytes] = []
    special: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        lower = name.lower()
        if lower in _PLAIN:
            lines += (name, b": ", value, b"\r\n")
        elif lower in _SPECIAL:
            special.setdefault(lower, []).append(value)
        else:
            _rewrite(name, lower, value, rules, lines)
    lengths = special.pop(b"content-length", None)
    if special:
        head = _with_hop_by_hop(status, lines, lengths, special, method, version)
    else:
        # The commonest answer: no word about the connection.
        kind, length = _framing(status, None, lengths, method, version)
        head = AnswerHead(status, lines, kind, length, version == "1.1" and kind is not _CLOSE)
    if rules.is_kubernetes:
        head.lines.append(_NOSNIFF + _SANDBOX if rules.is_sandboxed else _NOSNIFF)
    elif rules.is_own:
        head.lines.append(rules.added)
    return head


def read_plain_answer(data: bytes, rules: AnswerRules, method: str) -> tuple[AnswerHead, int] | None:
    """Read a head that needs none of the rules, at the beginning of `data`; return it and its length.

    None for any other, which llhttp and `read_answer` read: what matches here they would read in the same way.
    """
    found = _PLAIN_ANSWER.match(data)
    if found is None or method == "HEAD" or rules.is_own:
        return None
    digits, before, length, behind = found.groups()
    status = int(digits)
    if status in _ALWAYS_EMPTY:
        return None
    lines = [before, behind]
    if rules.is_kubernetes:
        lines.append(_NOSNIFF + _SANDBOX if rules.is_sandboxed else _NOSNIFF)
    return AnswerHead(status, lines, _LENGTH, int(length), keep_alive=True), found.end()


def answer_bytes(head: AnswerHead, *, framing: bytes) -> bytes:
    """Serialise an answer's head; `framing` are the lines that say how its body ends and whether the connection does."""
    first = _STATUS_LINES.get(head.status) or b"HTTP/1.1 %d \r\n" % head.status
    return b"".join((first, *head.lines, framing, b"\r\n"))


def location(value: bytes, rules: AnswerRules) -> bytes:
    """Map a redirect to the upstream itself back under the prefix; anything else goes through as it came."""
    scheme_end = value.find(b"://")
    if scheme_end > 0:
        slash = value.find(b"/", scheme_end + 3)
        authority, path = (value, b"/") if slash < 0 else (value[:slash], value[slash:])
        return _path_alone(_under_prefix(path, rules)) if authority.lower() in rules.authorities else value
    if value.startswith(b"/") and not value.startswith(b"//"):
        return _under_prefix(value, rules)
    return value


def authorities(scheme: str, host: str, port: int) -> frozenset[bytes]:
    """Return the ways in which an upstream may name itself in a redirect."""
    name = f"[{host}]" if ":" in host else host
    forms = {f"{scheme}://{name}:{port}"}
    if port == _PORTS[scheme]:
        forms.add(f"{scheme}://{name}")
    return frozenset(form.lower().encode() for form in forms)


def set_cookie(value: bytes, rules: AnswerRules) -> bytes | None:
    """Bind an application's cookie to its own path and host; None for one that takes the proxy's own name."""
    pair, *attributes = value.split(b";")
    # Some browsers send a cookie without a name back without its first `=`, as if its value were a name (CVE-2022-2860).
    if pair.lstrip(b"= \t").lower().startswith(SESSION_COOKIE.lower()):
        return None
    path = rules.prefix or b"/"
    kept = [pair]
    for attribute in attributes:
        name, _, argument = attribute.strip().partition(b"=")
        if name.lower() == b"path":
            path = _under_prefix(argument, rules) if argument.startswith(b"/") else path
        elif name.lower() != b"domain":
            kept.append(b" " + attribute.strip())
    return b";".join([*kept, b" Path=" + path])


def _rewrite(name: bytes, lower: bytes, value: bytes, rules: AnswerRules, lines: list[bytes]) -> None:
    kept: bytes | None = value
    if lower.startswith(b"access-control-") or (rules.is_kubernetes and lower == b"x-content-type-options"):
        kept = None
    elif lower in {b"location", b"content-location"}:
        kept = location(value, rules)
    elif lower == b"set-cookie" and not rules.is_own:
        kept = None if rules.is_kubernetes else set_cookie(value, rules)
    if kept is not None:
        lines += (name, b": ", kept, b"\r\n")


def _under_prefix(path: bytes, rules: AnswerRules) -> bytes:
    prefix = rules.prefix
    if not prefix or path == prefix or path.startswith((prefix + b"/", prefix + b"?")):
        return path
    base = rules.base_path
    if base and path.startswith(base) and path[len(base) : len(base) + 1] in {b"", b"/", b"?"}:
        path = path[len(base) :]
        if not path.startswith(b"/"):
            path = b"/" + path
    return prefix + path


def _path_alone(path: bytes) -> bytes:
    """Keep a path that has lost its host from naming another one (RFC 3986 section 4.2; browsers take a backslash for a slash)."""
    return b"/." + path if path.startswith((b"//", b"/\\")) else path


def _with_hop_by_hop(
    status: int, lines: list[bytes], lengths: list[bytes] | None, hop_by_hop: dict[bytes, list[bytes]], method: str, version: str
) -> AnswerHead:
    """Read what an answer says of its connection, and drop what its Connection names."""
    connection = _tokens(hop_by_hop.get(b"connection"))
    if connection - {b"keep-alive", b"close", b"upgrade"}:
        lines = _without(lines, connection)
    kind, length = _framing(status, hop_by_hop.get(b"transfer-encoding"), lengths, method, version)
    keep_alive = b"close" not in connection and (version == "1.1" or b"keep-alive" in connection) and kind is not _CLOSE
    upgrade = hop_by_hop.get(b"upgrade")
    return AnswerHead(status, lines, kind, length, keep_alive, upgrade[0].lower() if upgrade else None)


def _tokens(values: Sequence[bytes] | None) -> frozenset[bytes]:
    if not values:
        return frozenset()
    return frozenset(token.strip(b" \t").lower() for value in values for token in value.split(b","))


def _without(lines: list[bytes], names: frozenset[bytes]) -> list[bytes]:
    """Drop the fields that the upstream's Connection names; `lines` holds four pieces a field."""
    return [piece for at in range(0, len(lines), 4) if lines[at].lower() not in names for piece in lines[at : at + 4]]


def _framing(
    status: int, codings: list[bytes] | None, lengths: list[bytes] | None, method: str, version: str
) -> tuple[BodyKind, int]:
    """How this answer's body ends (RFC 9112 section 6.3)."""
    length = -1
    if codings is not None:
        if lengths or version != "1.1" or len(codings) != 1 or codings[0].strip().lower() != b"chunked":
            raise BadGateway("the upstream's answer is malformed", detail="ambiguous transfer coding")
    elif lengths:
        if len(lengths) != 1 or not lengths[0].strip().isdigit():
            raise BadGateway("the upstream's answer is malformed", detail="ambiguous Content-Length")
        length = int(lengths[0])
    if status < _OK or status == _NO_CONTENT:
        return _NONE, -1
    if method == "HEAD" or status == _NOT_MODIFIED:
        return _NONE, length
    if codings is not None:
        return _CHUNKED, -1
    return (_LENGTH, length) if lengths else (_CLOSE, -1)

"""The path rule: what is judged is what is sent. Ambiguous spellings are refused, never repaired.

Two kinds of segments: those that the proxy interprets, which must be plain, and opaque tails, which are forwarded byte for byte.
Dot segments are refused in both, because some server behind us would resolve them after the decision.
"""

import re
from typing import NamedTuple

from proxy.errors import Malformed

# Visible ASCII without `#`; a `%` begins an escape of two hexadecimal digits (RFC 3986 section 2.1).
_ILLEGAL = re.compile(r"[^!-~]|#|%(?![0-9A-Fa-f]{2})")
# Visible ASCII without `"#%*/;<>?\^{|}`.
_PLAIN = r"[!$&-)+-.0-:=@-\[\]_-z~]"
_PLAIN_SEGMENT = re.compile(f"{_PLAIN}+")
_NAME_SEGMENT = re.compile(f"(?:{_PLAIN}|%[0-9A-Fa-f]{{2}})+")
# Escapes that a server may read as a separator, a dot segment, an end of string, a path parameter or a second escape.
_ESCAPE_REFUSED = frozenset("/\\%.;")
# Every spelling of a dot segment: raw or escaped, escaped again any number of times, ended by a path parameter (`..;x`), which hides
# it from naive readers and not from servlet containers.
_SEPARATOR = r"(?:[/\\]|%(?:25)*+(?:2[Ff]|5[Cc]))"
_DOT = r"(?:\.|%(?:25)*+2[Ee])"
_DOT_SEGMENT = re.compile(rf"(?:^|{_SEPARATOR}){_DOT}{{1,2}}(?:$|;|%(?:25)*+3[Bb]|{_SEPARATOR})")
_ABSOLUTE = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])((?::[0-9]{0,5})?)(?=[/?]|\Z)", re.IGNORECASE)
# RFC 1123 label, and the subdomain as Kubernetes checks it (apimachinery, `util/validation`): 253 characters, its labels unbounded.
DNS_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
DNS_SUBDOMAIN = r"(?![.a-z0-9-]{254})[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*"
_DNS_LABEL = re.compile(DNS_LABEL)
_DNS_SUBDOMAIN = re.compile(DNS_SUBDOMAIN)


class Parts(NamedTuple):
    """A request target taken apart: `authority` for the absolute form only, `query` without its `?` and None without one."""

    authority: str | None
    path: str
    query: str | None


def split_target(target: bytes) -> Parts:
    """Take a request target in origin or absolute form apart (RFC 9112 section 3.2); raise Malformed for what no path may hold."""
    text = _checked(target)
    authority, rest = (None, text) if text.startswith("/") else _split_absolute(text)
    path, mark, query = rest.partition("?")
    if "\\" in path:
        raise Malformed("The path holds a backslash")
    if has_dot_segment(path):
        raise Malformed("The path holds a dot segment")
    return Parts(authority, path or "/", query if mark else None)


def _checked(target: bytes) -> str:
    try:
        text = target.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("The request target holds bytes that are not ASCII") from None
    if _ILLEGAL.search(text):
        raise Malformed("The request target holds a space, a control character, a fragment or a broken escape")
    return text


def _split_absolute(text: str) -> tuple[str, str]:
    found = _ABSOLUTE.match(text)
    if found is None:
        raise Malformed("The request target is neither a path nor an http URL")
    return found.group(1) + found.group(2), text[found.end() :]


def has_dot_segment(path: str) -> bool:
    """Tell whether a segment is, or decodes to, `.` or `..`; `%2f` and `%5c` separate segments too."""
    return _DOT_SEGMENT.search(path) is not None


def plain(segment: str) -> str:
    """Return a segment that the proxy interprets and that holds no escape; raise Malformed for any other."""
    if _PLAIN_SEGMENT.fullmatch(segment) is None:
        raise Malformed("A path segment is empty or holds a character that is not allowed there")
    return segment


def object_name(segment: str) -> str:
    """Return an object's name, decoded; raise Malformed for escapes that could be read in more than one way.

    JavaScript clients escape the colon of `system:node`; custom metrics ask for the name `*`.
    """
    if segment == "*":
        return segment
    if _NAME_SEGMENT.fullmatch(segment) is None:
        raise Malformed("An object's name is empty or holds a character that is not allowed there")
    if "%" not in segment:
        return segment
    first, *escaped = segment.split("%")
    return first + "".join(_unescaped(part) for part in escaped)


def _unescaped(part: str) -> str:
    character = chr(int(part[:2], 16))
    if not "!" <= character <= "~" or character in _ESCAPE_REFUSED:
        raise Malformed("An object's name holds an escape that is not allowed there")
    return character + part[2:]


def is_dns_label(text: str) -> bool:
    """Tell whether a text can be the name of a namespace or an application."""
    return _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Tell whether a text can be the name of a cluster."""
    return _DNS_SUBDOMAIN.fullmatch(text) is not None

"""What the management API answers, read: pages of a list, events of a watch, the lines that these come in. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

Json: TypeAlias = Any

_GONE: Final = 410
# Deeper than any field that is read. The API server keeps objects that are nested ten thousand times.
_DEEPEST: Final = 100
_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


class Unreadable(Exception):
    """Not what the API's protocol allows; the text is one line."""


class Expired(Exception):
    """The version asked for is no longer there (410): all has to be listed again."""


class _Metadata(msgspec.Struct):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    continuation: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct):
    """One page of a list; `items` stay bytes, so that each is read by itself."""

    items: list[msgspec.Raw]
    metadata: _Metadata


class Event(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


def read_page(body: bytes) -> Page:
    """Read a list's page; raises Unreadable, RecursionError when it has to be pruned first."""
    try:
        page = msgspec.json.decode(body, type=Page)
    except ValueError as error:
        raise Unreadable(f"the list is no list of objects: {error}") from error
    if not page.metadata.resource_version:
        raise Unreadable("the list has no resourceVersion")
    return page


def read_event(line: bytes) -> Event:
    """Read a watch's line; raises Unreadable, Expired when it says so, RecursionError when it has to be pruned first."""
    try:
        event = msgspec.json.decode(line, type=Event)
    except ValueError as error:
        raise Unreadable(f"a line of the watch is no event: {error}") from error
    if event.type == "ERROR":
        raise_status(read_object(event.object))
    return event


def pruned(document: bytes) -> bytes:
    """Put null in place of whatever is nested too deep, so that one such object does not spoil the list it is in."""
    depth, start, kept = 0, 0, []
    for token in _STRUCTURE.finditer(document):
        sign = document[token.start()]
        if sign in b"[{":
            depth += 1
            if depth == _DEEPEST:
                kept.append(document[start : token.start()])
        elif sign in b"]}":
            if depth == _DEEPEST:
                kept.append(b"null")
                start = token.end()
            depth -= 1
    return b"".join((*kept, document[start:]))


def read_object(raw: bytes | msgspec.Raw) -> Json:
    """Read one object into plain values, None when it is no JSON."""
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None


def version_of(document: Json) -> str | None:
    """Return an object's resourceVersion."""
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    version = metadata.get("resourceVersion") if isinstance(metadata, Mapping) else None
    return version if isinstance(version, str) and version else None


def raise_status(document: Json) -> None:
    """Raise what a Status object in a watch means: Expired for 410, otherwise Unreadable with its message."""
    code, message = (document.get("code"), document.get("message")) if isinstance(document, Mapping) else (None, None)
    if code == _GONE:
        raise Expired
    raise Unreadable(f"the watch ended with an error: {code if isinstance(code, int) else '?'} {message!r:.200}")


class Lines:
    """Cuts a stream into lines of bounded length."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._rest = bytearray()

    @property
    def is_within(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are whole now, without their ends and without empty ones; raises Unreadable for one too long."""
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._append(piece)
            line = bytes(self._rest)
            self._rest.clear()
            if line.strip():
                yield line
        self._append(rest)

    def _append(self, piece: bytes) -> None:
        if len(self._rest) + len(piece) > self._most:
            raise Unreadable(f"a line of the watch is longer than {self._most} bytes")
        self._rest += piece

"""JSON documents as the API speaks them: nested dictionaries, RFC 3339 times, short digests."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]

# The alphabet of Kubernetes' generated name suffixes: no vowels, nothing that looks like something else.
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

_DURATION_STEPS: tuple[tuple[int, Callable[[int], str]], ...] = (
    (2 * 60, lambda s: f"{s}s"),
    (10 * 60, lambda s: _pair(s // 60, "m", s % 60, "s")),
    (3 * 3600, lambda s: f"{s // 60}m"),
    (8 * 3600, lambda s: _pair(s // 3600, "h", s % 3600 // 60, "m")),
    (48 * 3600, lambda s: f"{s // 3600}h"),
    (8 * 86400, lambda s: _pair(s // 86400, "d", s % 86400 // 3600, "h")),
    (2 * 365 * 86400, lambda s: f"{s // 86400}d"),
    (8 * 365 * 86400, lambda s: _pair(s // 86400 // 365, "y", s // 86400 % 365, "d")),
)


def dig(document: Any, *path: str, default: Any = None) -> Any:
    """Walk down the dictionaries; the default when a step is missing or null."""
    for step in path:
        if not isinstance(document, dict):
            return default
        document = document.get(step)
    return default if document is None else document


def timestamp(moment: datetime | None = None) -> str:
    """RFC 3339 in UTC with whole seconds, as in metadata.creationTimestamp."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Raises ValueError when the text is no RFC 3339 time."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def age(text: str | None, now: datetime | None = None) -> str:
    """The time since a timestamp as kubectl's AGE column shows it."""
    if text is None:
        return "<unknown>"
    try:
        seconds = max(0, int(((now or datetime.now(UTC)) - parse_timestamp(text)).total_seconds()))
    except (ValueError, TypeError):
        return "<invalid>"
    for limit, shape in _DURATION_STEPS:
        if seconds < limit:
            return shape(seconds)
    return f"{seconds // 86400 // 365}y"


def digest(*parts: object, length: int = 10) -> str:
    """A short text in the alphabet of generated names, always the same for the same parts."""
    number = int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest(), "big")
    characters = []
    for _ in range(length):
        number, rest = divmod(number, len(_SUFFIX_ALPHABET))
        characters.append(_SUFFIX_ALPHABET[rest])
    return "".join(characters)


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"

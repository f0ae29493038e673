"""Style sheet and script: read once, answered from memory; browsers keep them and ask whether they have changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import ETag, web

_TYPES: Final[Mapping[str, str]] = {"style.css": "text/css", "script.js": "text/javascript"}
_ANY_ETAG: Final = "*"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the package; `etag` changes with its bytes."""

    body: bytes = field(repr=False)
    content_type: str
    etag: str

    def answer(self, request: web.Request) -> web.Response:
        """Return the file, or 304 to who has it (RFC 9110 section 13.1.2)."""
        response = web.Response(body=self.body, content_type=self.content_type, charset="utf-8")
        if any(tag.value in {self.etag, _ANY_ETAG} for tag in request.if_none_match or ()):
            response = web.Response(status=304)
        response.etag = ETag(self.etag)
        response.headers["Cache-Control"] = "no-cache"
        return response


def load_assets() -> Mapping[str, Asset]:
    """Read the files of the package, by name."""
    return {name: _load(name, content_type) for name, content_type in _TYPES.items()}


def _load(name: str, content_type: str) -> Asset:
    body = (files("proxy.console") / "static" / name).read_bytes()
    return Asset(body, content_type, sha256(body).hexdigest()[:32])

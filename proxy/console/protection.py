"""What every answer of the console carries, and what a request that changes something must show.

The edge checks the origin too. Both hold alone: a page that acts in somebody's name is not to depend on one line elsewhere.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from proxy.errors import Forbidden

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "mosk-proxy",
}


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers of every answer on it; nothing is kept by a cache, unless it says otherwise itself."""
    response.headers.update(_HEADERS)
    if "X-Request-Id" in request.headers:
        response.headers["X-Request-Id"] = request.headers["X-Request-Id"]
    response.headers.setdefault("Cache-Control", "no-store")


def require_same_origin(request: web.Request, public_url: str) -> None:
    """Raise Forbidden unless a page of ours sent this request (Fetch, `Origin`; Fetch Metadata, `Sec-Fetch-Site`).

    The host addressed is the one that the edge saw: it sets `X-Forwarded-Host`, and passes no client's on.
    """
    host = request.headers.get("X-Forwarded-Host", request.host)
    own = f"{urlsplit(public_url).scheme}://{host}".lower()
    origins, sites = request.headers.getall("Origin", []), request.headers.getall("Sec-Fetch-Site", [])
    if [origin.lower() for origin in origins] != [own] or any(site != "same-origin" for site in sites):
        raise Forbidden("This form was not sent by a page of this proxy")

"""Where a sign-in may return to: a path of our own, or a configured host over https; whatever else is asked for, the portal.

Redirects are how tokens and users were stolen from comparable products (GHSA-qqxw-m5fj-f7gv, GHSA-j7px-6hwj-hpjg, GHSA-5m6c-jp6f-2vcv,
GHSA-4mf2-f3wh-gvf2, GO-2022-0783): browsers take `//`, `/\\` and white space between for the beginning of another host, and what is
encoded today is decoded by somebody tomorrow. So nothing is repaired; a target is plain in every reading, or it is not used.
"""

import re
from typing import Final
from urllib.parse import unquote, urlencode

PORTAL: Final = "/"
MOST_CHARACTERS: Final = 2048

# RFC 3986 section 3.3 and 3.4, without `;`, which some servers take for the beginning of a segment's parameters.
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_QUERY: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2}|[\[\]{}|^\"])*", re.ASCII)
_HTTPS: Final = re.compile(r"https://([a-z0-9.-]+)(?::([0-9]{1,5}))?(/.*)?", re.ASCII | re.DOTALL)
_DOT_SEGMENTS: Final = frozenset({".", ".."})


def return_target(wanted: str | None, own_origin: str, hosts: frozenset[str]) -> str:
    """Return where to send somebody who has signed in: `wanted` if it may be that, else the portal.

    A URL of `own_origin` (scheme and authority) comes back as a path.
    """
    if wanted is None or len(wanted) > MOST_CHARACTERS:
        return PORTAL
    if wanted.startswith("/"):
        return wanted if _is_local(wanted) else PORTAL
    if wanted.startswith(own_origin + "/"):
        local = wanted.removeprefix(own_origin)
        return local if _is_local(local) else PORTAL
    return wanted if _is_on_a_host(wanted, own_origin, hosts) else PORTAL


def start_path(target: str) -> str:
    """Return the path of ours at which a sign-in begins that returns to `target`."""
    return "/oauth2/start" if target == PORTAL else f"/oauth2/start?{urlencode({'rd': target})}"


def _is_local(target: str) -> bool:
    # A sign-in that returns to a sign-in goes round in a circle.
    return _is_plain(target) and not unquote(target).lower().startswith("/oauth2")


def _is_on_a_host(target: str, own_origin: str, hosts: frozenset[str]) -> bool:
    match = _HTTPS.fullmatch(target)
    if match is None or match[1] not in hosts:
        return False
    own_port = own_origin.rpartition(":")[2] if own_origin.count(":") > 1 else None
    return match[2] in {None, "443", own_port} and _is_plain(match[3] or "/")


def _is_plain(target: str) -> bool:
    """Tell whether a path with its query means the same to everybody who reads it."""
    path, _, query = target.partition("?")
    if _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None:
        return False
    once = unquote(path, errors="replace")
    return _is_unambiguous(path) and _is_unambiguous(once) and _is_unambiguous(unquote(once, errors="replace"))


def _is_unambiguous(path: str) -> bool:
    segments = path.split("/")
    return not path.startswith("//") and path.isprintable() and "\\" not in path and _DOT_SEGMENTS.isdisjoint(segments)

"""Upstreams from plain values."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from proxy.directory.upstream import Credential, NoCredential, Upstream

Scheme = Literal["http", "https"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_NAME = 253
_MAX_PORT = 65535
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}", re.ASCII)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
# What RFC 3986 section 3.3 allows in a path, without escapes: a base path is joined with judged bytes and must be beyond doubt.
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A URL's parts: `host` in lower case and without brackets, `base_path` empty or beginning with `/` and not ending with one."""

    scheme: Scheme
    host: str
    port: int
    base_path: str = ""


def is_host(text: str) -> bool:
    """Tell whether `text` is a DNS name in lower case (no trailing dot) or an IP address without brackets."""
    return is_address(text) or (len(text) <= _MAX_NAME and _NAME.fullmatch(text) is not None and not _looks_numeric(text))


def is_address(text: str) -> bool:
    """Tell whether `text` is an IP address in its shortest form, without brackets or zone."""
    try:
        return str(ipaddress.ip_address(text)) == text and "%" not in text
    except ValueError:
        return False


def parse_server_url(text: str) -> ServerUrl:
    """Split `http[s]://host[:port][/path]`; anything else raises ValueError with the remedy."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in get_args(Scheme):
        raise ValueError("must begin with https:// or http://")
    _refuse_extras(rest)
    authority, slash, path = rest.partition("/")
    host, port = _host_and_port(authority, _DEFAULT_PORTS[scheme])
    base_path = (slash + path).removesuffix("/")
    segments = base_path.split("/")
    if _BASE_PATH.fullmatch(base_path) is None or "." in segments or ".." in segments:
        raise ValueError("the path must be of plain segments: no escapes, no empty or dot segments")
    return ServerUrl("https" if scheme == "https" else "http", host, port, base_path)


def build_upstream(
    name: str,
    url: str,
    credential: Credential | None = None,
    *,
    ca_file: Path | None = None,
    ca_pem: str | None = None,
    keep_prefix: bool = False,
) -> Upstream:
    """Join a target's name, its URL and how to authenticate to it; raises ValueError for a bad URL."""
    parts = parse_server_url(url)
    return Upstream(
        name=name,
        scheme=parts.scheme,
        host=parts.host,
        port=parts.port,
        base_path=parts.base_path.encode("ascii"),
        credential=credential or NoCredential(),
        ca_file=ca_file,
        ca_pem=ca_pem,
        keep_prefix=keep_prefix,
    )


def _refuse_extras(rest: str) -> None:
    if "?" in rest or "#" in rest:
        raise ValueError("must have no query and no fragment")
    if "@" in rest.partition("/")[0]:
        raise ValueError("must have no user name or password: credentials belong into files")


def _host_and_port(authority: str, default_port: int) -> tuple[str, int]:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError("must have the form https://host[:port][/path]")
    host = match["host"].lower().removeprefix("[").removesuffix("]")
    if not is_host(host):
        raise ValueError("its host is neither a DNS name nor an IP address")
    port = int(match["port"] or default_port)
    if not 0 < port <= _MAX_PORT:
        raise ValueError("its port must be between 1 and 65535")
    return host, port


def _looks_numeric(text: str) -> bool:
    # inet_aton reads `1.2.3`, `0x7f.1` and `017700000001` as addresses: a name whose last label is a number is one in disguise.
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", text.rpartition(".")[2], re.ASCII) is not None

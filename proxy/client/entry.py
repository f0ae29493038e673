"""The entry that a user signs in to: the proxy's public URL."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from proxy.client.errors import ClientError

_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_TLS_PORT: Final = 443


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry in its one spelling: `url` has no slash at its end and no port 443; `label` is good for a file's name."""

    url: str
    label: str

    @classmethod
    def parse(cls, text: str) -> "Entry":
        """Read what a user typed; raises ClientError."""
        try:
            parts = urlsplit(text)
            host, port = parts.netloc.lower().removesuffix(f":{parts.port}"), parts.port
        except ValueError:
            raise ClientError(f"{text!r} is not a URL; give the entry's, such as https://entry.example") from None
        _check(text, parts, host)
        shown, label = (host, host) if port in {None, _TLS_PORT} else (f"{host}:{port}", f"{host}-{port}")
        return cls(f"https://{shown}", label.replace("[", "").replace("]", "").replace(":", "-"))


def _check(text: str, parts: SplitResult, host: str) -> None:
    if parts.scheme == "http":
        # client-go: `transport.TLSConfigFor` and the exec plugin are reached with TLS only.
        raise ClientError(f"{text!r} is not https, and kubectl sends no token over anything else")
    if parts.scheme != "https" or _HOST.fullmatch(host) is None:
        raise ClientError(f"{text!r} is not the URL of an entry; give one such as https://entry.example")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ClientError(f"{text!r} says more than scheme, host and port; give the entry's URL alone")

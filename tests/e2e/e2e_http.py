"""Requests as no kubectl would send them: one connection, one request, the whole answer."""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """Status, header fields with lower-case names, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    """A server on loopback whose certificate is of the test authority `ca`."""

    url: str
    ca: Path
    token: str | None = None
    certificate: tuple[Path, Path] | None = None

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, seconds: float = 30
    ) -> Answer:
        """Send one request."""
        parts = urlsplit(self.url)
        trust = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            trust.load_cert_chain(*self.certificate)
        own = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=trust, timeout=seconds)
        try:
            connection.request(method, parts.path + path, body, own | dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def make(self, path: str, document: Mapping[str, Any]) -> None:
        """Create an object; one that is there already is left as it is."""
        answer = self.ask("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"})
        assert answer.status in {200, 201, 409}, answer

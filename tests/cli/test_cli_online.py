"""`check --online` against real servers on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from proxy.__main__ import main
from proxy.demo.certificates import CertificateAuthority, ServerCertificate

KEY_SET = {"keys": [{"kty": "RSA", "kid": "a", "e": "AQAB", "n": "w" + "A" * 341}]}


class Server(ThreadingHTTPServer):
    """Answers /version and / with 401 and plays an issuer; remembers what it was asked."""

    def __init__(self, certificate: ServerCertificate | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server_address[1]}"
        if certificate is not None:
            self.socket = certificate.ssl_context().wrap_socket(self.socket, server_side=True)

    def handle_error(self, request, client_address) -> None:
        """A client that does not trust the certificate is part of the play."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append((self.path, self.headers["Authorization"]))
        documents = {
            "/.well-known/openid-configuration": {"issuer": server.url, "jwks_uri": server.url + "/keys"},
            "/keys": KEY_SET,
        }
        body = json.dumps(documents.get(self.path, {})).encode()
        self.send_response(200 if self.path in documents else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        """Quiet."""


@contextmanager
def running(certificate: ServerCertificate | None = None) -> Iterator[Server]:
    with Server(certificate) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def certificate(tmp_path) -> ServerCertificate:
    return CertificateAuthority(tmp_path).issue("tls")


def online(folder: Path, capsys, text: str) -> tuple[int, list[str], list[str]]:
    file = folder / "c.yaml"
    file.write_text(text)
    status = main(["check", "--online", "--config", str(file)])
    printed = capsys.readouterr()
    return status, printed.out.splitlines(), [line.removeprefix(f"{file}: ") for line in printed.err.splitlines()]


def test_whatever_answers_counts_as_there_and_gets_no_credential(tmp_path, capsys, certificate):
    (tmp_path / "proxy.token").write_text("own.token")
    with running(certificate) as secure, running() as plain:
        status, out, err = online(
            tmp_path,
            capsys,
            f"""
public_url: https://localhost
issuers: [{{issuer: "{secure.url}", ca_file: ca.crt}}]
management: {{url: "{secure.url}/base", ca_file: ca.crt}}
clusters:
- namespace: a
  name: b
  api: {{url: "{secure.url}", ca_file: ca.crt, credential: {{kind: impersonate, token_file: proxy.token}}}}
  stacklight: {{grafana: {{url: "{plain.url}"}}}}
""",
        )
        assert (status, err) == (0, [])
        assert out[0].endswith("c.yaml: ok")
        assert sorted(secure.asked) == [
            ("/.well-known/openid-configuration", None),
            ("/base/version", None),
            ("/keys", None),
            ("/version", None),
        ]
        assert plain.asked == [("/", None)]


def test_what_is_not_there_is_told_at_its_path(tmp_path, capsys, certificate):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"https://127.0.0.1:{unused.getsockname()[1]}"
        with running(certificate) as stranger:
            status, out, err = online(
                tmp_path,
                capsys,
                f"""
public_url: https://localhost
issuers: [{{issuer: "{closed}"}}]
management: {{url: "{stranger.url}"}}
clusters: [{{namespace: a, name: b, api: {{url: "{closed}", credential: {{kind: none}}}}}}]
""",
            )
            assert stranger.asked == []
    assert (status, out) == (1, [])
    assert [line.partition(": ")[0] for line in err] == ["issuers[0].issuer", "management.url", "clusters[0].api.url"]
    assert "Connect call failed" in err[0]
    assert "CERTIFICATE_VERIFY_FAILED" in err[1]
    assert err[2].startswith("clusters[0].api.url: cannot be reached: Cannot connect to host 127.0.0.1")

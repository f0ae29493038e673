"""kube-oidc-proxy as a peer, where MOSK_BENCH_KUBE_OIDC_PROXY names a binary: TLS only, one API server, authentication only.

It reads the issuer's keys from a discovery document, so a small issuer over HTTPS on loopback stands beside it; when it takes part, all
tokens of the run come from that issuer. It sets impersonation headers, and leaves decisions to the API server behind it.
"""

import json
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.peers import Judgement, Missing, Peer
from bench.site import Site

NAME = "kube-oidc-proxy"
VARIABLE = "MOSK_BENCH_KUBE_OIDC_PROXY"


def peer(site: Site, issuer_ca_file: Path | None) -> Peer:
    """The binary that the environment names; raises Missing."""
    binary = program()
    if not issuer_ca_file:
        raise Missing("its issuer is not running")
    ca_file = issuer_ca_file
    return Peer(
        NAME,
        "as given",
        lambda port, tls: command(binary, site, port, ca_file, tls=tls),
        judges=Judgement.TOKENS,
        rewrites=False,
    )


def program() -> Path:
    """Path of the binary; raises Missing."""
    given = os.environ.get(VARIABLE)
    if not given:
        raise Missing(f"no binary is given by {VARIABLE}")
    if not os.access(given, os.X_OK):
        raise Missing(f"{VARIABLE} names no program: {given}")
    return Path(given)


def command(binary: Path, site: Site, port: int, issuer_ca_file: Path, *, tls: bool) -> list[str]:
    """Write its kubeconfig; returns how to start it. Raises Missing without TLS."""
    if not tls:
        raise Missing("it serves TLS only")
    file = site.folder / f"{NAME}-{port}.kubeconfig"
    file.write_text(json.dumps(kubeconfig(site), indent=1))  # JSON is YAML
    return [
        str(binary),
        f"--kubeconfig={file}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={site.certificate_file}",
        f"--tls-private-key-file={site.key_file}",
        f"--oidc-issuer-url={site.issuer}",
        "--oidc-client-id=k8s",
        f"--oidc-ca-file={issuer_ca_file}",
        "--oidc-username-claim=preferred_username",
        "--oidc-groups-claim=iam_roles",
    ]


def kubeconfig(site: Site) -> dict[str, Any]:
    """How it reaches the one API server behind it: the first cluster's."""
    server = f"http://127.0.0.1:{site.port(site.clusters[0])}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "api", "cluster": {"server": server}}],
        "users": [{"name": "proxy", "user": {"token": "the-proxys-own-token"}}],
        "contexts": [{"name": "api", "context": {"cluster": "api", "user": "proxy"}}],
        "current-context": "api",
    }


class Documents(BaseHTTPRequestHandler):
    """Answers GET with the document of that path."""

    def __init__(self, documents: dict[str, bytes], *arguments: Any) -> None:
        self.documents = documents
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """A document or 404."""
        body = self.documents.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's name)
        """Say nothing."""


@contextmanager
def issuer(certificate_file: Path, key_file: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """An issuer on a free port of loopback; yields its URL and the documents it serves, which the caller fills."""
    documents: dict[str, bytes] = {}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Documents, documents)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}", documents
        finally:
            server.shutdown()
            thread.join()


def fill(documents: dict[str, bytes], url: str, key_set: str) -> None:
    """What an OpenID provider publishes, as far as it is asked here (OpenID Connect Discovery 1.0 section 4)."""
    documents["/keys"] = key_set.encode()
    documents["/.well-known/openid-configuration"] = json.dumps(
        {
            "issuer": url,
            "jwks_uri": f"{url}/keys",
            "authorization_endpoint": f"{url}/unused",
            "token_endpoint": f"{url}/unused",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    ).encode()

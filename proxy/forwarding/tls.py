"""TLS contexts: one per upstream with its own authority and client certificate, one for the public listener."""

import ssl
from pathlib import Path

from proxy.directory.upstream import Impersonate, Upstream


def upstream_context(upstream: Upstream) -> ssl.SSLContext | None:
    """Return the context to dial `upstream` with, None for plain HTTP; raises OSError (ssl.SSLError included)."""
    if upstream.scheme == "http":
        return None
    context = ssl.create_default_context(cafile=upstream.ca_file, cadata=upstream.ca_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    credential = upstream.credential
    if isinstance(credential, Impersonate) and credential.client_certificate_file is not None:
        context.load_cert_chain(credential.client_certificate_file, credential.client_key_file)
    return context


def server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return the public listener's context; raises OSError (ssl.SSLError for a pair that does not match included)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # HTTP/1.1 only: see docs/data-plane.md for why HTTP/2 ends in front of us if it is wanted.
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate_file, key_file)
    return context

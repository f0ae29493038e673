"""TLS contexts: one per upstream with its own authority and client certificate, one for the public listener."""

import asyncio
import ssl
from pathlib import Path
from weakref import WeakValueDictionary

from proxy.directory.upstream import Impersonate, Upstream


def upstream_context(upstream: Upstream) -> ssl.SSLContext | None:
    """Return the context to dial `upstream` with, None for plain HTTP; raises OSError (ssl.SSLError included)."""
    return None if upstream.scheme == "http" else _https_context(upstream)


class SharedContexts:
    """Contexts for thousands of upstreams: made when first needed and off the event loop, one for all that trust the same.

    The system's authorities take some ten milliseconds and a megabyte each time they are read.
    """

    def __init__(self) -> None:
        self._contexts: WeakValueDictionary[object, ssl.SSLContext] = WeakValueDictionary()

    async def context(self, upstream: Upstream) -> ssl.SSLContext | None:
        """Return the context to dial `upstream` with, as `upstream_context` does."""
        if upstream.scheme == "http":
            return None
        credential = upstream.credential
        key = (upstream.ca_file, upstream.ca_pem, credential if isinstance(credential, Impersonate) else None)
        found = self._contexts.get(key)
        if found is None:
            found = self._contexts[key] = await asyncio.to_thread(_https_context, upstream)
        return found


def server_context(certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """Return the public listener's context; raises OSError (ssl.SSLError for a pair that does not match included)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _restrict(context)
    context.load_cert_chain(certificate_file, key_file)
    return context


def _https_context(upstream: Upstream) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=upstream.ca_file, cadata=upstream.ca_pem)
    _restrict(context)
    credential = upstream.credential
    if isinstance(credential, Impersonate) and credential.client_certificate_file is not None:
        context.load_cert_chain(credential.client_certificate_file, credential.client_key_file)
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # HTTP/1.1 only: see docs/data-plane.md for why HTTP/2 ends in front of us if it is wanted.
    context.set_alpn_protocols(["http/1.1"])
    # TLS 1.2 alone has it and nobody needs it; a peer that begins one would make our writes wait for its answers.
    context.options |= ssl.OP_NO_RENEGOTIATION

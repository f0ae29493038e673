"""Builds what an upstream is sent: headers from empty, the client's harmless fields, then ours and the credential.

`outbound_headers` depends on the header block, the identity, the upstream and the decision alone, so that its result is kept for the
next requests; `request_bytes` adds the request line, the client's address and the ids of one request.
"""

import re
from typing import Final, assert_never

from msgspec import Struct

from proxy.directory.upstream import IdentityHeaders, Impersonate, NoCredential, PassToken, StaticToken, Upstream
from proxy.errors import Unauthenticated
from proxy.identity.credentials import without_bearer_protocol
from proxy.identity.principal import Identity
from proxy.routing.request_head import Field, HeaderBlock
from proxy.wire.managed import is_managed, left_over

SESSION_COOKIE: Final = b"__Host-mosk"
_TRACEPARENT: Final = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NOT_VISIBLE: Final = re.compile(rb"[^\x21-\x24\x26-\x7e]")


class Client(Struct, frozen=True):
    """Where a request came from: the address as audit lines have it, and the header lines that tell upstreams."""

    address: str
    lines: bytes

    @classmethod
    def at(cls, address: str, scheme: str) -> "Client":
        """Make the value for an address and the scheme that the client used."""
        return cls(address, f"X-Forwarded-For: {address}\r\nX-Forwarded-Proto: {scheme}\r\n".encode())


class OutboundHeaders(Struct, frozen=True):
    """All header lines but the client's address and the ids; the trace id that the client brought, if it brought a valid one."""

    lines: bytes
    trace_id: bytes | None

    def __repr__(self) -> str:
        return f"OutboundHeaders({len(self.lines)} bytes)"


class Grant(Struct, frozen=True):
    """What a decision lets an upstream know: the groups to impersonate and the role that granted."""

    groups: tuple[str, ...]
    granted_by: str


def outbound_headers(
    block: HeaderBlock,
    upstream: Upstream,
    secret: bytes | None,
    identity: Identity,
    grant: Grant,
    *,
    upgrade: bytes | None,
    credential_names: frozenset[bytes],
) -> OutboundHeaders:
    """Build the header lines for one upstream.

    `secret` is the proxy's own token for it; `upgrade` the protocol that may be switched to; `credential_names` every lower-case
    name that a configured credential sets, on whatever upstream. Raises Unauthenticated when the user's token is to be passed on
    and is not meant for that upstream.
    """
    lines = _client_lines(block, credential_names)
    if left_over(lines):
        raise RuntimeError("a field that only the proxy may set was left in an outbound request")
    ours = [
        (b"Host", _authority(upstream)),
        (b"X-Forwarded-Host", block.host),
        *_framing(block, upgrade),
        *credential_fields(upstream, secret, identity, grant),
    ]
    return OutboundHeaders(_join(ours) + lines, _trace_id(block))


def request_bytes(
    method: str, path: bytes, query: bytes | None, headers: OutboundHeaders, client: Client, request_id: bytes, span_id: bytes
) -> bytes:
    """Serialise one request head; `request_id` is 32 hexadecimal digits, `span_id` 16 (W3C Trace Context)."""
    return b"".join(
        (
            method.encode(),
            b" ",
            path,
            b"" if query is None else b"?" + query,
            b" HTTP/1.1\r\n",
            headers.lines,
            client.lines,
            b"X-Request-Id: ",
            request_id,
            b"\r\ntraceparent: 00-",
            headers.trace_id or request_id,
            b"-",
            span_id,
            b"-01\r\n\r\n",
        )
    )


def credential_fields(upstream: Upstream, secret: bytes | None, identity: Identity, grant: Grant) -> list[Field]:
    """Return the fields that authenticate us, or name the user, to an upstream; raises Unauthenticated (see above)."""
    credential = upstream.credential
    match credential:
        case PassToken(audience):
            if audience not in identity.audiences:
                raise Unauthenticated(
                    f"token not for this service: sign in with the client {audience}", detail=f"aud lacks {audience}"
                )
            return [(b"Authorization", b"Bearer " + identity.token)]
        case Impersonate():
            return [*_own_token(secret), *_impersonation(credential, identity, grant)]
        case StaticToken():
            return _own_token(secret)
        case IdentityHeaders():
            return _identity_headers(credential, identity)
        case NoCredential():
            return []
        case _:
            assert_never(credential)


def header_value(text: str) -> bytes:
    """Percent-encode a name for a header field: what is not visible ASCII, and `%` itself."""
    if text.isascii() and text.isprintable() and " " not in text and "%" not in text:
        return text.encode()
    return _NOT_VISIBLE.sub(lambda match: b"%%%02X" % match.group()[0], text.encode("utf-8", "surrogatepass"))


def credential_header_names(credential: object) -> frozenset[bytes]:
    """Lower-case names that a credential sets, for removal from every client's request."""
    if not isinstance(credential, IdentityHeaders):
        return frozenset()
    names = (credential.user_header, credential.role_header, credential.name_header, credential.email_header)
    return frozenset(name.lower().encode() for name in names if name is not None)


def _client_lines(block: HeaderBlock, credential_names: frozenset[bytes]) -> bytes:
    lines = []
    for name, value in block.fields:
        lower = name.lower()
        if lower in block.connection_options or lower in credential_names or is_managed(lower):
            continue
        kept: bytes | None = value
        if lower == b"cookie":
            kept = _foreign_cookies(value)
        elif lower == b"sec-websocket-protocol":
            kept = without_bearer_protocol(value)
        if kept is not None:
            lines.append((name, kept))
    return _join(lines)


def _foreign_cookies(value: bytes) -> bytes | None:
    """Drop the proxy's own cookies from a Cookie field, None when nothing is left."""
    kept = [pair for pair in value.split(b";") if not pair.strip().lower().startswith(SESSION_COOKIE.lower())]
    return b";".join(kept).strip() or None


def _authority(upstream: Upstream) -> bytes:
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    default = 443 if upstream.scheme == "https" else 80
    return (host if upstream.port == default else f"{host}:{upstream.port}").encode()


def _framing(block: HeaderBlock, upgrade: bytes | None) -> list[Field]:
    if upgrade is not None:
        spelling = b"SPDY/3.1" if upgrade == b"spdy/3.1" else upgrade
        return [(b"Connection", b"Upgrade"), (b"Upgrade", spelling), *_content_length(block)]
    return [(b"Transfer-Encoding", b"chunked")] if block.is_chunked else _content_length(block)


def _content_length(block: HeaderBlock) -> list[Field]:
    return [] if block.content_length is None else [(b"Content-Length", b"%d" % block.content_length)]


def _own_token(secret: bytes | None) -> list[Field]:
    return [] if secret is None else [(b"Authorization", b"Bearer " + secret)]


def _impersonation(credential: Impersonate, identity: Identity, grant: Grant) -> list[Field]:
    groups = identity.groups if credential.groups == "all" else grant.groups
    return [
        (b"Impersonate-User", header_value(identity.username)),
        *((b"Impersonate-Group", header_value(group)) for group in groups),
        (b"Impersonate-Uid", header_value(identity.subject)),
        (b"Impersonate-Extra-Mosk-Issuer", header_value(identity.issuer)),
        (b"Impersonate-Extra-Mosk-Granted-By", header_value(grant.granted_by)),
    ]


def _identity_headers(credential: IdentityHeaders, identity: Identity) -> list[Field]:
    values = (
        (credential.user_header, identity.username),
        (credential.role_header, credential.role),
        (credential.name_header, identity.full_name),
        (credential.email_header, identity.email),
    )
    return [(name.encode(), header_value(value)) for name, value in values if name is not None and value is not None]


def _trace_id(block: HeaderBlock) -> bytes | None:
    found = [value for name, value in block.fields if name.lower() == b"traceparent"]
    match = _TRACEPARENT.fullmatch(found[0]) if len(found) == 1 else None
    return None if match is None else match.group(1)


def _join(fields: list[Field]) -> bytes:
    return b"".join([part for name, value in fields for part in (name, b": ", value, b"\r\n")])

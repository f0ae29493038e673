"""Where a bearer token may stand in a request: the `Authorization` field, or the sub-protocol of a browser's WebSocket."""

from collections.abc import Sequence

from proxy.errors import Unauthenticated
from proxy.identity.tokens import decode_base64url

# Kubernetes, apiserver `pkg/authentication/request/websocket/protocol.go`: a browser cannot set Authorization on a WebSocket.
BEARER_PROTOCOL = b"base64url.bearer.authorization.k8s.io."

# RFC 9110 section 11.2, token68 without its trailing `=`.
_TOKEN68 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_WHITE_SPACE = b" \t"


def bearer(authorization: Sequence[bytes], websocket_protocols: Sequence[bytes] = ()) -> bytes | None:
    """Return the one bearer token of a request, None without any credential.

    Takes the values of all `Authorization` lines, and of all `Sec-WebSocket-Protocol` lines of a WebSocket opening (of no other
    request). Raises Unauthenticated for anything but exactly one well-formed token.
    """
    from_protocol = _protocol_token(websocket_protocols)
    if not authorization:
        return from_protocol
    if len(authorization) > 1 or from_protocol is not None:
        raise Unauthenticated("more than one credential")
    return _authorization_token(authorization[0])


def without_bearer_protocol(line: bytes) -> bytes | None:
    """Return a `Sec-WebSocket-Protocol` line without the token, None when nothing is left.

    The other protocols keep their order and their bytes.
    """
    elements = line.split(b",")
    kept = [element for element in elements if not _is_bearer(element)]
    return line if len(kept) == len(elements) else b",".join(kept).strip(_WHITE_SPACE) or None


def _is_bearer(element: bytes) -> bool:
    # Any case: a token in a misspelt entry must not travel on to an upstream either.
    return element.strip(_WHITE_SPACE)[: len(BEARER_PROTOCOL)].lower() == BEARER_PROTOCOL


def _authorization_token(value: bytes) -> bytes:
    scheme, _, rest = value.strip(_WHITE_SPACE).partition(b" ")
    if scheme.lower() != b"bearer":
        # RFC 6750 section 3.1: no error code for a client that used another method.
        raise Unauthenticated("only bearer tokens are accepted", error="")
    return _token68(rest.lstrip(b" "))


def _protocol_token(lines: Sequence[bytes]) -> bytes | None:
    protocols = [element.strip(_WHITE_SPACE) for line in lines for element in line.split(b",")]
    tokens = [protocol for protocol in protocols if _is_bearer(protocol)]
    if not tokens:
        return None
    if len(tokens) > 1:
        raise Unauthenticated("more than one credential")
    if not any(protocol for protocol in protocols if protocol is not tokens[0]):
        # The answer must echo a protocol, and it must not be the one with the token.
        raise Unauthenticated("bearer token needs another sub-protocol beside it")
    try:
        return _token68(decode_base64url(tokens[0][len(BEARER_PROTOCOL) :]))
    except ValueError:
        raise Unauthenticated("malformed bearer token") from None


def _token68(token: bytes) -> bytes:
    significant = token.rstrip(b"=")
    if not significant or significant.translate(None, _TOKEN68):
        raise Unauthenticated("malformed bearer token")
    return token

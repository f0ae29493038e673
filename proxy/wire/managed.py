"""Which request header fields only the proxy may set (the contract's section 5), and a second, independent look for them.

The first look drops fields by name while upstream headers are built from empty; the second reads the bytes that resulted, in case
the first has a hole. Names reach us as letters, digits and dashes only, so no alias by `_` or `.` is left.
"""

import re
from typing import Final

HOP_BY_HOP: Final = frozenset(
    # RFC 9110 section 7.6.1, and what RFC 2068 and practice add
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
_EXACT: Final = HOP_BY_HOP | {
    b"authorization",
    b"host",
    b"content-length",
    b"expect",
    b"forwarded",
    b"x-real-ip",
    b"x-rewrite-url",
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
    b"true-client-ip",
    b"x-request-id",
    b"traceparent",
    b"tracestate",
}
_PREFIXES: Final = (
    b"impersonate",
    b"x-remote-",
    b"x-webauth-",
    b"x-auth-request-",
    b"x-forwarded-",
    b"x-original-",
    b"x-client-",
    b"ssl-client-",
    b"remote-",
)
_LEFT_OVER: Final = re.compile(
    rb"(?im)^(?:authorization|host|content-length|transfer-encoding|connection|upgrade|te|expect|forwarded|x-real-ip|x-rewrite-url"
    rb"|x-http-method-override|x-http-method|x-method-override|true-client-ip|x-request-id|traceparent|tracestate"
    rb"|proxy-authorization|proxy-authenticate|proxy-connection|keep-alive|trailer|http2-settings"
    rb"|impersonate[^:]*|x-remote-[^:]*|x-webauth-[^:]*|x-auth-request-[^:]*|x-forwarded-[^:]*|x-original-[^:]*|x-client-[^:]*"
    rb"|ssl-client-[^:]*|remote-[^:]*)[ \t]*:"
)


def is_managed(lower_name: bytes) -> bool:
    """Whether a client's field of this lower-case name is dropped on every route."""
    return lower_name in _EXACT or lower_name.startswith(_PREFIXES)


def left_over(client_lines: bytes) -> bool:
    """Whether lines that came from a client, as they would be sent, hold a field that only the proxy may set."""
    return _LEFT_OVER.search(client_lines) is not None

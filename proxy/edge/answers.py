"""Answers of the proxy's own: a Kubernetes Status to API clients, a page to browsers, always with the request's id.

The one place where a RequestError becomes bytes. Text that came from a client is escaped, and the pages load nothing.
"""

import html
import re
from http import HTTPStatus
from typing import Final

import msgspec

from proxy.errors import Forbidden, RequestError, TooManyRequests, Unauthenticated, Unavailable
from proxy.routing.request_head import raw_path

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_OWN_HEADERS: Final = (
    b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: same-origin\r\n"
    b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n"
)
HSTS: Final = b"Strict-Transport-Security: max-age=31536000\r\n"
# RFC 6750 section 3; a line break would begin a field.
_NOT_IN_A_DESCRIPTION: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_API_PREFIXES: Final = (b"/kaas", b"/k8s")


def is_api_target(target: bytes) -> bool:
    """Whether a raw request target lies under a prefix whose answers are always Status objects."""
    path = raw_path(target)
    return any(path == prefix or path.startswith(prefix + b"/") for prefix in _API_PREFIXES)


def error_answer(
    error: RequestError,
    request_id: str,
    *,
    as_page: bool,
    keep_alive: bool,
    is_tls: bool,
    with_body: bool,
    with_warning: bool = False,
) -> bytes:
    """Serialise the answer to a request that failed; `with_body` is false for HEAD, whose length is announced all the same.

    `with_warning` repeats the message where kubectl shows it whatever was asked for: it does not read the Status object when its
    discovery fails, and prints "unknown" instead (client-go, `rest.Result.Raw`).
    """
    text = _error_page(error, request_id) if as_page else _status_object(error, request_id)
    content_type = "text/html; charset=utf-8" if as_page else "application/json"
    extra = _challenge(error) + _retry_after(error) + (_warning(error) if with_warning else b"")
    return answer(error.status, content_type, text, request_id, extra, keep_alive=keep_alive, is_tls=is_tls, with_body=with_body)


def answer(
    status: int, content_type: str, text: bytes, request_id: str, extra: bytes, *, keep_alive: bool, is_tls: bool, with_body: bool
) -> bytes:
    """Serialise one whole answer of our own."""
    head = (
        f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {len(text)}\r\n"
        f"X-Request-Id: {request_id}\r\n"
    )
    connection = b"" if keep_alive else b"Connection: close\r\n"
    security = _OWN_HEADERS + HSTS if is_tls else _OWN_HEADERS
    return b"".join((head.encode(), extra, security, connection, b"\r\n", text if with_body else b""))


def redirect_answer(
    location: bytes, request_id: str, *, keep_alive: bool, is_tls: bool, status: int = HTTPStatus.PERMANENT_REDIRECT
) -> bytes:
    """Serialise a redirect within our own origin; the usual one is permanent and keeps the method (RFC 9110 section 15.4.9)."""
    extra = b"Location: " + location + b"\r\n"
    return answer(status, "text/plain", b"", request_id, extra, keep_alive=keep_alive, is_tls=is_tls, with_body=True)


def front_page(request_id: str, *, keep_alive: bool, is_tls: bool, with_body: bool) -> bytes:
    """Serialise the page at `/`: what this is, and how to use it."""
    body = (
        "<p>This is the one door to a MOSK installation. Send your OpenID Connect token as a bearer token:</p>"
        "<ul><li><code>/kaas/</code>: the management API</li>"
        "<li><code>/k8s/&lt;namespace&gt;/&lt;cluster&gt;/</code>: a child cluster's Kubernetes API</li>"
        "<li><code>/sl/&lt;namespace&gt;/&lt;cluster&gt;/&lt;application&gt;/</code>: StackLight</li></ul>"
        "<p>Each of them works as <code>server:</code> in a kubeconfig.</p>"
    )
    text = _PAGE.format(title="mosk-proxy", body=body).encode()
    return answer(
        200, "text/html; charset=utf-8", text, request_id, b"", keep_alive=keep_alive, is_tls=is_tls, with_body=with_body
    )


def _status_object(error: RequestError, request_id: str) -> bytes:
    """Word a failure as the Kubernetes API does (apimachinery, `metav1.Status`); kubectl prints `message`."""
    details: dict[str, object] = {"causes": [{"reason": "RequestId", "message": request_id}]}
    if isinstance(error, TooManyRequests | Unavailable):
        details["retryAfterSeconds"] = error.retry_after
    if isinstance(error, Forbidden) and error.would_grant:
        details["causes"] = [
            {"reason": "RequestId", "message": request_id},
            *({"reason": "RoleWouldGrant", "message": role} for role in error.would_grant),
        ]
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "details": details,
        "code": int(error.status),
    }
    return msgspec.json.encode(status) + b"\n"


def _error_page(error: RequestError, request_id: str) -> bytes:
    status = HTTPStatus(error.status)
    parts = [f"<p>{html.escape(error.message)}</p>"]
    if isinstance(error, Forbidden) and error.would_grant:
        roles = "".join(f"<li><code>{html.escape(role)}</code></li>" for role in error.would_grant)
        parts.append(f"<p>One of these roles would grant it:</p><ul>{roles}</ul>")
    parts.append(f"<p>Request <code>{request_id}</code></p>")
    return _PAGE.format(title=f"{status.value} {status.phrase}", body="".join(parts)).encode()


def _challenge(error: RequestError) -> bytes:
    """Say what a 401 wants (RFC 6750 section 3)."""
    if not isinstance(error, Unauthenticated):
        return b""
    challenge = 'Bearer realm="mosk-proxy"'
    if error.error:
        description = _NOT_IN_A_DESCRIPTION.sub("?", error.message.replace("\\", "").replace('"', "'"))
        challenge += f', error="{error.error}", error_description="{description}"'
    return f"WWW-Authenticate: {challenge}\r\n".encode("ascii")


def _warning(error: RequestError) -> bytes:
    """Word a message as Kubernetes words its warnings (RFC 7234 section 5.5; apimachinery, `net.NewWarningHeader`)."""
    if not error.message.isprintable():
        return b""
    text = error.message.replace("\\", "\\\\").replace('"', '\\"')
    return f'Warning: 299 - "{text}"\r\n'.encode("ascii", "replace")


def _retry_after(error: RequestError) -> bytes:
    if isinstance(error, TooManyRequests | Unavailable):
        return b"Retry-After: %d\r\n" % error.retry_after
    return b""

"""The ways a request can fail: HTTP status, Kubernetes reason and a message for the client.

Raised anywhere, rendered in one place (`edge/answers`). The message is shown to clients: it never holds a secret, never says
whether a cluster exists, and is constant for each kind of attack. What helps an operator goes to `detail`, for the log alone.
"""

from http import HTTPStatus


class RequestError(Exception):
    """A request that is answered with `status` instead of being carried further."""

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    reason: str = "InternalError"

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class Malformed(RequestError):
    """Not a request that we are willing to read (RFC 9112, or the path rules of routing)."""

    status = HTTPStatus.BAD_REQUEST
    reason = "BadRequest"


class NoRoute(RequestError):
    """A path that leads nowhere, or a permitted target that is not there."""

    status = HTTPStatus.NOT_FOUND
    reason = "NotFound"


class Misdirected(RequestError):
    """A `Host` that is none of ours (RFC 9110 section 15.5.20)."""

    status = HTTPStatus.MISDIRECTED_REQUEST
    reason = "BadRequest"


class Unauthenticated(RequestError):
    """No credential, or one that is not believed; `error` is the code of RFC 6750 section 3.1, empty without a credential."""

    status = HTTPStatus.UNAUTHORIZED
    reason = "Unauthorized"

    def __init__(self, message: str, *, error: str = "invalid_token", detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.error = error


class Forbidden(RequestError):
    """Authenticated, and not allowed on `surface`; `would_grant` are the roles that would help."""

    status = HTTPStatus.FORBIDDEN
    reason = "Forbidden"

    def __init__(self, message: str, *, would_grant: tuple[str, ...] = (), surface: str | None = None, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.would_grant = would_grant
        self.surface = surface


class RequestTimeout(RequestError):
    """The client took too long to send its request."""

    status = HTTPStatus.REQUEST_TIMEOUT
    reason = "Timeout"


class BodyTooLarge(RequestError):
    """The request's body is longer than `limits.body_bytes`."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    reason = "RequestEntityTooLarge"


class HeadersTooLarge(RequestError):
    """The request's head is longer than `limits.header_bytes`, or has more than `limits.headers` fields."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    reason = "BadRequest"


class TooManyRequests(RequestError):
    """A user's own limit; `retry_after` in seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    reason = "TooManyRequests"

    def __init__(self, message: str, *, retry_after: int = 1, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class BadGateway(RequestError):
    """The upstream refused the connection, broke before an answer, or answered what we will not pass on."""

    status = HTTPStatus.BAD_GATEWAY
    reason = "InternalError"


class Unavailable(RequestError):
    """Nobody to ask at the moment: draining, no key set yet, circuit open; `retry_after` in seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason = "ServiceUnavailable"

    def __init__(self, message: str, *, retry_after: int = 1, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class GatewayTimeout(RequestError):
    """The upstream did not answer in time."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    reason = "Timeout"

"""The ways a sign-in or a renewal can fail, and what each becomes for the person who waits."""

from http import HTTPStatus
from typing import Final

from proxy.errors import Unauthenticated, Unavailable
from proxy.sessions.record import described
from proxy.sessions.store import StoreUnavailable
from proxy.signin.outcomes import Cause, Refused

ISSUER_RETRY_SECONDS: Final = 5

# RFC 6749 sections 4.1.2.1 and 5.2, OpenID Connect Core 1.0 section 3.1.2.6. What is not here is a mistake of ours or the issuer's.
_CODES: Final[dict[str, tuple[HTTPStatus, Cause, str]]] = {
    "access_denied": (HTTPStatus.FORBIDDEN, "issuer_error", "the sign-in was declined"),
    "login_required": (HTTPStatus.BAD_REQUEST, "issuer_error", "the issuer wants you to sign in again"),
    "interaction_required": (HTTPStatus.BAD_REQUEST, "issuer_error", "the issuer wants you to sign in again"),
    "temporarily_unavailable": (HTTPStatus.SERVICE_UNAVAILABLE, "issuer_unavailable", "the issuer is busy"),
    "server_error": (HTTPStatus.SERVICE_UNAVAILABLE, "issuer_unavailable", "the issuer has a problem"),
    "invalid_grant": (HTTPStatus.BAD_REQUEST, "sign_in_used", "the sign-in was used already, or took too long"),
}


class IssuerUnavailable(Unavailable):
    """The issuer does not answer, or not with what could be an answer: 503 where nobody can wait for it."""

    def __init__(self, detail: str) -> None:
        super().__init__("the sign-in service does not answer", retry_after=ISSUER_RETRY_SECONDS, detail=detail)


class IssuerRefused(Exception):
    """The issuer answered with an error; `code` is one of OAuth's, `description` its own words."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(described(f"{code}: {description}" if description else code))
        self.code = code


class NotBelieved(Exception):
    """What came in the issuer's name is not acceptable; the text is for the log."""


def refused(failure: Exception, again: str, cookies: tuple[str, ...] = ()) -> Refused:
    """Return what to show for a failure; raises what is none of the room's."""
    match failure:
        case StoreUnavailable() | IssuerUnavailable() | Unavailable():
            return _unavailable(failure, again)
        case IssuerRefused():
            status, cause, message = _CODES.get(
                failure.code, (HTTPStatus.BAD_GATEWAY, "issuer_error", "the issuer refused the sign-in")
            )
            text = message if cause == "sign_in_used" else f"{message} ({failure})"
            return Refused(status, cause, text, again, cookies, detail=str(failure))
        case NotBelieved():
            message = "the issuer's answer does not belong to this sign-in"
            return Refused(HTTPStatus.BAD_GATEWAY, "not_accepted", message, again, cookies, detail=str(failure))
        case Unauthenticated():
            message = f"the issuer signed you in, but its token is not accepted: {failure.message}"
            return Refused(HTTPStatus.FORBIDDEN, "not_accepted", message, again, cookies, detail=failure.detail)
        case _:
            raise failure


def unknown_sign_in(again: str) -> Refused:
    """Return what to show for a callback that belongs to no sign-in of this browser."""
    message = "this sign-in was not begun in this browser, or too long ago; if it was, the browser did not keep its cookie"
    return Refused(HTTPStatus.BAD_REQUEST, "sign_in_unknown", message, again)


def used_sign_in(again: str, cookies: tuple[str, ...]) -> Refused:
    """Return what to show for a sign-in that has come back before."""
    return Refused(HTTPStatus.BAD_REQUEST, "sign_in_used", _CODES["invalid_grant"][2], again, cookies)


def _unavailable(failure: Unavailable, again: str) -> Refused:
    # No cookie is taken away: what could not be asked now can be asked again.
    cause: Cause = "store_unavailable" if isinstance(failure, StoreUnavailable) else "issuer_unavailable"
    return Refused(
        HTTPStatus.SERVICE_UNAVAILABLE, cause, failure.message, again, retry_after=failure.retry_after, detail=failure.detail
    )

"""Templates into pages. Everything is escaped unless a template says otherwise, and none does."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from proxy.console.visit import Visitor
from proxy.console.wording import application_name, machine_moment, shown_moment, span, visible
from proxy.errors import Forbidden, RequestError

_HELP: Final = {
    HTTPStatus.UNAUTHORIZED: "You are not signed in, or your session has ended.",
    HTTPStatus.FORBIDDEN: "You are signed in, but that is not open to you. Whoever administers your project can grant a role.",
    HTTPStatus.NOT_FOUND: "The address may be mistyped, or what it named is gone. The portal lists what is open to you.",
    HTTPStatus.BAD_GATEWAY: "Your request was allowed, but the server behind this proxy did not answer properly. Try again soon.",
    HTTPStatus.SERVICE_UNAVAILABLE: "This lasts a moment only. Try again; there is no need to sign in anew.",
    HTTPStatus.GATEWAY_TIMEOUT: "Your request was allowed, but the server behind this proxy took too long. Try again soon.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error page tells; `url` is what was asked for, as an address of ours."""

    status: HTTPStatus
    message: str
    would_grant: tuple[str, ...] = ()
    method: str = "GET"
    url: str = "/"
    request_id: str | None = None
    again: str | None = None

    @classmethod
    def of(cls, error: RequestError, method: str, url: str, request_id: str | None = None) -> "Failure":
        """Return what is told of a request that failed."""
        would_grant = error.would_grant if isinstance(error, Forbidden) else ()
        return cls(HTTPStatus(error.status), error.message, would_grant, method, url, request_id)

    @property
    def title(self) -> str:
        """Status and its phrase."""
        return f"{self.status.value} {self.status.phrase}"

    @property
    def help(self) -> str:
        """What to do about it, empty where the message says all."""
        return _HELP.get(self.status, "")

    @property
    def sign_in(self) -> str | None:
        """Where to sign in and come back, None where that would not help."""
        if self.again is not None:
            return self.again
        if self.status is not HTTPStatus.UNAUTHORIZED:
            return None
        return f"/oauth2/start?rd={quote(self.url if self.method == 'GET' else '/', safe='')}"

    @property
    def ask(self) -> str | None:
        """Where it is explained why, None where nobody was refused for their roles."""
        if not self.would_grant:
            return None
        return f"/console/explain?method={quote(self.method, safe='')}&url={quote(self.url, safe='')}"


class Pages:
    """Renders pages; `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        environment = Environment(
            loader=PackageLoader("proxy.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(
            visible=visible,
            application_name=application_name,
            machine_moment=machine_moment,
            shown_moment=shown_moment,
            span=span,
        )
        self._environment = environment

    def render(self, page: str, visitor: Visitor | None, /, **values: Any) -> str:
        """Return a page for a visitor."""
        template = self._environment.get_template(f"{page}.html")
        return template.render(page=page, visitor=visitor, now=self._clock(), **values)

    def failure(self, failure: Failure, visitor: Visitor | None = None) -> str:
        """Return the page that tells what went wrong and what would help."""
        return self.render("failure", visitor, failure=failure)

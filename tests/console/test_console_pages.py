"""What an error page says, by the error."""

import pytest
from console_site import HOSTILE, NOW, Page, visitor
from jinja2 import UndefinedError

from proxy.console.pages import Failure, Pages
from proxy.errors import BadGateway, Forbidden, GatewayTimeout, NoRoute, RequestError, Unauthenticated, Unavailable

PAGES = Pages(lambda: NOW)


@pytest.mark.parametrize(
    ("error", "title", "text", "links"),
    [
        (
            Unauthenticated("Sign in", error=""),
            "401 Unauthorized",
            "You are not signed in",
            ["/oauth2/start?rd=%2Fsl%2Fa%2Fb%2Fgrafana%2F"],
        ),
        (
            Forbidden("Not you", would_grant=("m:kaas@writer",)),
            "403 Forbidden",
            "m:kaas@writer",
            ["/console/explain?method=GET&url=%2Fsl%2Fa%2Fb%2Fgrafana%2F"],
        ),
        (Forbidden("Not from there"), "403 Forbidden", "Not from there", []),
        (NoRoute("Nothing"), "404 Not Found", "The address may be mistyped", []),
        (BadGateway("Broken"), "502 Bad Gateway", "did not answer properly", []),
        (Unavailable("Down"), "503 Service Unavailable", "no need to sign in anew", []),
        (GatewayTimeout("Late"), "504 Gateway Timeout", "took too long", []),
        (RequestError("Hm"), "500 Internal Server Error", "Hm", []),
    ],
)
def test_error_pages(error, title, text, links):
    found = Page(PAGES.failure(Failure.of(error, "GET", "/sl/a/b/grafana/", "4711")))
    for part in (title, error.message, text, "Request 4711"):
        assert part in found.text
    assert found.links == ["#content", "/", *links, "/"]


def test_nobody_is_sent_back_to_a_form():
    assert Failure.of(Unauthenticated("Sign in"), "POST", "/console/sessions/end").sign_in == "/oauth2/start?rd=%2F"


def test_hostile_addresses_stay_one_value():
    found = Page(
        PAGES.failure(
            Failure.of(Forbidden(HOSTILE, would_grant=(HOSTILE,)), HOSTILE, HOSTILE, HOSTILE), visitor(username=HOSTILE)
        )
    )
    assert len([tag for tag, _ in found.tags if tag == "script"]) == 1
    (ask,) = [link for link in found.links if link.startswith("/console/explain?")]
    assert ask.count("&") == 1
    assert "<" not in ask


def test_a_template_never_shows_what_it_was_not_given():
    with pytest.raises(UndefinedError):
        PAGES.render("portal", visitor())

"""The provider's few pages: plain HTML, no script, one inline style named by its hash in the content security policy."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from proxy.demo.people import PEOPLE, Person

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; background: #fff }
table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid #ccc; padding: .3rem .6rem .3rem 0; vertical-align: baseline }
button { font: inherit; min-width: 15rem; text-align: left; padding: .25rem .6rem; cursor: pointer }
code { font-size: .85rem } .note { color: #555 }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def page(title: str, body: str, *, status: int = HTTPStatus.OK, form_targets: Iterable[str] = ()) -> web.Response:
    """A page around `body`, which is HTML; `form_targets` are URLs to which the answer to a form may redirect.

    Chromium applies `form-action` to redirects after a submission too, so that the client's origin has to be named.
    """
    origins = " ".join(["'self'", *(origin for url in form_targets if (origin := _origin(url)))])
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action {origins}; frame-ancestors 'none'; base-uri 'none'"
    )
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}"
        '<p class="note">This is the demonstration&#8217;s own OpenID provider. Its users are samples; it asks for no password.</p>'
        "</body></html>"
    )
    return web.Response(status=status, text=text, content_type="text/html", headers={"Content-Security-Policy": policy})


def sign_in_page(client_id: str, redirect_uri: str) -> web.Response:
    """Whom do you want to be? Submits to the URL it was got from, with the authorization request in its query."""
    body = f"<p>Sign in to <code>{escape(client_id)}</code> as</p>{_people_form(hidden={})}"
    return page("Demonstration sign-in", body, form_targets=[redirect_uri])


def user_code_page(*, unknown: bool = False) -> web.Response:
    """Asks for the code that a device shows."""
    note = "<p><strong>No device waits with this code.</strong></p>" if unknown else ""
    body = (
        f"{note}<form><p><label>Code shown by the device "
        '<input name="user_code" autocomplete="off" required autofocus></label> <button>Continue</button></p></form>'
    )
    return page("Connect a device", body, status=HTTPStatus.NOT_FOUND if unknown else HTTPStatus.OK)


def device_page(client_id: str, user_code: str) -> web.Response:
    """Allow or deny a device."""
    body = (
        f"<p>A device that shows <code>{escape(user_code)}</code> wants to sign in to <code>{escape(client_id)}</code>. "
        f"Do this only if you started it. Allow it as</p>{_people_form(hidden={'user_code': user_code}, may_deny=True)}"
    )
    return page("Connect a device", body)


def sign_out_page() -> web.Response:
    """Asks before a sign-out that no client's token vouches for."""
    return page("Sign out", '<form method="post"><p><button name="confirm" value="yes">Sign out</button></p></form>')


def message_page(title: str, message: str, *, status: int = HTTPStatus.OK) -> web.Response:
    """One sentence."""
    return page(title, f"<p>{escape(message)}</p>", status=status)


def _people_form(hidden: dict[str, str], *, may_deny: bool = False) -> str:
    inputs = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in hidden.items())
    deny = '<p><button name="deny" value="yes">Deny</button></p>' if may_deny else ""
    return f'<form method="post">{inputs}<table>{"".join(map(_person_row, PEOPLE))}</table>{deny}</form>'


def _person_row(person: Person) -> str:
    roles = "<br>".join(f"<code>{escape(role)}</code>" for role in person.roles) or "no role"
    name = escape(person.username)
    button = f'<button name="username" value="{name}">{name}</button>'
    return f'<tr><td>{button}<td>{roles}<td class="note">{escape(person.can)}</tr>'


def _origin(url: str) -> str | None:
    """Scheme and authority of a URL that was checked before; None if they do not fit into a policy."""
    parts = urlsplit(url)
    authority = parts.netloc
    return f"{parts.scheme}://{authority}" if authority and not set(authority) & set(" ;,'\"") else None

"""What `login` does: what is known of the entry and what was said of it, one of two flows, the tokens kept, contexts written."""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

import typer
from rich.console import Console

from proxy.cli.writing_kubeconfig import Selection, write_kubeconfig
from proxy.client.authority import read_authority
from proxy.client.authorization import sign_in_with_browser
from proxy.client.browser import has_browser, open_browser
from proxy.client.device import Invitation, sign_in_with_device
from proxy.client.entry import Entry
from proxy.client.id_token import display_name
from proxy.client.issuer import Granted, discover
from proxy.client.logins import IN_FILE, Login
from proxy.client.system_keyring import usable_keyring
from proxy.client.user import User
from proxy.client.web import web

_CLIENT_ID = "kaas"  # MOSK: the client of the management API, public, in every realm
_SCOPES = ("openid", "profile")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The command line; what is None is as it was at the last sign-in."""

    url: str | None
    issuer: str | None
    client_id: str | None
    scopes: tuple[str, ...] | None
    ca_file: Path | None
    by_device: bool
    opens_browser: bool
    redirect_uri: str | None
    writes_kubeconfig: bool


def log_in(user: User, wishes: Wishes) -> int:
    """Sign in and return the exit status; raises ClientError and OSError."""
    logins = user.logins
    entry = logins.entry(wishes.url)
    login = _prepared(entry, logins.load(entry), wishes)
    granted = asyncio.run(_signed_in(login, wishes, opens_browser=wishes.opens_browser and has_browser(user.environment)))
    kept = replace(login, place=usable_keyring() or IN_FILE, tokens=granted.tokens)
    with logins.lock(entry):
        logins.save(kept)
    where = f"a file in {logins.folder}" if kept.place == IN_FILE else "the system's keyring"
    typer.echo(f"signed in to {entry.url} as {display_name(granted.claims)}; the tokens are in {where}")
    return write_kubeconfig(user, entry.url, Selection(every=True)) if wishes.writes_kubeconfig else 0


def _prepared(entry: Entry, known: Login | None, wishes: Wishes) -> Login:
    issuer = wishes.issuer or (known.issuer if known is not None else None)
    if issuer is None:
        raise typer.BadParameter(f"needed at the first sign-in to {entry.url}", param_hint="--issuer")
    scopes = known.scopes if known is not None else _SCOPES
    authority = known.authority if known is not None else None
    return Login(
        entry,
        issuer,
        wishes.client_id or (known.client_id if known is not None else _CLIENT_ID),
        scopes if wishes.scopes is None else tuple(dict.fromkeys((*_SCOPES, *wishes.scopes))),
        authority if wishes.ca_file is None else read_authority(wishes.ca_file),
        IN_FILE,
        None,
    )


async def _signed_in(login: Login, wishes: Wishes, *, opens_browser: bool) -> Granted:
    async with web(login.authority) as client:
        issuer = await discover(client, login.issuer, login.client_id)
        with contextlib.closing(_Screen(opens_browser)) as screen:
            if wishes.by_device:
                return await sign_in_with_device(issuer, login.scopes, screen.show_invitation)
            return await sign_in_with_browser(issuer, login.scopes, screen.show_address, redirect_uri=wishes.redirect_uri)


class _Screen:
    """Says what to do; then a terminal shows that the command waits. Addresses are printed before that: they must not be folded."""

    def __init__(self, opens_browser: bool) -> None:
        self._opens_browser = opens_browser
        self._waiting = Console(stderr=True).status("waiting for you to sign in (Ctrl-C gives up)")

    def show_address(self, url: str) -> None:
        if self._opens_browser:
            typer.echo(f"A browser opens for you to sign in; if it does not, open this address in one:\n\n  {url}\n")
            open_browser(url)
        else:
            typer.echo(f"Sign in with a browser on this machine (on another: --device):\n\n  {url}\n")
        self._waiting.start()

    def show_invitation(self, invitation: Invitation) -> None:
        task = "and check that it shows" if invitation.is_code_in_url else "and enter"
        typer.echo(f"On any machine, open\n\n  {invitation.url}\n\n{task} the code {invitation.user_code}\n")
        self._waiting.start()

    def close(self) -> None:
        self._waiting.stop()

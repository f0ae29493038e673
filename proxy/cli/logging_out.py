"""What `logout` does: the tokens go from here first, whatever the issuer says then."""

import asyncio
from dataclasses import replace

import typer

from proxy.client.errors import ClientError
from proxy.client.issuer import discover, revoke
from proxy.client.logins import Login, Tokens
from proxy.client.user import User
from proxy.client.web import web


def log_out(user: User, url: str | None) -> int:
    """Sign out and return the exit status; raises ClientError and OSError when the tokens are still here."""
    logins = user.logins
    entry = logins.entry(url)
    login = logins.load(entry)
    if login is None or login.tokens is None:
        typer.echo(f"not signed in to {entry.url}")
        return 0
    with logins.lock(entry):
        # Whoever held the lock before may have got other tokens.
        login = logins.load(entry) or login
        logins.save(replace(login, tokens=None))
    try:
        is_revoked = asyncio.run(_revoked(login, login.tokens))
    except ClientError as error:
        raise ClientError(
            f"the tokens are removed from here, but the session at the issuer goes on until it ends by itself: {error}"
        ) from None
    rest = "the session at the issuer is ended" if is_revoked else f"{login.issuer} offers no way to end the session from here"
    typer.echo(f"signed out of {entry.url}; {rest}")
    return 0


async def _revoked(login: Login, tokens: Tokens | None) -> bool:
    if tokens is None or tokens.refresh_token is None:
        return False
    async with web(login.authority) as client:
        return await revoke(await discover(client, login.issuer, login.client_id), tokens.refresh_token)

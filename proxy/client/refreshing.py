"""One refresh from beginning to end, for callers without an event loop."""

import asyncio

from proxy.client.errors import SessionEnded
from proxy.client.issuer import refresh
from proxy.client.logins import Login, Tokens
from proxy.client.web import web


def refreshed(login: Login) -> Tokens:
    """Return the next tokens of a sign-in; raises ClientError, SessionEnded when the issuer wants the user again."""
    return asyncio.run(_refreshed(login))


async def _refreshed(login: Login) -> Tokens:
    if login.tokens is None:
        raise SessionEnded("not signed in")
    async with web(login.authority) as client:
        return await refresh(client, login.issuer, login.client_id, login.tokens)

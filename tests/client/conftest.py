from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from client_issuer import ENTRY, Issuer, serving

from proxy.client.logins import Login, Logins, Tokens
from proxy.client.web import Web


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving(Issuer()) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[Web]:
    # Without TLS, as the issuer is: to read the authorities of the system takes longer than most tests.
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        yield Web(session, 2)


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    return Logins(tmp_path / "state")


@pytest.fixture
def make_login():
    def make(tokens: Tokens | None = None, **changes) -> Login:
        given = {
            "entry": ENTRY,
            "issuer": "http://127.0.0.1:9/realm",
            "client_id": "kaas",
            "scopes": ("openid", "profile"),
            "authority": None,
            "place": "file",
            "tokens": tokens,
        }
        return Login(**(given | changes))

    return make

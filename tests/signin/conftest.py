"""One worker's desk over one issuer, and as many more over the same sessions as a test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from scripted_issuer import CLIENT, ScriptedIssuer, serving
from signin_desk import QUICK, QUICK_KEYS, QUICK_STORE, Clock, Desk, settings_for

from proxy.demo.certificates import CertificateAuthority
from proxy.forwarding.tasks import TaskSet
from proxy.identity.claims import IssuerRules
from proxy.issuers.authenticator import Authenticator
from proxy.issuers.settings import IssuerSettings
from proxy.sessions.opening import opened
from proxy.sessions.settings import SessionSettings
from proxy.signin.room import sign_in_room


@pytest.fixture(scope="session")
def authority_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One authority instead of the system's hundred and more, which take longer to read than most tests."""
    return CertificateAuthority(tmp_path_factory.mktemp("authority")).file


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer(clock: Clock) -> AsyncIterator[ScriptedIssuer]:
    async with serving(ScriptedIssuer(clock=clock)) as found:
        yield found


MakeDesk = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def make_desk(issuer: ScriptedIssuer, clock: Clock, tmp_path: Path, authority_file: Path) -> AsyncIterator[MakeDesk]:
    """Opens a worker's desk; each further one shares the sessions of the first."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**changes: object) -> Desk:
            rules = IssuerRules(issuer.url, frozenset({"kaas"}), extra_audiences=frozenset({CLIENT}), leeway_seconds=10)
            authenticator = Authenticator([IssuerSettings(rules, ca_file=authority_file)], clock, rhythm=QUICK_KEYS)
            reading = asyncio.get_running_loop().create_task(authenticator.run())
            stack.push_async_callback(asyncio.gather, reading, return_exceptions=True)
            stack.callback(reading.cancel)
            async with asyncio.timeout(5):
                while not authenticator.states[0].ready:
                    await asyncio.sleep(0.002)
            sessions = await stack.enter_async_context(
                opened(SessionSettings(tmp_path / "sessions.db"), clock=clock, rhythm=QUICK_STORE)
            )
            tasks = TaskSet(asyncio.get_running_loop())
            stack.push_async_callback(tasks.close)
            room = sign_in_room(
                settings_for(issuer.url, ca_file=authority_file, **changes),
                sessions,
                authenticator,
                tasks,
                clock=clock,
                patience=QUICK,
            )
            stack.push_async_callback(room.close)
            return Desk(issuer, room, sessions, authenticator, clock)

        yield make


@pytest.fixture
async def desk(make_desk: MakeDesk) -> Desk:
    return await make_desk()

"""Asks every upstream and every issuer of a configuration whether it is there. Sends no credential."""

import asyncio
from collections.abc import Coroutine

import aiohttp
from rich.console import Console
from rich.progress import Progress

from proxy.directory.upstream import Upstream
from proxy.forwarding.tls import upstream_context
from proxy.issuers.discovery import KeysUnavailable, key_source
from proxy.issuers.settings import IssuerSettings
from proxy.settings import Problem, Settings
from proxy.settings.rooms import issuer_settings, upstreams

LIMIT_SECONDS = 5.0
# Thousands of clusters must not become thousands of sockets.
_AT_ONCE = 64


def ask(settings: Settings) -> list[Problem]:
    """Ask all at once, five seconds each, and return what could not be reached."""
    return asyncio.run(_ask_all(settings))


async def _ask_all(settings: Settings) -> list[Problem]:
    questions = [
        *(_ask_issuer(f"issuers[{index}]", issuer) for index, issuer in enumerate(issuer_settings(settings))),
        *(_ask_upstream(path, upstream) for path, upstream in upstreams(settings)),
    ]
    turn = asyncio.Semaphore(_AT_ONCE)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("asking", total=len(questions))

        async def answer(question: Coroutine[None, None, Problem | None]) -> Problem | None:
            async with turn:
                problem = await question
            progress.advance(bar)
            return problem

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(question), name="online check") for question in questions]
    return [problem for task in tasks if (problem := task.result()) is not None]


async def _ask_issuer(path: str, issuer: IssuerSettings) -> Problem | None:
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await key_source(issuer).read()
    except TimeoutError:
        return Problem(f"{path}.issuer", f"no answer within {LIMIT_SECONDS:.0f} s")
    except KeysUnavailable as error:
        return Problem(f"{path}.issuer", f"its keys cannot be read: {error}")
    return None


async def _ask_upstream(path: str, upstream: Upstream) -> Problem | None:
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    asked = "/" if upstream.name.startswith("sl/") else "/version"
    url = f"{upstream.scheme}://{host}:{upstream.port}{upstream.base_path.decode()}{asked}"
    try:
        connector = aiohttp.TCPConnector(ssl=upstream_context(upstream) or True)
        timeout = aiohttp.ClientTimeout(total=LIMIT_SECONDS)
        # Any answer will do: without a credential 401 and 403 are what is to be expected.
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(url, allow_redirects=False),
        ):
            return None
    except TimeoutError:
        return Problem(f"{path}.url", f"no answer within {LIMIT_SECONDS:.0f} s")
    except (aiohttp.ClientError, OSError) as error:
        return Problem(f"{path}.url", f"cannot be reached: {error}")

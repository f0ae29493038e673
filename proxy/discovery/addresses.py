"""Resolves names of discovered servers here and now, and gives out none but the addresses that may be dialled.

Whoever names a server may also own its zone: a name that was fine a second ago may lead to loopback now (DNS rebinding). So a name is
resolved for each connection, every address is judged, and what was judged is what is dialled.

A zone may also never answer, and nobody can call back a thread that asks the system's resolver: these names have threads of their own,
so that they are late for each other alone.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeAlias

from proxy.directory.allowed_hosts import AllowedHosts
from proxy.directory.build import is_address
from proxy.discovery.telling import Once
from proxy.errors import BadGateway

log = logging.getLogger("mosk_proxy.discovery")

LookUp: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]

# Any will do: a datagram socket that connects sends nothing.
_SOME_PORT: Final = 9
_MOST_NAMES: Final = 10_000
_RESOLVERS: Final = 8


class Addresses:
    """Addresses that the rules allow; `look_up` raises OSError for a name that has none."""

    def __init__(self, allowed: AllowedHosts, look_up: LookUp | None = None) -> None:
        self._allowed = allowed
        self._look_up = look_up or partial(_resolve, ThreadPoolExecutor(_RESOLVERS, "resolve"))
        self._told = Once(log, _MOST_NAMES)

    async def permitted(self, host: str) -> Sequence[str]:
        """Return what may be dialled for `host`; raises BadGateway when nothing may, OSError when it has no address."""
        found = (host,) if is_address(host) else await self._look_up(host)
        refusals = {address: self._allowed.address_refusal(host, address, is_own_address) for address in found}
        ignored = sorted(reason for reason in refusals.values() if reason is not None)
        if ignored:
            self._told.tell(host, f"ignored: {'; '.join(ignored)}")
        permitted = [address for address, reason in refusals.items() if reason is None]
        if not permitted:
            raise BadGateway("the upstream's address is not allowed", detail=f"{host}: {'; '.join(ignored)}")
        return permitted


def is_own_address(address: str) -> bool:
    """Tell whether an address is this machine's: what is sent there leaves from the very same address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((address, _SOME_PORT))
            return bool(asked.getsockname()[0] == address)
    except OSError:
        return False


async def _resolve(resolvers: ThreadPoolExecutor, host: str) -> Sequence[str]:
    asked = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(resolvers, asked)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))

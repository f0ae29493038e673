"""Reads everything again while serving: validated whole beside the old, then one reference is swapped.

What is wrong is reported, and the old keeps serving. Running streams and idle connections survive, because pools and keys that did
not change are taken over. Listening addresses, workers and the audit log's place need a restart.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import BaseModel

from proxy.app.discovering import Discovering
from proxy.app.site import SiteBuilder, edge_settings
from proxy.edge.context import Edge
from proxy.edge.limits import UserLimits
from proxy.forwarding.tls import server_context
from proxy.issuers.authenticator import Authenticator
from proxy.settings import Settings, SettingsError, load
from proxy.settings.rooms import discovery_watch

log = logging.getLogger("mosk_proxy.reload")

LOOK_SECONDS: Final = 5.0
KEYS_SECONDS: Final = 5.0
FIXED: Final = ("listen.address", "listen.port", "admin", "workers", "audit", "sign_in", "sessions")

Fingerprint: TypeAlias = dict[Path, tuple[int, int, int]]


class Reloader:
    """Reloads `edge` from `config_path`; without a path there is nothing to read again. `outcomes` counts `applied` and `refused`."""

    def __init__(
        self,
        edge: Edge,
        builder: SiteBuilder,
        discovering: Discovering,
        tls: ssl.SSLContext | None,
        settings: Settings,
        config_path: Path | None,
    ) -> None:
        self.settings = settings
        self.outcomes: Counter[str] = Counter()
        self._edge = edge
        self._builder = builder
        self._discovering = discovering
        self._tls = tls
        self._path = config_path
        self._turn = asyncio.Lock()
        self._seen = self._fingerprint()

    async def watch(self) -> None:
        """Look for changed files, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._fingerprint() != self._seen:
                await self.reload("a file has changed")

    async def reload(self, cause: str) -> None:
        """Read, validate and swap; reports in the log, raises nothing.

        One at a time: of two that overlap, the one that began with older files must not be the last to swap.
        """
        if self._path is not None:
            async with self._turn:
                await self._reload(cause, self._path)

    async def _reload(self, cause: str, path: Path) -> None:
        seen = self._seen = self._fingerprint()
        loop = asyncio.get_running_loop()
        try:
            settings = await loop.run_in_executor(None, load, path)
            prepared = self._builder.prepare(settings)
            renew_certificate(self._tls, settings)
            await _keys_are_there(prepared.tokens.authenticator)
        except SettingsError as error:
            self._refuse(cause, [problem.shown(path) for problem in error.problems])
            return
        except OSError as error:
            self._refuse(cause, [str(error)])
            return
        self._edge.site = self._builder.commit(prepared)
        self._discovering.follow(discovery_watch(settings))
        self._edge.settings = edge_settings(settings)
        self._edge.limits.change(settings.limits.requests_per_user, settings.limits.streams_per_user)
        self._warn_about_fixed(settings)
        self.settings = settings
        # As they were before they were read: a change since then is still to be seen.
        self._seen = {path: seen.get(path, state) for path, state in self._fingerprint().items()}
        self.outcomes["applied"] += 1
        log.info("reloaded: %s", cause)

    def _refuse(self, cause: str, problems: list[str]) -> None:
        self.outcomes["refused"] += 1
        for problem in problems:
            log.error("not reloaded (%s), the old configuration keeps serving: %s", cause, problem)

    def _warn_about_fixed(self, settings: Settings) -> None:
        for key in FIXED:
            if _at(settings, key) != _at(self.settings, key):
                log.warning("%s has changed: it takes effect with the next restart", key)

    def _fingerprint(self) -> Fingerprint:
        return {} if self._path is None else fingerprint(self._path, self.settings)


def fingerprint(config_path: Path, settings: Settings) -> Fingerprint:
    """Return by what a change of the configuration file, or of a file that it names, is seen."""
    return {path: _state(path) for path in {config_path, *_named_files(settings)}}


def renew_certificate(context: ssl.SSLContext | None, settings: Settings) -> None:
    """Load the pair into the context in use: new handshakes get it, connections that are open keep theirs. Raises OSError."""
    tls = settings.listen.tls
    if context is not None and tls is not None:
        server_context(tls.certificate_file, tls.key_file)
        context.load_cert_chain(tls.certificate_file, tls.key_file)


def user_limits(settings: Settings) -> UserLimits:
    """Return the limits of one user."""
    return UserLimits(settings.limits.requests_per_user, settings.limits.streams_per_user)


async def _keys_are_there(authenticator: Authenticator) -> None:
    """Wait a while for the keys of issuers that are new, so that the swap refuses nobody."""
    deadline = asyncio.get_running_loop().time() + KEYS_SECONDS
    while not all(state.ready for state in authenticator.states):
        if asyncio.get_running_loop().time() > deadline:
            log.warning("an issuer has not given its keys yet: its tokens are refused until it does")
            return
        await asyncio.sleep(0.05)


def _named_files(block: BaseModel) -> Iterator[Path]:
    """Yield every file that a configuration names, but for the audit log, which we write ourselves."""
    for name in type(block).model_fields:
        if name != "audit":
            yield from _files_in(getattr(block, name))


def _files_in(value: object) -> Iterator[Path]:
    match value:
        case Path():
            yield value
        case BaseModel():
            yield from _named_files(value)
        case tuple():
            for item in value:
                yield from _files_in(item)
        case dict():
            for item in value.values():
                yield from _files_in(item)
        case _:
            return


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _at(settings: Settings, key: str) -> object:
    value: object = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value

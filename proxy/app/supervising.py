"""Several workers behind one port: what they share is made first, then the process that forks them, then their supervisor.

Whatever can be found wrong is found before there is a worker: the configuration was read, the port is bound, the pair of certificate and
key is loaded, the audit file can be opened, the admin listener listens.
"""

import asyncio
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import uvloop

from proxy.app.reload import FIXED, fingerprint, renew_certificate
from proxy.app.running import Inherited, admin_listening, audit_file, local_url, public_tls
from proxy.app.working import work
from proxy.edge.listener import sharing_sockets
from proxy.operations.audit_file import AuditFile
from proxy.operations.supervisor import Supervisor
from proxy.operations.supervisor_fork_server import fork_server
from proxy.operations.supervisor_overview import WorkersOverview
from proxy.operations.supervisor_rules import Pace
from proxy.settings import Settings, SettingsError, load

log = logging.getLogger("mosk_proxy.supervisor")


def supervise(settings: Settings, config_path: Path, pace: Pace) -> None:
    """Serve with `settings.workers` workers until SIGTERM or SIGINT; raises OSError or RuntimeError for what prevents the start."""
    address, port = settings.listen.address, settings.listen.port
    with sharing_sockets(address, port, settings.workers) as listeners:
        tls = public_tls(settings)
        _check_audit_file(settings)
        source = WorkerSource(settings, config_path, listeners, tls, pace.beat_seconds)
        with fork_server(source) as orders, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_supervise(settings, listeners, orders, pace))


class WorkerSource:
    """What workers are made from: the configuration that was valid last, and what all of them share."""

    def __init__(
        self,
        settings: Settings,
        config_path: Path,
        listeners: Sequence[socket.socket],
        tls: ssl.SSLContext | None,
        beat_seconds: float,
    ) -> None:
        self.settings = settings
        self._path = config_path
        self._listeners = listeners
        self._tls = tls
        self._beat_seconds = beat_seconds
        self._seen = fingerprint(config_path, settings)

    def prepare(self) -> None:
        """Read again what has changed since it was read: a worker that starts sees no later change in it."""
        if fingerprint(self._path, self.settings) != self._seen:
            self.refresh()

    def refresh(self) -> None:
        """Read everything again; what is not valid is left for the workers to report."""
        seen = self._seen = fingerprint(self._path, self.settings)
        try:
            settings = _with_fixed(load(self._path), self.settings)
            renew_certificate(self._tls, settings)
        except (OSError, SettingsError):
            log.warning("the configuration is not valid now: a worker that starts gets the last one that was")
            return
        self.settings = settings
        self._seen = {path: seen.get(path, state) for path, state in fingerprint(self._path, settings).items()}

    def run(self, slot: int, channel: socket.socket) -> int:
        """Be the worker of a slot."""
        _name_in_log(slot)
        for number, listener in enumerate(self._listeners, 1):
            if number != slot:
                listener.close()
        inherited = Inherited(self._listeners[slot - 1], self._tls)
        return work(self.settings, self._path, inherited, channel, self._beat_seconds)


async def _supervise(settings: Settings, listeners: Sequence[socket.socket], orders: socket.socket, pace: Pace) -> None:
    url = local_url(listeners[0], settings)

    def tell_started() -> None:
        log.info(
            "serving on %s as %s with %d workers; probes and metrics on %s", url, settings.public_url, settings.workers, admin_url
        )

    supervisor = Supervisor(listeners, orders, tell_started, pace)
    async with admin_listening(WorkersOverview(supervisor, pace.answer_seconds), settings) as admin_url:
        _obey_signals(supervisor)
        await supervisor.run()
    log.info("stopped")


def _obey_signals(supervisor: Supervisor) -> None:
    """SIGTERM and SIGINT drain, a second one ends the drain, SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, supervisor.stop)
    loop.add_signal_handler(signal.SIGINT, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)


def _check_audit_file(settings: Settings) -> None:
    path = audit_file(settings)
    if path is not None:
        with closing(AuditFile(path if isinstance(path, Path) else None)) as file:
            file.open()


def _with_fixed(settings: Settings, before: Settings) -> Settings:
    """Return `settings` with what takes effect only when the supervisor starts again."""
    blocks = {key.partition(".")[0] for key in FIXED} - {"listen"}
    tls = settings.listen.tls if before.listen.tls is not None and settings.listen.tls is not None else before.listen.tls
    listen = before.listen.model_copy(update={"tls": tls})
    return settings.model_copy(update={"listen": listen, **{block: getattr(before, block) for block in blocks}})


def _name_in_log(slot: int) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s %(levelname)s worker {slot} %(name)s: %(message)s", force=True
    )

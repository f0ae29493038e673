"""The life of the serving process: start, reload, drain, end."""

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop
from aiohttp import http_parser

from proxy.app.ending import drain, in_one_line
from proxy.app.garbage import collect_seldom
from proxy.app.running import RunningProxy, running
from proxy.app.supervising import supervise
from proxy.operations.supervisor_rules import USUAL_PACE, Pace
from proxy.settings import Settings, SettingsError

log = logging.getLogger("mosk_proxy")

_FAILED: Final = 1


def serve(settings: Settings, config_path: Path, pace: Pace = USUAL_PACE) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. What prevents the start is told in one line.

    `pace` is how the supervisor of several workers keeps time.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        _require_compiled_parser()
        if settings.workers > 1:
            supervise(settings, config_path, pace)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(settings, config_path))
    except (OSError, RuntimeError, SettingsError) as error:
        print(f"mosk-proxy: {in_one_line(error)}", file=sys.stderr)  # noqa: T201 (what a command line is for)
        return _FAILED
    return 0


def _require_compiled_parser() -> None:
    """Refuse aiohttp's parser in pure Python, which was open to request smuggling more than once (CVE-2025-53643)."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp runs without its compiled parser: reinstall it from a wheel")


async def _serve(settings: Settings, config_path: Path) -> None:
    async with running(settings, config_path) as proxy:
        stop = _obey_signals(proxy)
        collect_seldom()
        log.info("serving on %s as %s; probes and metrics on %s", proxy.url, settings.public_url, proxy.admin_url)
        await stop.wait()
        await drain(proxy)
    log.info("stopped")


def _obey_signals(proxy: RunningProxy) -> asyncio.Event:
    """Return what SIGTERM and SIGINT set; a second one ends the drain that follows, SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_stop() -> None:
        if stop.is_set():
            proxy.edge.hurry()
        stop.set()

    def on_reload() -> None:
        proxy.audit.reopen()
        proxy.edge.tasks.start(proxy.reloader.reload("SIGHUP"), "reload")

    loop.add_signal_handler(signal.SIGTERM, on_stop)
    loop.add_signal_handler(signal.SIGINT, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_reload)
    return stop

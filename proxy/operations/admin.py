"""The admin listener: probes and metrics, apart from the public one. Nobody is asked who they are; nothing here is a secret."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from proxy.operations.overview import Overview
from proxy.operations.probes import Finding, worded

SHUTDOWN_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 75.0
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class AdminListener:
    """`/livez`, `/readyz` and `/metrics` for GET and HEAD; 404 for anything else."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    @asynccontextmanager
    async def running(self, address: str, port: int) -> AsyncIterator[int]:
        """Listen on `address` and `port` (0: any) and yield the port bound; raises OSError when that cannot be had."""
        # A thread of its own: the loop's threads may all be waiting for a name server when the metrics are needed most.
        with ThreadPoolExecutor(1, "metrics") as executor:
            runner = web.AppRunner(
                self._application(executor),
                access_log=None,
                logger=_logger(),
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                shutdown_timeout=SHUTDOWN_SECONDS,
            )
            await runner.setup()
            try:
                site = web.TCPSite(runner, address, port)
                await site.start()
                yield site.port
            finally:
                await runner.cleanup()

    def _application(self, executor: Executor) -> web.Application:
        application = web.Application()
        application.router.add_get("/livez", partial(_probe, "livez", self._overview.live))
        application.router.add_get("/readyz", partial(_probe, "readyz", self._overview.ready))
        application.router.add_get("/metrics", partial(_metrics, self._overview, executor))
        application.on_response_prepare.append(_dress)
        return application


async def _probe(endpoint: str, ask: Callable[[], Awaitable[list[Finding]]], request: web.Request) -> web.Response:
    told = worded(endpoint, await ask(), verbose="verbose" in request.query)
    return web.Response(status=told.status, text=told.text)


async def _metrics(overview: Overview, executor: Executor, _request: web.Request) -> web.Response:
    return web.Response(body=await overview.metrics(executor), headers={"Content-Type": _METRICS_TYPE})


async def _dress(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "mosk-proxy"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _logger() -> logging.Logger:
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_not_a_broken_request)
    return logger


def _is_not_a_broken_request(record: logging.LogRecord) -> bool:
    # aiohttp writes a traceback for each request that it cannot read.
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)

"""Makes the objects of a proxy and runs them inside the current event loop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from proxy import __version__
from proxy.app.console_server import serving_console
from proxy.app.discovering import Discovering
from proxy.app.reload import Reloader, user_limits
from proxy.app.signing_in import SigningIn, signing_in
from proxy.app.site import SiteBuilder, edge_settings
from proxy.discovery.watch import Records
from proxy.edge.context import Edge
from proxy.edge.counters import DURATION_BOUNDS
from proxy.edge.listener import bound_socket, listening
from proxy.forwarding.tasks import TaskSet
from proxy.forwarding.tls import server_context
from proxy.issuers.authenticator import Authenticator
from proxy.operations.admin import AdminListener
from proxy.operations.audit import AuditSink
from proxy.operations.metrics import Metrics, Sources
from proxy.operations.overview import Overview, ProcessOverview
from proxy.operations.probes import Check, descriptors
from proxy.settings import Settings
from proxy.settings.rooms import discovery_watch


@dataclass(frozen=True, slots=True)
class RunningProxy:
    """A proxy that serves: the URLs of its listeners and the parts that its life cycle needs. A worker has no admin listener of its own."""

    url: str
    admin_url: str
    edge: Edge
    audit: AuditSink
    reloader: Reloader
    overview: ProcessOverview
    signing_in: SigningIn | None


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a worker does not make itself: its socket, and the TLS context that all workers have in common.

    Nor does it have an admin listener: its supervisor asks it.
    """

    listener: socket.socket
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class _KeySetFigures:
    issuer: str
    ready: bool
    age_seconds: float | None
    fetches: Mapping[str, int]


@asynccontextmanager
async def running(
    settings: Settings, config_path: Path | None = None, inherited: Inherited | None = None
) -> AsyncIterator[RunningProxy]:
    """Run a proxy until the context is left; raises OSError when a file or a listener cannot be had."""
    async with AsyncExitStack() as stack:
        tasks = TaskSet(asyncio.get_running_loop())
        stack.push_async_callback(tasks.close)
        audit = await stack.enter_async_context(_audit_sink(settings))
        builder = SiteBuilder(tasks)
        stack.callback(builder.close)
        tls = public_tls(settings) if inherited is None else inherited.tls
        edge = Edge(
            builder.build(settings),
            edge_settings(settings),
            user_limits(settings),
            audit.put if audit.enabled else None,
            (lambda: audit.accepting) if settings.audit.when_full == "refuse" else None,
        )
        stack.push_async_callback(edge.tasks.close)
        discovering = Discovering(tasks, partial(_swap_in, edge, builder))
        reloader = Reloader(edge, builder, discovering, tls, settings, config_path)
        overview = ProcessOverview(
            _live_checks(), _ready_checks(edge, audit, discovering), Metrics(_sources(edge, audit, reloader, discovering))
        )
        signed_in = await stack.enter_async_context(signing_in(edge, settings))
        await stack.enter_async_context(serving_console(edge, lambda: reloader.settings, tasks, signed_in))
        # Entered before the public listener, so that probes answer until the last connection is gone.
        admin_url = await stack.enter_async_context(admin_listening(overview, settings)) if inherited is None else ""
        listener = bound_socket(settings.listen.address, settings.listen.port) if inherited is None else inherited.listener
        url = local_url(listener, settings)
        await stack.enter_async_context(listening(edge, listener, tls))
        stack.callback(edge.close)
        discovering.follow(discovery_watch(settings))
        tasks.start(edge.sweep(), "sweep")
        tasks.start(reloader.watch(), "watch files")
        yield RunningProxy(url, admin_url, edge, audit, reloader, overview, signed_in)


@asynccontextmanager
async def admin_listening(overview: Overview, settings: Settings) -> AsyncIterator[str]:
    """Serve probes and metrics; yields the URL."""
    address = settings.admin.address
    async with AdminListener(overview).running(address, settings.admin.port) as port:
        yield _url("http", address, port)


def local_url(listener: socket.socket, settings: Settings) -> str:
    """Return the URL under which the public listener is reached from this machine."""
    scheme = "http" if settings.listen.tls is None else "https"
    return _url(scheme, settings.listen.address, listener.getsockname()[1])


def public_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return the public listener's TLS context, None for plain HTTP; raises OSError."""
    tls = settings.listen.tls
    return None if tls is None else server_context(tls.certificate_file, tls.key_file)


def audit_file(settings: Settings) -> Path | Literal["-"] | None:
    """Return where audit lines go."""
    path = settings.audit.path
    return None if path is None else "-" if path == "-" else Path(path)


def _swap_in(edge: Edge, builder: SiteBuilder, records: Records) -> None:
    site = builder.discover(records)
    if site is not None:
        edge.site = site


def _audit_sink(settings: Settings) -> AuditSink:
    return AuditSink(
        audit_file(settings),
        when_full=settings.audit.when_full,
        shared=settings.workers > 1,
        # A start and an end for each request under way: a connection carries one at a time.
        reserve_lines=2 * settings.limits.connections,
    )


def _live_checks() -> list[Check]:
    return [Check("ping", lambda: None)]


def _ready_checks(edge: Edge, audit: AuditSink, discovering: Discovering) -> list[Check]:
    return [
        Check("issuers", lambda: _issuers(edge.site.authenticator)),
        Check("discovery", discovering.check, discovering.note),
        Check("draining", lambda: "shutting down" if edge.is_leaving else None),
        Check("audit", audit.check),
        Check("descriptors", descriptors),
    ]


def _issuers(authenticator: Authenticator) -> str | None:
    """Ready once each issuer's keys were read; an issuer that is down later does not matter to tokens with known keys."""
    missing = [f"{state.issuer}: {state.last_error or 'keys not read yet'}" for state in authenticator.states if not state.ready]
    return "; ".join(missing) or None


def _sources(edge: Edge, audit: AuditSink, reloader: Reloader, discovering: Discovering) -> Sources:
    return Sources(
        version=__version__,
        edge=edge.counters,
        duration_bounds=DURATION_BOUNDS,
        audit=audit,
        authenticator=lambda: edge.site.authenticator.counters,
        key_sets=lambda: _key_sets(edge.site.authenticator),
        pools=lambda: edge.site.pools.values(),  # noqa: PLW0108 (a reload replaces the site)
        reloads=lambda: reloader.outcomes,
        discovery=discovering.figures,
    )


def _key_sets(authenticator: Authenticator) -> list[_KeySetFigures]:
    fetches = authenticator.fetches
    return [_KeySetFigures(state.issuer, state.ready, state.age_seconds, fetches[state.issuer]) for state in authenticator.states]


def _url(scheme: str, address: str, port: int) -> str:
    host = "127.0.0.1" if address in {"0.0.0.0", "::"} else address  # noqa: S104 (compared, not bound)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

"""A management API on loopback that serves `Cluster` objects as a Kubernetes API server does, and misbehaves when a test says so.

It runs in a thread of its own, so that tests may block, and a proxy under test may run anywhere.
"""

import asyncio
import base64
import contextlib
import json
import queue
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from edge_door import authority

PATH = "/apis/cluster.k8s.io/v1alpha1/clusters"
PEM = authority("authority")[1].public_bytes(serialization.Encoding.PEM).decode()

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def status(api: object = "10.0.1.100", ca: object = base64_of(PEM), **urls: object) -> dict[str, Any]:
    """Return a `providerStatus`; `urls` are those of StackLight applications."""
    applications = {key: {} if url is None else {"url": url} for key, url in urls.items()}
    given = {"loadBalancerHost": api, "apiServerCertificate": ca}
    return {
        **{key: value for key, value in given.items() if value is not None},
        "ready": True,
        "oidc": {"ready": True, "clientId": "k8s", "issuerUrl": "https://issuer.example", "groupsClaim": "iam_roles"},
        "helm": {"ready": True, "releases": {"stacklight": applications}},
    }


def cluster(name: str = "found", namespace: str = "team-a", provider_status: object = None, **changes: Any) -> dict[str, Any]:
    """Return a Cluster object; `changes` replace its top-level members."""
    return {
        "apiVersion": "cluster.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"providerSpec": {"value": {}}},
        "status": {"providerStatus": status() if provider_status is None else provider_status},
        **changes,
    }


@dataclass
class ManagementApi:
    """Objects by project and name. `lists` and `watches` hold what is to happen to the next requests, in order."""

    url: str = ""
    token: str | None = None
    lists: list[Behaviour] = field(default_factory=list)
    watches: list[Behaviour] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.objects: dict[tuple[str, str], Any] = {}
        self.version = 100
        self.oldest = 0
        self.history: list[tuple[int, bytes]] = []
        self.watchers: list[asyncio.Queue[bytes | None]] = []
        self.transports: list[asyncio.Transport] = []
        self.loop: asyncio.AbstractEventLoop

    # what tests do

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async def called() -> Any:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(timeout=10)

    def put(self, *documents: Any) -> None:
        """Create or change objects, and tell those who watch."""
        for document in documents:
            self.call(self._put, document)

    def keep(self, *documents: Any) -> None:
        """Have objects of any form in lists, without telling anybody."""
        for document in documents:
            self.objects["", str(len(self.objects))] = document

    def remove(self, name: str = "found", namespace: str = "team-a") -> None:
        self.call(self._remove, name, namespace)

    def send(self, line: bytes) -> None:
        """Send bytes to those who watch, as they are."""
        self.call(self._tell, line)

    def tell(self, kind: str, document: Any) -> None:
        """Send an event of any form."""
        self.send(json.dumps({"type": kind, "object": document}).encode() + b"\n")

    def bookmark(self) -> str:
        self.version += 7
        self.tell("BOOKMARK", {"kind": "Cluster", "metadata": {"resourceVersion": str(self.version)}})
        return str(self.version)

    def forget_history(self) -> None:
        """Answer 410 to whoever asks for what happened before now."""
        self.oldest = self.version = self.version + 1

    def end_watches(self) -> None:
        self.call(lambda: [watcher.put_nowait(None) for watcher in self.watchers])

    def reset_connections(self) -> None:
        self.call(lambda: [transport.abort() for transport in self.transports])

    @property
    def watched(self) -> list[dict[str, str]]:
        return [query for query in self.asked if "watch" in query]

    @property
    def listed(self) -> list[dict[str, str]]:
        return [query for query in self.asked if "watch" not in query]

    # what it answers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        self.tokens.append(request.headers.get("Authorization", ""))
        if request.transport is not None:
            self.transports.append(request.transport)
        if self.token is not None and self.tokens[-1] != f"Bearer {self.token}":
            return refusal(401, "Unauthorized")
        planned = self.watches if "watch" in request.query else self.lists
        if planned:
            return await planned.pop(0)(request)
        return await (self.watch(request) if "watch" in request.query else self.list(request))

    async def list(self, request: web.Request) -> web.StreamResponse:
        everything = [self.objects[key] for key in sorted(self.objects)]
        begin = int(request.query.get("continue", 0))
        end = begin + int(request.query.get("limit", len(everything) or 1))
        metadata = {"resourceVersion": str(self.version), "continue": str(end) if end < len(everything) else ""}
        items = everything[begin:end]
        return web.json_response({"kind": "ClusterList", "metadata": metadata, "items": items})

    async def watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.oldest:
            return refusal(410, "too old resource version")
        watcher: asyncio.Queue[bytes | None] = asyncio.Queue()
        for version, line in self.history:
            if version > since:
                watcher.put_nowait(line)
        self.watchers.append(watcher)
        answer = await streaming(request)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while (line := await watcher.get()) is not None:
                    await answer.write(line)
        except TimeoutError:
            pass
        finally:
            self.watchers.remove(watcher)
        return answer

    # within the thread

    def _put(self, document: Any) -> None:
        key = document["metadata"]["namespace"], document["metadata"]["name"]
        self._happen("MODIFIED" if key in self.objects else "ADDED", document)
        self.objects[key] = document

    def _remove(self, name: str, namespace: str) -> None:
        self._happen("DELETED", self.objects.pop((namespace, name)))

    def _happen(self, kind: str, document: Any) -> None:
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        line = json.dumps({"type": kind, "object": document}).encode() + b"\n"
        self.history.append((self.version, line))
        self._tell(line)

    def _tell(self, line: bytes) -> None:
        for watcher in self.watchers:
            watcher.put_nowait(line)


def refusal(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "status": "Failure", "code": code, "message": message}, status=code)


def answering(code: int, message: str = "no") -> Behaviour:
    async def behave(_: web.Request) -> web.StreamResponse:
        return refusal(code, message)

    return behave


def saying(body: bytes, **headers: str) -> Behaviour:
    """Answer with a body as it is."""

    async def behave(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers, content_type="application/json")

    return behave


def streaming_then(*pieces: bytes, reset: bool = False, hang: bool = False) -> Behaviour:
    """Begin a watch, send pieces, and end it well, by a reset, or never."""

    async def behave(request: web.Request) -> web.StreamResponse:
        answer = await streaming(request)
        for piece in pieces:
            await answer.write(piece)
        if hang:
            await asyncio.sleep(60)
        if reset and request.transport is not None:
            await asyncio.sleep(0.05)
            request.transport.abort()
        return answer

    return behave


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def streaming(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    return answer


@contextlib.contextmanager
def management_api(
    api: ManagementApi | None = None, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[ManagementApi]:
    """Serve until the context is left; `port` lets one come back where another was."""
    api = api or ManagementApi()
    started: queue.Queue[int] = queue.Queue()
    stop = asyncio.Event()

    async def main() -> None:
        api.loop = asyncio.get_running_loop()
        application = web.Application()
        application.router.add_get(PATH, api.answer)
        runner = web.AppRunner(application, shutdown_timeout=0.01, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        started.put(site.port)
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    api.url = f"http{'' if tls is None else 's'}://127.0.0.1:{started.get(timeout=10)}"
    try:
        yield api
    finally:
        api.reset_connections()
        api.loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)


async def until(condition: Callable[[], Any], seconds: float = 5) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.005)

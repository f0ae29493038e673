"""The demonstration API server: one listener, and what each path leads to."""

import ssl
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from proxy.demo.kubernetes import access, api_path, non_resource, pod_ports, reading, reviews, workloads, writing
from proxy.demo.kubernetes.access import Caller, Seen
from proxy.demo.kubernetes.calls import Call, refusal
from proxy.demo.kubernetes.controllers import DEFINITIONS, Controllers
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.objects import Objects
from proxy.demo.kubernetes.pods import Pods
from proxy.demo.kubernetes.refusals import Refused, method_not_allowed, no_such_path
from proxy.demo.kubernetes.resources import REVIEW_GROUPS, Catalogue
from proxy.demo.kubernetes.store import Store

_MAX_SEEN = 10000
_MAX_HEADER = 131072
_SHUTDOWN_SECONDS = 0.2


class ApiServer:
    """A Kubernetes API in memory; `seen` holds the requests that came with a valid token, the latest last.

    Whoever holds one of the tokens (bearer token → user) may do everything, impersonate included.
    Raises ValueError when an object's kind is not served.
    """

    def __init__(self, objects: Iterable[Document], *, name: str, tokens: Mapping[str, str]) -> None:
        self.name = name
        self.seen: deque[Seen] = deque(maxlen=_MAX_SEEN)
        self._tokens = dict(tokens)
        self._store = Store()
        self._catalogue = Catalogue()
        self._controllers = Controllers(self._store, self._catalogue)
        self._objects = Objects(self._store, self._controllers)
        self._pods = Pods(self._objects, name)
        self._runner: web.ServerRunner | None = None
        self._load(list(objects))

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> int:
        """Listens; returns the port, which is another one than asked for when that was 0."""
        # a token of a user with hundreds of roles is far longer than aiohttp's own limit of a header
        options: dict[str, Any] = {"max_line_size": _MAX_HEADER, "max_field_size": _MAX_HEADER, "access_log": None}
        server = web.Server(self._serve, handler_cancellation=True, **options)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=ssl_context)
        await site.start()
        return site.port

    async def stop(self) -> None:
        """Ends watches and streams, then the listener."""
        self._store.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _load(self, objects: list[Document]) -> None:
        # definitions first: they say which resources the others belong to
        definitions = [workloads.accepted(each) for each in objects if each["kind"] == "CustomResourceDefinition"]
        self._catalogue.replace(definitions)
        kinds = {(row.api_version, row.kind): row.key for row in self._catalogue}
        for document in [*definitions, *(each for each in objects if each["kind"] != "CustomResourceDefinition")]:
            key = kinds.get((document["apiVersion"], document["kind"]))
            if key is None:
                raise ValueError(f"no resource for {document['apiVersion']} {document['kind']}")
            self._store.put(key, document)
        for key, kept in self._store.everything():
            if key != DEFINITIONS:
                self._controllers.written(key, kept)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path.strip("/") in non_resource.PROBES and "Authorization" not in request.headers:
                return non_resource.serve(request, self._catalogue)
            caller = access.authenticate(request.headers, self._tokens)
            self.seen.append(access.seen(request, caller))
            return await self._route(request, caller)
        except Refused as refused:
            return refusal(refused)

    async def _route(self, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        path = api_path.parse(request.path)
        if path is None:
            return non_resource.serve(request, self._catalogue)
        resource = self._catalogue.find(path.group, path.version, path.resource)
        if resource is None or (path.namespace is not None and not resource.namespaced):
            raise no_such_path()
        if path.subresource is not None and path.subresource not in resource.subresources:
            raise no_such_path()
        call = Call(request, caller, resource, path.namespace, path.name, path.subresource, path.rest)
        if resource.group in REVIEW_GROUPS:
            return await self._review(call)
        if path.subresource == "proxy":
            return pod_ports.proxied(self._objects.get(call.place()), path.rest)
        if resource.plural == "pods" and path.subresource not in (None, "status"):
            return await self._pods.serve(call)
        return await self._verb(call)

    async def _review(self, call: Call) -> web.StreamResponse:
        if call.request.method != "POST" or call.name is not None:
            raise method_not_allowed(call.request.method)
        return await reviews.review(call)

    async def _verb(self, call: Call) -> web.StreamResponse:
        method = call.request.method
        if method in ("GET", "HEAD"):
            return await self._read(call)
        if call.name is None:
            return await self._write_collection(call)
        match method:
            case "PUT":
                return await writing.replace(call, self._objects)
            case "PATCH":
                return await writing.patch(call, self._objects)
            case "DELETE" if call.subresource is None:
                return await writing.delete(call, self._objects)
            case _:
                raise method_not_allowed(method)

    async def _read(self, call: Call) -> web.StreamResponse:
        if call.flag("watch") and call.subresource is None:
            return await reading.watch(call, self._store)
        if call.name is None:
            return reading.list_(call, self._store)
        return writing.scale(call, self._objects) if call.subresource == "scale" else reading.get(call, self._objects)

    async def _write_collection(self, call: Call) -> web.StreamResponse:
        match call.request.method:
            case "POST":
                return await writing.create(call, self._objects)
            case "DELETE":
                return await writing.delete_collection(call, self._objects, self._store)
            case _:
                raise method_not_allowed(call.request.method)

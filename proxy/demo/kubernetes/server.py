"""The demonstration API server: one listener, and what each path leads to."""

import ssl
from collections import deque
from collections.abc import Iterable, Mapping

from aiohttp import web

from proxy.demo.kubernetes import access, api_path, discovery, openapi, openapi_v2, pod_ports, reading, reviews, writing
from proxy.demo.kubernetes.access import Caller, Seen
from proxy.demo.kubernetes.calls import Call, answer, refusal
from proxy.demo.kubernetes.controllers import Controllers
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.objects import Objects
from proxy.demo.kubernetes.pods import Pods
from proxy.demo.kubernetes.refusals import Refused, method_not_allowed, no_such_path
from proxy.demo.kubernetes.resources import REVIEW_GROUPS, Catalogue
from proxy.demo.kubernetes.store import Store

VERSION: Document = {
    "major": "1",
    "minor": "30",
    "gitVersion": "v1.30.14",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-06-17T00:00:00Z",
    "goVersion": "python",
    "compiler": "python",
    "platform": "linux/amd64",
}
_PROBES = ("/healthz", "/livez", "/readyz")
_MAX_SEEN = 10000
_MAX_HEADER = 131072
_SHUTDOWN_SECONDS = 0.2


class ApiServer:
    """A Kubernetes API in memory; `seen` holds the requests that came with a valid token, the latest last."""

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
        server = web.Server(
            self._serve,
            handler_cancellation=True,
            access_log=None,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )
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
        """Definitions first: they say which resources the others belong to."""
        ordered = sorted(objects, key=lambda each: each["kind"] != "CustomResourceDefinition")
        stored = []
        for document in ordered:
            resource = self._catalogue.of_kind(document["apiVersion"], document["kind"])
            if resource is None:
                raise ValueError(f"no resource for {document['apiVersion']} {document['kind']}")
            kept = self._store.put(resource.key, document)
            stored.append((resource.key, kept))
            if document["kind"] == "CustomResourceDefinition":
                self._controllers.written(resource.key, kept)
        for key, kept in stored:
            self._controllers.written(key, kept)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path in _PROBES and "Authorization" not in request.headers:
                return web.Response(text="ok")
            caller = access.authenticate(request.headers, self._tokens)
            self.seen.append(Seen(request.method, request.path, request.query_string, caller, request.headers))
            return await self._route(request, caller)
        except Refused as refused:
            return refusal(refused)

    async def _route(self, request: web.BaseRequest, caller: Caller) -> web.StreamResponse:
        path = api_path.parse(request.path)
        if path is None:
            return self._non_resource(request)
        resource = self._catalogue.find(path.group, path.version, path.resource)
        if resource is None or (path.namespace is not None and not resource.namespaced):
            raise no_such_path()
        if path.subresource is not None and path.subresource not in resource.subresources:
            raise no_such_path()
        call = Call(request, caller, resource, path.namespace, path.name, path.subresource, path.rest)
        if resource.group in REVIEW_GROUPS:
            return await self._review(call)
        if resource.plural == "pods" and path.subresource not in (None, "status"):
            return await self._pods.serve(call)
        if path.subresource == "proxy":
            return web.Response(text=pod_ports.page(self._objects.get(call.place()), f"/{path.rest}"), content_type="text/html")
        return await self._object_verb(call)

    async def _review(self, call: Call) -> web.StreamResponse:
        if call.request.method != "POST" or call.name is not None:
            raise method_not_allowed(call.request.method)
        return await reviews.review(call)

    async def _object_verb(self, call: Call) -> web.StreamResponse:
        match call.request.method, call.name:
            case "GET" | "HEAD", _ if call.flag("watch") and call.subresource is None:
                return await reading.watch(call, self._store)
            case "GET" | "HEAD", None:
                return await reading.list_(call, self._store)
            case "GET" | "HEAD", _:
                return (
                    writing.scale(call, self._objects) if call.subresource == "scale" else await reading.get(call, self._objects)
                )
            case "POST", None:
                return await writing.create(call, self._objects)
            case "PUT", str():
                return await writing.replace(call, self._objects)
            case "PATCH", str():
                return await writing.patch(call, self._objects)
            case "DELETE", None:
                return await writing.delete_collection(call, self._objects, self._store)
            case "DELETE", str() if call.subresource is None:
                return await writing.delete(call, self._objects)
            case _:
                raise method_not_allowed(call.request.method)

    def _non_resource(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed(request.method)
        catalogue = self._catalogue
        match request.path.strip("/").split("/"):
            case ["version"]:
                return answer(VERSION)
            case ["livez" | "readyz" | "healthz", *_]:
                return web.Response(text="ok")
            case ["api"]:
                return self._aggregated(request, core=True) or answer(discovery.legacy_versions())
            case ["apis"]:
                return self._aggregated(request, core=False) or answer(discovery.groups(catalogue))
            case ["apis", group]:
                return answer(discovery.group(catalogue, group))
            case ["api", version]:
                return answer(discovery.resources(catalogue, "", version))
            case ["apis", group, version]:
                return answer(discovery.resources(catalogue, group, version))
            case ["openapi", *rest]:
                return self._openapi(rest)
            case [""]:
                return answer(
                    {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]}
                )
            case _:
                raise no_such_path()

    def _aggregated(self, request: web.BaseRequest, *, core: bool) -> web.Response | None:
        """None when the client does not ask for the aggregated form; its Content-Type must name what it got."""
        accept = request.headers.get("Accept", "")
        for version in ("v2", "v2beta1"):
            if f"g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" in accept.replace(" ", ""):
                content_type = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
                document = discovery.aggregated(self._catalogue, version, core=core)
                return answer(document, content_type=content_type)
        return None

    def _openapi(self, rest: list[str]) -> web.Response:
        match rest:
            case ["v2"]:
                return web.Response(body=openapi_v2.document(self._catalogue), headers={"Content-Type": openapi_v2.CONTENT_TYPE})
            case ["v3"]:
                return answer(openapi.index(self._catalogue))
            case ["v3", "api", version]:
                return answer(openapi.document(self._catalogue, "", version))
            case ["v3", "apis", group, version]:
                return answer(openapi.document(self._catalogue, group, version))
            case _:
                raise no_such_path()

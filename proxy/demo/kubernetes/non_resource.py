"""Paths that name no object: discovery, OpenAPI, version, health."""

from aiohttp import web

from proxy.demo.kubernetes import discovery, openapi, openapi_v2
from proxy.demo.kubernetes.calls import answer
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import method_not_allowed, no_such_path
from proxy.demo.kubernetes.resources import Catalogue

VERSION: Document = {
    "major": "1",
    "minor": "30",
    "gitVersion": openapi.SERVER_VERSION,
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-06-17T00:00:00Z",
    "goVersion": "python",
    "compiler": "python",
    "platform": "linux/amd64",
}
PROBES = ("healthz", "livez", "readyz")


def serve(request: web.BaseRequest, catalogue: Catalogue) -> web.Response:
    """Raises Refused: 404, 405."""
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed(request.method)
    match request.path.strip("/").split("/"):
        case ["version"]:
            return answer(VERSION)
        case [first, *_] if first in PROBES:
            return web.Response(text="ok")
        case ["openapi", *rest]:
            return _openapi(rest, catalogue)
        case ["api" | "apis" as root, *rest]:
            return _discovery(request, root, rest, catalogue)
        case [""]:
            return answer(
                {"paths": ["/api", "/apis", *(f"/{probe}" for probe in PROBES), "/openapi/v2", "/openapi/v3", "/version"]}
            )
        case _:
            raise no_such_path()


def _discovery(request: web.BaseRequest, root: str, rest: list[str], catalogue: Catalogue) -> web.Response:
    if not rest and (version := _aggregated_version(request.headers.get("Accept", ""))):
        document = discovery.aggregated(catalogue, version, core=root == "api")
        # clients tell the two forms apart by these parameters alone
        return answer(document, content_type=f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
    match root, rest:
        case "api", []:
            return answer(discovery.legacy_versions())
        case "api", [version]:
            return answer(discovery.resources(catalogue, "", version))
        case "apis", []:
            return answer(discovery.groups(catalogue))
        case "apis", [group]:
            return answer(discovery.group(catalogue, group))
        case "apis", [group, version]:
            return answer(discovery.resources(catalogue, group, version))
        case _:
            raise no_such_path()


def _aggregated_version(accept: str) -> str:
    offers = accept.replace(" ", "")
    versions = (version for version in ("v2", "v2beta1") if f"g=apidiscovery.k8s.io;v={version};as=" in offers)
    return next(versions, "")


def _openapi(rest: list[str], catalogue: Catalogue) -> web.Response:
    match rest:
        case ["v2"]:
            return web.Response(body=openapi_v2.document(catalogue), headers={"Content-Type": openapi_v2.CONTENT_TYPE})
        case ["v3"]:
            return answer(openapi.index(catalogue))
        case ["v3", "api", version]:
            return answer(openapi.document(catalogue, "", version))
        case ["v3", "apis", group, version]:
            return answer(openapi.document(catalogue, group, version))
        case _:
            raise no_such_path()

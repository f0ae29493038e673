"""Which kubeconfig a visitor gets: of one target, or of all that their roles reach."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from multidict import MultiMapping

from proxy.console import asking
from proxy.console.kubeconfig import Plugin, document, entry_label
from proxy.console.reach import cluster_api, has_management_api, management_api, visible_clusters
from proxy.console.visit import SiteFacts, Visitor
from proxy.errors import Forbidden, Malformed, NoRoute
from proxy.policy.explanation import Explanation
from proxy.routing.paths import is_dns_label, is_dns_subdomain
from proxy.routing.target import ClusterRef

_MANAGEMENT_API: Final = "kaas"
_USE: Final = "Name a cluster as cluster=NAMESPACE/NAME, the management API as cluster=kaas, or everything as all=true"


class NotOpen(Forbidden):
    """Refused because the requests that the file is for would be; `path` is that of one of them."""

    def __init__(self, answer: Explanation, path: str) -> None:
        super().__init__(answer.reason, would_grant=answer.would_grant, surface=answer.surface)
        self.path = path


def download(facts: SiteFacts, visitor: Visitor, query: MultiMapping[str]) -> web.Response:
    """Answer with a file; raises Malformed, then NotOpen, then NoRoute, as the request that the file is for would be refused."""
    plugin = _plugin(query.get("plugin", "mosk-proxy"))
    clusters, everything = query.getall("cluster", []), query.get("all")
    label = f"mosk-{entry_label(facts.public_url)}"
    if everything == "true" and not clusters:
        return _file(label, document(facts, _reached(facts, visitor), plugin))
    if everything is not None or len(clusters) != 1:
        raise Malformed(_USE)
    target = _target(clusters[0])
    _require(facts, visitor, target)
    name = _MANAGEMENT_API if target is None else f"{target.namespace}-{target.name}"
    return _file(f"{label}-{name}", document(facts, [target], plugin))


def _plugin(name: str) -> Plugin:
    if name == "kubelogin":
        return "kubelogin"
    if name == "mosk-proxy":
        return "mosk-proxy"
    raise Malformed("The plugin is not one of mosk-proxy, kubelogin")


def _target(text: str) -> ClusterRef | None:
    if text == _MANAGEMENT_API:
        return None
    namespace, _, name = text.partition("/")
    if not is_dns_label(namespace) or not is_dns_subdomain(name):
        raise Malformed(_USE)
    return ClusterRef(namespace, name)


def _require(facts: SiteFacts, visitor: Visitor, target: ClusterRef | None) -> None:
    asked = management_api() if target is None else cluster_api(target)
    answer = asking.answer_about(facts, visitor, asked)
    if not answer.allowed:
        raise NotOpen(answer, f"/{asked}{asked.path.decode()}")
    # Existence is told to the permitted alone.
    if facts.directory.find(asked) is None:
        raise NoRoute("There is no such cluster" if target is not None else "There is no management API here")


def _reached(facts: SiteFacts, visitor: Visitor) -> list[ClusterRef | None]:
    reached: list[ClusterRef | None] = [None] if has_management_api(facts, visitor.roles) else []
    reached += [cluster.ref for cluster in visible_clusters(facts, visitor.roles) if cluster.has_api]
    if not reached:
        raise NoRoute("Your roles open no Kubernetes API here")
    return reached


def _file(name: str, text: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.kubeconfig"'}
    return web.Response(status=HTTPStatus.OK, text=text, content_type="application/yaml", headers=headers)

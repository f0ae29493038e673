"""Turns method, host and target into a Target. No route means no access.

Most requests are plain: one regular expression reads them. All others take the careful way, which alone defines the rules; a
property test holds both to the same answers.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from proxy.errors import Malformed, Misdirected, NoRoute
from proxy.routing.paths import DNS_LABEL, Parts, is_dns_label, is_dns_subdomain, plain, split_target
from proxy.routing.request_info import METHOD_VERBS, NAMESPACE_SUBRESOURCES, read_request, resource_request
from proxy.routing.target import ClusterApi, ClusterRef, ManagementApi, MonitoringUi, OwnPage, Target

_QUERY = r'(?:\?((?:[!"$&-~]++|%[0-9A-Fa-f]{2})*+))?'
# The groups: namespace, cluster, upstream path, API group, version, namespace in the path, resource, name, subresource, query.
_PLAIN_REQUEST = re.compile(
    rf"/(?:kaas|k8s/({DNS_LABEL})/({DNS_LABEL}))"
    r"(/(?:api|apis/([a-z0-9][a-z0-9.-]*))/(v[a-z0-9]+)"
    rf"(?:/namespaces/({DNS_LABEL}))?/([a-z0-9-]+)(?:/([A-Za-z0-9][A-Za-z0-9_:.-]*)(?:/([a-z0-9]+))?)?)"
    rf"{_QUERY}"
)
_PATH = 3
# The groups: prefix, namespace, cluster, application, upstream path, query.
_PLAIN_APPLICATION_REQUEST = re.compile(
    rf"(/sl/({DNS_LABEL})/({DNS_LABEL})/({DNS_LABEL}))((?:/(?!\.{{1,2}}(?:[/?]|\Z))[A-Za-z0-9_.~:@!$&'()*+,=-]*+)++){_QUERY}"
)
# Words in a resource's place that mean something else (requestinfo.go).
_NOT_A_RESOURCE = NAMESPACE_SUBRESOURCES | {"namespaces", "watch", "proxy"}
_LONGEST_REMEMBERED = 512
_NOTHING_HERE = "There is nothing at this path"


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of one entry. `public_hosts` are our host names in lower case without port; `ui_domain` has no leading dot."""

    public_hosts: frozenset[str]
    ui_domain: str | None

    def is_public(self, host: str) -> bool:
        """Tell whether the value of `Host` names the entry itself, whose requests are told apart by their paths alone."""
        return _host_name(host) in self.public_hosts

    def resolve(self, method: str, host: str | None, target: bytes) -> Target:
        """Return what a request asks for; raises Malformed, NoRoute or Misdirected, in this order.

        `host` is the value of `Host`, whose syntax was checked; None leaves it unchecked, or says that it `is_public`. `target` is in
        origin or absolute form.
        """
        if method not in METHOD_VERBS:
            raise Malformed("The method is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        if host is None or self.is_public(host):
            found = plain_request(method, target)
            if found is not None:
                return found
        return self.resolve_carefully(method, host, target)

    def resolve_carefully(self, method: str, host: str | None, target: bytes) -> Target:
        """Do what `resolve` does, without its short cut."""
        parts = split_target(target)
        if host is None and self.ui_domain is not None:
            host = parts.authority
        application = self._application(host) if host is not None else None
        if application is None:
            return _by_path(method, parts)
        ref, app = application
        if parts.path.startswith("/oauth2/"):
            return _own_page(method, parts)
        return MonitoringUi(ref, app, method, parts.path.encode(), _query(parts))

    def _application(self, host: str) -> tuple[ClusterRef, str] | None:
        name = _host_name(host)
        if name in self.public_hosts:
            return None
        domain = f".{self.ui_domain}" if self.ui_domain else None
        if domain is None or not name.endswith(domain):
            raise Misdirected("This host is not served here")
        labels = name.removesuffix(domain).split(".")
        app, cluster, namespace = labels[0], ".".join(labels[1:-1]), labels[-1]
        if not (is_dns_label(app) and _is_cluster(namespace, cluster)):
            raise Misdirected("This host is not served here")
        return ClusterRef(namespace, cluster), app


def plain_request(method: str, target: bytes) -> Target | None:
    """Read a request that needs none of the careful rules, or return None; what was read lately is remembered."""
    return _remembered(method, target) if len(target) <= _LONGEST_REMEMBERED else _read_plain(method, target)


def _read_plain(method: str, target: bytes) -> Target | None:
    try:
        text = target.decode("ascii")
    except UnicodeDecodeError:
        return None
    return _plain_application(method, text) if text.startswith("/sl/") else _plain_api(method, text, target)


# The reading depends on nothing else, and clients ask the same again and again. About 8 MB when full of the longest.
_remembered = lru_cache(maxsize=4096)(_read_plain)


def _plain_application(method: str, text: str) -> Target | None:
    found = _PLAIN_APPLICATION_REQUEST.fullmatch(text)
    if found is None:
        return None
    prefix, namespace, cluster, app, path, query = found.groups()
    raw_query = None if query is None else query.encode()
    return MonitoringUi(ClusterRef(namespace, cluster), app, method, path.encode(), raw_query, prefix.encode())


def _plain_api(method: str, text: str, target: bytes) -> Target | None:
    found = _PLAIN_REQUEST.fullmatch(text)
    if found is None:
        return None
    namespace, cluster, _, group, version, inside, resource, name, subresource, query = found.groups()
    if resource in _NOT_A_RESOURCE:
        return None
    info = resource_request(method, None, group or "", version, inside, resource, subresource, name, query)
    start, end = found.span(_PATH)
    raw_query = None if query is None else target[end + 1 :]
    if namespace is None:
        return ManagementApi(info, method, target[start:end], raw_query)
    return ClusterApi(ClusterRef(namespace, cluster), info, method, target[start:end], raw_query)


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _query(parts: Parts) -> bytes | None:
    return None if parts.query is None else parts.query.encode()


def _by_path(method: str, parts: Parts) -> Target:
    path = parts.path
    match path[1:].split("/", 1):
        case ["kaas", *rest]:
            upstream = "/" + "".join(rest)
            info = read_request(method, upstream, parts.query, strict=True)
            return ManagementApi(info, method, upstream.encode(), _query(parts))
        case ["k8s", rest]:
            return _cluster_api(method, rest, parts)
        case ["sl", rest]:
            return _monitoring_ui(method, rest, parts)
        case ["console" | "oauth2", _] | [""]:
            return _own_page(method, parts)
        case unknown:
            plain(unknown[0])
            raise NoRoute(_NOTHING_HERE)


def _cluster_api(method: str, rest: str, parts: Parts) -> Target:
    ref, tail = _cluster(rest)
    upstream = "/" + "".join(tail)
    info = read_request(method, upstream, parts.query, strict=False)
    return ClusterApi(ref, info, method, upstream.encode(), _query(parts))


def _monitoring_ui(method: str, rest: str, parts: Parts) -> Target:
    ref, tail = _cluster(rest)
    if not tail or not tail[0]:
        raise NoRoute(_NOTHING_HERE)
    app, slash, path = tail[0].partition("/")
    if not is_dns_label(app):
        raise Malformed("The path names an application in a way that is not allowed")
    prefix = f"/sl/{ref}/{app}".encode()
    return MonitoringUi(ref, app, method, f"/{path}".encode(), _query(parts), prefix, is_bare=not slash)


def _cluster(rest: str) -> tuple[ClusterRef, list[str]]:
    namespace, *further = rest.split("/", 2)
    if (namespace or further) and not is_dns_label(namespace):
        raise Malformed("The path names a namespace that is not a DNS label")
    if not further or further == [""]:
        raise NoRoute(_NOTHING_HERE)
    cluster, *tail = further
    if not _is_cluster(namespace, cluster):
        raise Malformed("The path names a cluster that is not a DNS subdomain")
    return ClusterRef(namespace, cluster), tail


def _is_cluster(namespace: str, cluster: str) -> bool:
    return is_dns_label(namespace) and is_dns_subdomain(cluster)


def _own_page(method: str, parts: Parts) -> OwnPage:
    if parts.path != "/":
        for segment in parts.path[1:].removesuffix("/").split("/"):
            plain(segment)
    return OwnPage(method, parts.path.encode(), _query(parts))

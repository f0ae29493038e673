"""What one `Cluster` object of the management API says: where its API and its StackLight are, or why it is passed over.

The object is somebody else's data: read leniently where a field is absent or new, and each part by itself, so that a malformed part
leaves out that part alone. Field names: `status.providerStatus` of `cluster.k8s.io/v1alpha1` as MOSK writes it.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from proxy.directory.build import ServerUrl, is_address, parse_server_url
from proxy.routing.paths import is_dns_label, is_dns_subdomain
from proxy.routing.target import ClusterRef

GROUP: Final = "cluster.k8s.io"
# The status keeps the name that OpenSearch Dashboards had before.
_APPLICATIONS: Final[Mapping[str, str]] = {
    "alerta": "alerta",
    "alertmanager": "alertmanager",
    "grafana": "grafana",
    "kibana": "opensearch-dashboards",
    "prometheus": "prometheus",
}
_PEM: Final = re.compile(r"(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+", re.ASCII)


@dataclass(frozen=True, slots=True)
class OpenIdSettings:
    """Whose tokens a child's API believes, as far as the object tells."""

    issuer: str | None = None
    client_id: str | None = None
    groups_claim: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterApiAddress:
    """A child's Kubernetes API and the authorities (PEM text) that vouch for it."""

    url: ServerUrl
    ca_pem: str


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster that can be reached; `left_out` tells what of the object could not be read, a line each."""

    ref: ClusterRef
    api: ClusterApiAddress | None = None
    applications: Mapping[str, ServerUrl] = field(default_factory=dict)
    oidc: OpenIdSettings = OpenIdSettings()
    is_management: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """An object that gives nothing to reach; `ref` is None when it does not even say what it is called."""

    ref: ClusterRef | None
    reason: str
    is_malformed: bool = True


def read_cluster(document: object) -> ClusterRecord | Skipped:
    """Read one object of plain JSON values; total, whatever it holds."""
    ref = cluster_ref(document)
    if ref is None:
        return Skipped(None, f"has no usable name: {_called(document)}")
    group, _, _ = str(_at(document, "apiVersion") or GROUP).partition("/")
    kind = _at(document, "kind") or "Cluster"
    if (group, kind) != (GROUP, "Cluster"):
        return Skipped(ref, f"is no Cluster of {GROUP}: {f'{kind} of {group}'!r:.100}")
    if _at(document, "metadata", "deletionTimestamp") is not None:
        return Skipped(ref, "is being deleted", is_malformed=False)
    return _reachable(ref, document)


def cluster_ref(document: object) -> ClusterRef | None:
    """Return whose object it is, None without a project and a name that a path can name."""
    namespace, name = _at(document, "metadata", "namespace"), _at(document, "metadata", "name")
    if isinstance(namespace, str) and isinstance(name, str) and is_dns_label(namespace) and is_dns_subdomain(name):
        return ClusterRef(namespace, name)
    return None


def _reachable(ref: ClusterRef, document: object) -> ClusterRecord | Skipped:
    status = _at(document, "status", "providerStatus")
    left_out: list[str] = []
    api = _api(status, left_out)
    applications = _applications(_at(status, "helm", "releases", "stacklight"), left_out)
    if api is None and not applications:
        reason = "; ".join(left_out) or "names no address yet"
        return Skipped(ref, reason, is_malformed=bool(left_out))
    is_management = _at(document, "spec", "providerSpec", "value", "kaas", "management", "enabled") is True
    return ClusterRecord(ref, api, applications, _oidc(_at(status, "oidc")), is_management, tuple(left_out))


def _api(status: object, left_out: list[str]) -> ClusterApiAddress | None:
    host = _at(status, "loadBalancerHost")
    if host is None or host == "":
        return None
    try:
        return ClusterApiAddress(_api_url(host), _authorities(_at(status, "apiServerCertificate")))
    except ValueError as error:
        left_out.append(f"its API: {error}")
        return None


def _api_url(host: object) -> ServerUrl:
    if not isinstance(host, str) or "/" in host:
        raise ValueError("loadBalancerHost is neither a host name nor an address")
    try:
        return parse_server_url(f"https://[{host}]" if ":" in host and is_address(host) else f"https://{host}")
    except ValueError as error:
        raise ValueError(f"loadBalancerHost: {error}") from None


def _authorities(given: object) -> str:
    """Return PEM text whose form is right; whether its certificates are is for those to say who can read them."""
    if given is None or given == "":
        raise ValueError("apiServerCertificate is missing")
    try:
        pem = base64.b64decode("".join(given.split()) if isinstance(given, str) else b"?", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        pem = ""
    if _PEM.fullmatch(pem.strip()) is None:
        raise ValueError("apiServerCertificate is not base64 of PEM certificates")
    return pem


def _applications(stacklight: object, left_out: list[str]) -> dict[str, ServerUrl]:
    found = {}
    for key, name in _APPLICATIONS.items():
        url = _at(stacklight, key, "url")
        # When StackLight is off, its members stay and are empty.
        if url is None or url == "":
            continue
        try:
            if not isinstance(url, str):
                raise ValueError("its url is not a text")  # noqa: TRY004, TRY301 (one line for all that is wrong with it)
            found[name] = parse_server_url(url)
        except ValueError as error:
            left_out.append(f"{name}: {error}")
    return found


def _oidc(oidc: object) -> OpenIdSettings:
    def text(key: str) -> str | None:
        value = _at(oidc, key)
        return value if isinstance(value, str) and value else None

    return OpenIdSettings(text("issuerUrl"), text("clientId"), text("groupsClaim"))


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _called(document: object) -> str:
    return f"{(_at(document, 'metadata', 'namespace'), _at(document, 'metadata', 'name'))!r:.160}"

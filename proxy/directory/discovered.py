"""From what a `Cluster` object says to upstreams that may be used: the operator's rules over somebody else's data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from proxy.directory.allowed_hosts import AllowedHosts, IsOwn
from proxy.directory.build import ServerUrl, is_address
from proxy.directory.cluster_objects import ClusterRecord
from proxy.directory.upstream import Credential, Impersonate, PassToken, StaticToken, Upstream
from proxy.routing.target import ClusterRef


@dataclass(frozen=True, slots=True)
class DiscoveryRules:
    """What discovered servers get, and where they may be.

    `issuers` are those whose tokens can be passed on; `management` is the management cluster, None for any of project `default`.
    """

    allowed: AllowedHosts
    cluster_credential: Credential
    stacklight_credential: Credential
    issuers: frozenset[str] = frozenset()
    management: ClusterRef | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """The upstreams of one cluster; `refusals` tells by target's name what was ignored, and why."""

    api: Upstream | None = None
    applications: Mapping[str, Upstream] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Upstream]:
        if self.api is not None:
            yield self.api
        yield from self.applications.values()


def admit(record: ClusterRecord, rules: DiscoveryRules, is_own: IsOwn) -> Admitted:
    """Apply the rules to one cluster; `is_own` tells whether an address is one of this machine's."""
    ref = record.ref
    if record.is_management and not _may_be_management(ref, rules):
        # Judged as a child, it would be open to roles that must not reach it.
        return Admitted(refusals={f"k8s/{ref}": "says that it is the management cluster, and is not management.cluster"})
    upstreams: dict[str, Upstream] = {}
    refusals: dict[str, str] = {}

    def put(upstream: Upstream, refusal: str | None) -> None:
        refusal = refusal or rules.allowed.host_refusal(upstream.host, is_own)
        if refusal is None:
            upstreams[upstream.name] = upstream
        else:
            refusals[upstream.name] = refusal

    if record.api is not None:
        put(_upstream(f"k8s/{ref}", record.api.url, rules.cluster_credential, record.api.ca_pem), _issuer_refusal(record, rules))
    for app, url in record.applications.items():
        put(_upstream(f"sl/{ref}/{app}", url, rules.stacklight_credential), _plain_text_refusal(url, rules.stacklight_credential))
    applications = {app: found for app in record.applications if (found := upstreams.get(f"sl/{ref}/{app}")) is not None}
    return Admitted(upstreams.get(f"k8s/{ref}"), applications, refusals)


def _may_be_management(ref: ClusterRef, rules: DiscoveryRules) -> bool:
    return ref == rules.management if rules.management is not None else ref.namespace == "default"


def _issuer_refusal(record: ClusterRecord, rules: DiscoveryRules) -> str | None:
    issuer = record.oidc.issuer
    if isinstance(rules.cluster_credential, PassToken) and issuer is not None and issuer not in rules.issuers:
        return f"its API believes tokens of {issuer!r:.200} alone, which is none of issuers: nobody's token can be passed on"
    return None


def _plain_text_refusal(url: ServerUrl, credential: Credential) -> str | None:
    is_loopback = is_address(url.host) and ip_address(url.host).is_loopback
    if url.scheme == "http" and not is_loopback and isinstance(credential, PassToken | Impersonate | StaticToken):
        return "http:// would carry tokens in plain text"
    return None


def _upstream(name: str, url: ServerUrl, credential: Credential, ca_pem: str | None = None) -> Upstream:
    return Upstream(
        name=name,
        scheme=url.scheme,
        host=url.host,
        port=url.port,
        base_path=url.base_path.encode("ascii"),
        credential=credential,
        ca_pem=ca_pem,
    )

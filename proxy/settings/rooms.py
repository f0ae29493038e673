"""From settings to the values that the rooms declare."""

from collections.abc import Iterator
from typing import assert_never

from proxy.directory.allowed_hosts import allowed_hosts
from proxy.directory.build import build_upstream, parse_server_url
from proxy.directory.clusters import Directory
from proxy.directory.discovered import DiscoveryRules
from proxy.directory.upstream import Credential, IdentityHeaders, Impersonate, NoCredential, PassToken, StaticToken, Upstream
from proxy.discovery.settings import WatchSettings
from proxy.identity.claims import IssuerRules
from proxy.issuers.settings import IssuerSettings
from proxy.policy.permissions import PermissionsError, load_permissions, shipped_permissions_text
from proxy.policy.policy import Policy
from proxy.routing.routes import Routes
from proxy.routing.target import ClusterRef
from proxy.settings.credentials import (
    CredentialSettings,
    IdentityHeadersSettings,
    ImpersonateSettings,
    NoCredentialSettings,
    PassTokenSettings,
    TokenSettings,
)
from proxy.settings.files import read_permissions
from proxy.settings.model import IssuerBlock, Settings, SignInSettings
from proxy.settings.problems import Problem, SettingsError
from proxy.settings.servers import ApplicationSettings, ClusterSettings, ServerSettings


def directory(settings: Settings) -> Directory:
    """Return what the file declares: the management API and the clusters written by hand."""
    management = settings.management
    refs = [(ClusterRef(cluster.namespace, cluster.name), cluster) for cluster in settings.clusters]
    return Directory(
        management=_upstream("kaas", management, management.credential) if management is not None else None,
        cluster_apis={ref: api for ref, cluster in refs if (api := _cluster_api(ref, cluster)) is not None},
        applications={
            (ref, name): _application(ref, name, application)
            for ref, cluster in refs
            for name, application in cluster.stacklight.items()
        },
    )


def upstreams(settings: Settings) -> Iterator[tuple[str, Upstream]]:
    """Yield every declared upstream with its block's path in the file."""
    management = settings.management
    if management is not None:
        yield "management", _upstream("kaas", management, management.credential)
    for index, cluster in enumerate(settings.clusters):
        ref = ClusterRef(cluster.namespace, cluster.name)
        api = _cluster_api(ref, cluster)
        if api is not None:
            yield f"clusters[{index}].api", api
        for name, application in cluster.stacklight.items():
            yield f"clusters[{index}].stacklight.{name}", _application(ref, name, application)


def issuer_settings(settings: Settings) -> tuple[IssuerSettings, ...]:
    """Return the issuers whose tokens are believed; the sign-in's client is an audience at its own issuer."""
    return tuple(
        IssuerSettings(_issuer_rules(issuer, settings.sign_in), ca_file=issuer.ca_file, jwks_file=issuer.jwks_file)
        for issuer in settings.issuers
    )


def routes(settings: Settings) -> Routes:
    """Return which host names are ours, and how the rest is read."""
    return Routes(frozenset({parse_server_url(settings.public_url).host, *settings.hosts}), settings.ui_domain)


def policy(settings: Settings) -> Policy:
    """Read the permission table again and return the judge; raises SettingsError if the file has changed for the worse."""
    file = settings.policy.permissions_file
    try:
        permissions = load_permissions(shipped_permissions_text(), "permissions.yaml") if file is None else read_permissions(file)
    except (ValueError, PermissionsError) as error:
        raise SettingsError([Problem("policy.permissions_file", str(error))]) from None
    return Policy(
        permissions=permissions,
        system_namespaces=frozenset(settings.policy.system_namespaces),
        management_cluster=_management_cluster(settings),
    )


def discovery_rules(settings: Settings) -> DiscoveryRules | None:
    """Return on which terms discovered servers are used, None without discovery."""
    given = settings.discovery
    if not given.enabled or given.cluster_credential is None:
        return None
    own_names = (parse_server_url(settings.public_url).host, *settings.hosts)
    return DiscoveryRules(
        allowed=allowed_hosts(given.allowed_hosts, own_names, settings.ui_domain),
        cluster_credential=credential(given.cluster_credential),
        stacklight_credential=credential(given.stacklight_credential),
        issuers=frozenset(issuer.issuer for issuer in settings.issuers),
        management=_management_cluster(settings),
    )


def discovery_watch(settings: Settings) -> WatchSettings | None:
    """Return where Cluster objects are read and as whom, None without discovery."""
    management, given = settings.management, settings.discovery.credential
    if not settings.discovery.enabled or management is None or given is None:
        return None
    parts = parse_server_url(management.url)
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    files = given if isinstance(given, ImpersonateSettings) else None
    return WatchSettings(
        url=f"{parts.scheme}://{host}:{parts.port}{parts.base_path}",
        ca_file=management.ca_file,
        ca_pem=management.ca_data,
        token_file=given.token_file if isinstance(given, TokenSettings | ImpersonateSettings) else None,
        client_certificate_file=None if files is None else files.client_certificate_file,
        client_key_file=None if files is None else files.client_key_file,
    )


def credential(given: CredentialSettings) -> Credential:
    """Return the directory's value of a `credential` block."""
    match given:
        case PassTokenSettings():
            return PassToken(given.audience)
        case ImpersonateSettings():
            return Impersonate(given.token_file, given.client_certificate_file, given.client_key_file, given.groups)
        case TokenSettings():
            return StaticToken(given.token_file)
        case IdentityHeadersSettings():
            return IdentityHeaders(
                user_header=given.user_header,
                role_header=given.role_header,
                role=given.role,
                name_header=given.name_header,
                email_header=given.email_header,
            )
        case NoCredentialSettings():
            return NoCredential()
    assert_never(given)


def _management_cluster(settings: Settings) -> ClusterRef | None:
    named = settings.management.cluster if settings.management is not None else None
    return ClusterRef(*named.split("/")) if named is not None else None


def _issuer_rules(issuer: IssuerBlock, sign_in: SignInSettings | None) -> IssuerRules:
    client_ids = {sign_in.client_id} if sign_in is not None and sign_in.issuer == issuer.issuer else set()
    return IssuerRules(
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audiences),
        username_claim=issuer.username_claim,
        groups_claim=issuer.groups_claim,
        username_prefix=issuer.username_prefix,
        groups_prefix=issuer.groups_prefix,
        algorithms=frozenset(issuer.algorithms),
        required_claims=issuer.required_claims,
        leeway_seconds=issuer.leeway_seconds,
        max_lifetime_hours=issuer.max_lifetime_hours,
        extra_audiences=frozenset(client_ids),
    )


def _cluster_api(ref: ClusterRef, cluster: ClusterSettings) -> Upstream | None:
    return _upstream(f"k8s/{ref}", cluster.api, cluster.api.credential) if cluster.api is not None else None


def _application(ref: ClusterRef, name: str, application: ApplicationSettings) -> Upstream:
    return _upstream(f"sl/{ref}/{name}", application, application.credential, keep_prefix=application.keep_prefix)


def _upstream(name: str, server: ServerSettings, given: CredentialSettings, *, keep_prefix: bool = False) -> Upstream:
    return build_upstream(
        name, server.url, credential(given), ca_file=server.ca_file, ca_pem=server.ca_data, keep_prefix=keep_prefix
    )

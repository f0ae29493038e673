import pytest

from proxy.directory.allowed_hosts import allowed_hosts
from proxy.directory.discovered import DiscoveryRules
from proxy.directory.upstream import IdentityHeaders, Impersonate, NoCredential, PassToken, StaticToken, Upstream
from proxy.discovery.settings import WatchSettings
from proxy.policy.permissions import shipped_permissions_text
from proxy.routing.target import ClusterRef
from proxy.settings import SettingsError, rooms
from proxy.settings.model import SignInSettings

TEXT = """
public_url: https://Entry.example:8443
hosts: [door.example]
ui_domain: ui.example
issuers:
- issuer: https://keycloak.example/realms/${REALM}
  audiences: [kaas]
  username_claim: email
  groups_claim: groups
  username_prefix: "u:"
  groups_prefix: "g:"
  algorithms: [ES256]
  required_claims: {acr: gold}
  leeway_seconds: 5
  max_lifetime_hours: 1
  ca_file: ca.crt
- issuer: https://other.example
management: {url: "https://10.0.0.10", ca_file: ca.crt, cluster: default/kaas-mgmt}
clusters:
- namespace: team-a
  name: prod.eu
  api:
    url: https://[fd00::1]:6443/k8s/clusters/c-1/
    credential: {kind: impersonate, client_certificate_file: tls.crt, client_key_file: tls.key, groups: all}
  stacklight:
    grafana:
      url: http://Grafana.svc:3000
      keep_prefix: true
      credential:
        {kind: identity_headers, user_header: X-User, role_header: X-Role, role: Admin, name_header: X-Name, email_header: X-Email}
    prometheus: {url: "http://10.0.1.21:9090/base"}
- namespace: team-b
  name: test
  api: {url: "https://10.0.2.10", credential: {kind: impersonate, token_file: proxy.token}}
- namespace: team-b
  name: apps
  stacklight: {alerta: {url: "https://10.0.3.10", credential: {kind: token, token_file: proxy.token}}}
policy: {system_namespaces: [kaas]}
"""


@pytest.fixture
def settings(read):
    return read(TEXT)


def test_the_directory_holds_every_declared_server(settings, folder):
    eu, test, apps = ClusterRef("team-a", "prod.eu"), ClusterRef("team-b", "test"), ClusterRef("team-b", "apps")
    found = rooms.directory(settings)
    assert found.management == Upstream(
        "kaas", "https", "10.0.0.10", 443, credential=PassToken("kaas"), ca_file=folder / "ca.crt"
    )
    assert found.cluster_apis == {
        eu: Upstream(
            "k8s/team-a/prod.eu",
            "https",
            "fd00::1",
            6443,
            base_path=b"/k8s/clusters/c-1",
            credential=Impersonate(None, folder / "tls.crt", folder / "tls.key", "all"),
        ),
        test: Upstream("k8s/team-b/test", "https", "10.0.2.10", 443, credential=Impersonate(folder / "proxy.token")),
    }
    assert found.applications == {
        (eu, "grafana"): Upstream(
            "sl/team-a/prod.eu/grafana",
            "http",
            "grafana.svc",
            3000,
            credential=IdentityHeaders("X-User", "X-Role", "Admin", "X-Name", "X-Email"),
            keep_prefix=True,
        ),
        (eu, "prometheus"): Upstream(
            "sl/team-a/prod.eu/prometheus", "http", "10.0.1.21", 9090, base_path=b"/base", credential=NoCredential()
        ),
        (apps, "alerta"): Upstream(
            "sl/team-b/apps/alerta", "https", "10.0.3.10", 443, credential=StaticToken(folder / "proxy.token")
        ),
    }


DISCOVERY = """
discovery:
  enabled: true
  credential: {kind: token, token_file: proxy.token}
  cluster_credential: {kind: impersonate, token_file: proxy.token}
  stacklight_credential: {kind: identity_headers, user_header: X-User}
  allowed_hosts: [10.0.0.0/8, .example]
"""


def test_discovery_has_its_rules_and_reads_as_itself(read, folder):
    settings = read(TEXT + DISCOVERY)
    rules, watch = rooms.discovery_rules(settings), rooms.discovery_watch(settings)
    assert rules == DiscoveryRules(
        allowed_hosts(["10.0.0.0/8", ".example"], ["entry.example", "door.example"], "ui.example"),
        Impersonate(folder / "proxy.token"),
        IdentityHeaders("X-User"),
        frozenset({"https://keycloak.example/realms/iam", "https://other.example"}),
        ClusterRef("default", "kaas-mgmt"),
    )
    assert watch == WatchSettings("https://10.0.0.10:443", ca_file=folder / "ca.crt", token_file=folder / "proxy.token")


@pytest.mark.parametrize(
    ("credential", "url", "expected"),
    [
        ("{kind: none}", "https://A.example/k8s/c/", {"url": "https://a.example:443/k8s/c"}),
        ("{kind: none}", "https://[fd00::1]:6443", {"url": "https://[fd00::1]:6443"}),
        (
            "{kind: impersonate, client_certificate_file: tls.crt, client_key_file: tls.key}",
            "https://a",
            {"url": "https://a:443", "client_certificate_file": "tls.crt", "client_key_file": "tls.key"},
        ),
        ("{kind: impersonate, token_file: proxy.token}", "https://a", {"url": "https://a:443", "token_file": "proxy.token"}),
    ],
)
def test_objects_are_read_with_any_credential_of_our_own(read, folder, credential, url, expected):
    text = f"""
public_url: https://entry.example
issuers: [{{issuer: 'https://keycloak.example'}}]
management: {{url: '{url}'}}
discovery: {{enabled: true, credential: {credential}, cluster_credential: {{kind: none}}}}
"""
    paths = {name: value if name == "url" else folder / value for name, value in expected.items()}
    assert rooms.discovery_watch(read(text)) == WatchSettings(**paths)


def test_without_discovery_there_are_neither(settings):
    assert (rooms.discovery_rules(settings), rooms.discovery_watch(settings)) == (None, None)


def test_upstreams_are_named_by_their_place_in_the_file(settings):
    found = rooms.directory(settings)
    named = list(rooms.upstreams(settings))
    assert [path for path, _ in named] == [
        "management",
        "clusters[0].api",
        "clusters[0].stacklight.grafana",
        "clusters[0].stacklight.prometheus",
        "clusters[1].api",
        "clusters[2].stacklight.alerta",
    ]
    assert {upstream.name: upstream for _, upstream in named} == {upstream.name: upstream for upstream in found}


def test_authorities_in_the_file_itself_reach_the_upstream(read, folder):
    pem = (folder / "ca.crt").read_text()
    indented = pem.replace("\n", "\n    ")
    settings = read(
        f"public_url: https://e.example\nissuers: [{{issuer: 'https://k'}}]\nmanagement:\n  url: https://a\n  ca_data: |\n    {indented}"
    )
    assert rooms.directory(settings).management.ca_pem == pem


def test_issuers_become_the_rules_for_their_tokens(settings, folder):
    first, second = rooms.issuer_settings(settings)
    assert (first.issuer, first.ca_file, first.jwks_file) == ("https://keycloak.example/realms/iam", folder / "ca.crt", None)
    rules = first.rules
    assert (rules.audiences, rules.extra_audiences, rules.algorithms) == ({"kaas"}, frozenset(), {"ES256"})
    assert (rules.username_claim, rules.groups_claim, rules.username_prefix, rules.groups_prefix) == (
        "email",
        "groups",
        "u:",
        "g:",
    )
    assert (rules.required_claims, rules.leeway_seconds, rules.max_lifetime_hours) == ({"acr": "gold"}, 5, 1)
    assert second.rules.audiences == {"kaas", "k8s", "sl"}


def test_the_sign_ins_client_is_an_audience_at_its_own_issuer_only(settings):
    sign_in = SignInSettings(issuer="https://other.example", client_id="mosk-proxy")
    first, second = rooms.issuer_settings(settings.model_copy(update={"sign_in": sign_in}))
    assert (first.rules.extra_audiences, second.rules.extra_audiences) == (frozenset(), {"mosk-proxy"})


def test_our_own_hosts_are_known_in_lower_case_without_port(settings):
    routes = rooms.routes(settings)
    assert (routes.public_hosts, routes.ui_domain) == ({"entry.example", "door.example"}, "ui.example")


def test_the_judge_knows_table_system_namespaces_and_management_cluster(settings):
    judge = rooms.policy(settings)
    assert judge.system_namespaces == {"kaas"}
    assert judge.management_cluster == ClusterRef("default", "kaas-mgmt")
    assert judge.permissions.grants["projects"]["m:kaas@writer"] == "rw"


def test_an_own_table_replaces_the_shipped_one_and_is_refused_when_it_has_gone_bad(read, folder):
    table = folder / "table.yaml"
    table.write_text(shipped_permissions_text().replace('"m:kaas@global-admin": rw', '"m:kaas@global-admin": r'))
    settings = read("public_url: https://e.example\nissuers: [{issuer: 'https://k'}]\npolicy: {permissions_file: table.yaml}")
    judge = rooms.policy(settings)
    assert judge.permissions.grants["projects"]["m:kaas@global-admin"] == "r"
    assert judge.management_cluster is None
    for spoil in (lambda: table.write_text("version: 2"), table.unlink):
        spoil()
        with pytest.raises(SettingsError) as caught:
            rooms.policy(settings)
        assert caught.value.problems[0].path == "policy.permissions_file"

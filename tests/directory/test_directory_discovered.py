"""The operator's rules over what Cluster objects say."""

import pytest

from proxy.directory.allowed_hosts import allowed_hosts
from proxy.directory.build import parse_server_url
from proxy.directory.cluster_objects import ClusterApiAddress, ClusterRecord, OpenIdSettings
from proxy.directory.discovered import Admitted, DiscoveryRules, admit
from proxy.directory.upstream import IdentityHeaders, Impersonate, NoCredential, PassToken, StaticToken, Upstream
from proxy.routing.target import ClusterRef

REF = ClusterRef("team-a", "found")
OURS = "https://issuer.example"
USER = IdentityHeaders("X-User")
NOTHING = NoCredential()
OUTSIDE = "192.0.2.1 is outside discovery.allowed_hosts"


def rules(cluster=NOTHING, stacklight=NOTHING, management=None) -> DiscoveryRules:
    return DiscoveryRules(allowed_hosts(["10.0.0.0/8", "127.0.0.1"]), cluster, stacklight, frozenset({OURS}), management)


def record(ref=REF, api="https://10.0.1.100", issuer=None, *, is_management=False, **applications) -> ClusterRecord:
    return ClusterRecord(
        ref,
        None if api is None else ClusterApiAddress(parse_server_url(api), "PEM"),
        {name: parse_server_url(url) for name, url in applications.items()},
        OpenIdSettings(issuer),
        is_management,
    )


def nothing_is_own(_: str) -> bool:
    return False


def test_admitted_servers_get_the_credentials_of_the_rules():
    impersonate = Impersonate()
    found = admit(
        record(grafana="http://10.0.1.3/graf", prometheus="https://prom.example:9443"), rules(impersonate, USER), nothing_is_own
    )
    api = Upstream("k8s/team-a/found", "https", "10.0.1.100", 443, credential=impersonate, ca_pem="PEM")
    assert found == Admitted(
        api,
        {
            "grafana": Upstream("sl/team-a/found/grafana", "http", "10.0.1.3", 80, b"/graf", USER),
            "prometheus": Upstream("sl/team-a/found/prometheus", "https", "prom.example", 9443, credential=USER),
        },
    )
    assert [upstream.name for upstream in found] == ["k8s/team-a/found", "sl/team-a/found/grafana", "sl/team-a/found/prometheus"]


def test_what_lies_outside_is_ignored_each_server_by_itself():
    found = admit(record(api="https://192.0.2.1", grafana="http://10.0.1.3", alerta="https://192.0.2.1"), rules(), nothing_is_own)
    assert (found.api, list(found.applications)) == (None, ["grafana"])
    assert found.refusals == {"k8s/team-a/found": OUTSIDE, "sl/team-a/found/alerta": OUTSIDE}


def test_an_own_address_is_ignored():
    found = admit(record(grafana="http://10.0.1.3"), rules(), lambda address: address == "10.0.1.3")
    assert (found.api is not None, found.applications) == (True, {})
    assert "the proxy's own" in found.refusals["sl/team-a/found/grafana"]


@pytest.mark.parametrize(
    ("management", "namespace", "is_used"),
    [
        (ClusterRef("default", "found"), "default", True),
        (ClusterRef("default", "kaas-mgmt"), "default", False),
        (None, "default", True),
        (None, "team-a", False),
        (ClusterRef("default", "found"), "team-a", False),
    ],
)
def test_another_management_cluster_is_no_child(management, namespace, is_used):
    """Its roles would be those of a child: a global writer must not reach the management cluster."""
    given = record(ClusterRef(namespace, "found"), is_management=True, grafana="https://10.0.1.3")
    found = admit(given, rules(management=management), nothing_is_own)
    assert bool(list(found)) == is_used
    assert bool(found.refusals) == (not is_used)


@pytest.mark.parametrize(("issuer", "is_used"), [(OURS, True), (None, True), ("https://custom.example", False)])
def test_a_token_is_not_passed_to_an_api_that_believes_another_issuer(issuer, is_used):
    found = admit(record(issuer=issuer, grafana="https://10.0.1.3"), rules(PassToken("k8s")), nothing_is_own)
    assert (found.api is not None) == is_used
    assert list(found.applications) == ["grafana"]
    assert admit(record(issuer=issuer), rules(Impersonate()), nothing_is_own).api is not None


@pytest.mark.parametrize("credential", [PassToken("sl"), Impersonate(), StaticToken("file")])
def test_tokens_do_not_travel_in_plain_text_but_on_loopback(credential):
    given = record(api=None, grafana="http://10.0.1.3", prometheus="http://127.0.0.1:9090", alerta="https://10.0.1.4")
    found = admit(given, rules(stacklight=credential), nothing_is_own)
    assert list(found.applications) == ["prometheus", "alerta"]
    assert found.refusals == {"sl/team-a/found/grafana": "http:// would carry tokens in plain text"}

"""The words of a decision: one line, the same everywhere, and silent about what exists."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed, Misdirected, NoRoute
from proxy.policy.decision import Allowed, Denied
from proxy.policy.explanation import Explanation, allowed_message, explain, forbidden_message, quoted
from proxy.policy.permissions import load_permissions, shipped_permissions_text
from proxy.policy.policy import SYSTEM_NAMESPACES, Policy
from proxy.policy.roles import RoleSet
from proxy.routing.routes import Routes

POLICY = Policy(load_permissions(shipped_permissions_text(), "shipped"), frozenset(SYSTEM_NAMESPACES), None)
ROUTES = Routes(frozenset(), None)
NOBODY = RoleSet.from_strings(())


def refusal(username, method, url):
    target = ROUTES.resolve(method, None, url.encode())
    return forbidden_message(username, target, POLICY.authorize(NOBODY, target), POLICY.would_grant(target))


@pytest.mark.parametrize(
    ("request_", "what", "right"),
    [
        ("GET /k8s/team-a/prod/api/v1/namespaces/b/pods", 'list resource "pods" in API group "" in the namespace "b" of cluster "team-a/prod"', "read on cluster_api in cluster team-a/prod"),
        ("GET /k8s/team-a/prod/api/v1/namespaces/b/pods/p/exec", 'get resource "pods/exec" in API group "" in the namespace "b" of cluster "team-a/prod"', "write on cluster_api in cluster team-a/prod"),
        ("GET /k8s/team-a/prod/apis/apps/v1/deployments?watch=1", 'watch resource "deployments" in API group "apps" at the cluster scope of cluster "team-a/prod"', "read on cluster_api in cluster team-a/prod"),
        ("GET /k8s/team-a/prod/metrics", 'get path "/metrics" of cluster "team-a/prod"', "read on cluster_api in cluster team-a/prod"),
        ("POST /kaas/api/v1/namespaces/a/secrets", 'create resource "secrets" in API group "" in the namespace "a" of the management API', "write on secrets in project a"),
        ("GET /kaas/api/v1/nodes/n", 'get resource "nodes" in API group "" at the cluster scope of the management API', "read on management_cluster in all projects"),
        ("GET /kaas/metrics", 'get path "/metrics" of the management API', "read on management_cluster in all projects"),
        ("POST /sl/team-a/prod/grafana/api", 'post application "grafana" of cluster "team-a/prod"', "write on stacklight in cluster team-a/prod"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_kubectl_users_know_and_who_would_have_it(request_, what, right):
    method, url = request_.split()
    roles = ", ".join(POLICY.would_grant(ROUTES.resolve(method, None, url.encode())))
    assert roles
    assert refusal("ann", method, url) == f'User "ann" cannot {what}; {right} is granted by {roles}'
    assert refusal(None, method, url) == f"These roles cannot {what}; {right} is granted by {roles}"


def test_a_right_that_nobody_holds_is_granted_by_no_role():
    refused = refusal("ann", "OPTIONS", "/kaas/apis/kaas.mirantis.com/v1alpha1/kaasreleases")
    assert refused.endswith("write on releases in any project is granted by m:kaas@management-admin")
    target = ROUTES.resolve("PUT", None, b"/kaas/api/v1/namespaces")
    assert forbidden_message("ann", target, Denied("projects", "update", is_write=True, scope="all projects"), ()).endswith(
        " is granted by no role"
    )


@pytest.mark.parametrize(
    "name", ['ann" can', "ann\nadmin", "ann\r\x1b[31m", "\u202eann", "ann\u2028x", "\udcff", "back\\slash", "\u00e5nn", ""]
)
def test_a_user_name_stays_inside_its_quotes_and_on_one_line(name):
    message = refusal(name, "GET", "/kaas/api")
    assert message.isprintable()
    assert message.startswith(f"User {quoted(name)} cannot get path")


@given(st.text())
def test_quoting_is_total_and_unambiguous(text):
    shown = quoted(text)
    assert shown.isprintable()
    assert shown.encode()
    assert shown[0] == shown[-1] == '"'
    assert '"' not in shown[1:-1].replace("\\\\", "").replace('\\"', "")


def test_a_grant_names_its_inclusions():
    through = ("m:kaas:a@writer", "m:k8s:a:prod@cluster-admin")
    message = allowed_message(Allowed("m:kaas@writer", through, "cluster_api", "get"))
    assert message == "m:kaas@writer includes m:kaas:a@writer includes m:k8s:a:prod@cluster-admin, which may get on cluster_api"
    assert allowed_message(Allowed(None, (), None, None)) == "the proxy's own pages need no role"


def test_an_answer_has_exactly_the_keys_of_the_contract_in_their_order():
    target = ROUTES.resolve("GET", None, b"/sl/a/prod/grafana")
    allowed = explain(POLICY, RoleSet.from_strings(["m:kaas:a@member"]), target)
    through = ("m:k8s:a:prod@cluster-admin", "m:sl:a:prod@stacklight-admin")
    assert allowed == Explanation(
        True, "sl/a/prod/grafana", "get", "stacklight", "m:kaas:a@member", through, (), 200, allowed.reason
    )
    assert list(msgspec.json.decode(msgspec.json.encode(allowed))) == [
        "allowed",
        "target",
        "verb",
        "surface",
        "granted_by",
        "through",
        "would_grant",
        "status",
        "reason",
    ]


def test_a_denial_is_explained_like_the_answer_to_a_client():
    target = ROUTES.resolve("GET", None, b"/k8s/default/it/api/v1/pods")
    would_grant = ("m:k8s:default:it@cluster-admin", "m:kaas@management-admin")
    reason = refusal(None, "GET", "/k8s/default/it/api/v1/pods")
    assert explain(POLICY, NOBODY, target) == Explanation(
        False, "k8s/default/it", "list", "cluster_api", None, (), would_grant, 403, reason
    )


def test_our_own_pages_have_neither_target_nor_surface():
    page = explain(POLICY, NOBODY, ROUTES.resolve("GET", None, b"/console/me"))
    assert page == Explanation(True, None, None, None, None, (), (), 200, "the proxy's own pages need no role")


@pytest.mark.parametrize(("error", "status"), [(Malformed("m"), 400), (NoRoute("m"), 404), (Misdirected("m"), 404)])
def test_a_request_that_was_refused_before_is_explained_by_its_refusal(error, status):
    assert explain(POLICY, NOBODY, error) == Explanation(False, None, None, None, None, (), (), status, "m")

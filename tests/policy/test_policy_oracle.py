"""The product against a second reading of the policy page, on generated requests."""

import policy_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.decision import Allowed
from proxy.policy.permissions import load_permissions, shipped_permissions_text
from proxy.policy.policy import SYSTEM_NAMESPACES, Policy
from proxy.policy.roles import ROLE_PATTERNS, RoleSet
from proxy.routing.routes import Routes
from proxy.routing.target import ClusterRef

PERMISSIONS = load_permissions(shipped_permissions_text(), "shipped")
POLICIES = {
    None: Policy(PERMISSIONS, frozenset(SYSTEM_NAMESPACES), None),
    ("default", "it"): Policy(PERMISSIONS, frozenset(SYSTEM_NAMESPACES), ClusterRef("default", "it")),
}
ROUTES = Routes(frozenset(), None)

PROJECTS, CLUSTERS = ["a", "b", "default", "kaas"], ["c", "it"]
ROLES = sorted(
    {pattern.replace("<ns>", ns).replace("<cluster>", c) for pattern in ROLE_PATTERNS for ns in PROJECTS for c in CLUSTERS}
)
GROUPS = {
    "": ["namespaces", "secrets", "events", "pods", "nodes"],
    "authorization.k8s.io": ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"],
    "authentication.k8s.io": ["selfsubjectreviews", "tokenreviews"],
    "apiextensions.k8s.io": ["customresourcedefinitions"],
    "metal3.io": ["baremetalhosts", "secrets"],
    "cluster.k8s.io": ["clusters", "machines"],
    "kaas.mirantis.com": [
        "baremetalhostinventories",
        "baremetalhostcredentials",
        "clusteroidcconfigurations",
        "openstackcredentials",
        "proxies",
        "kaasreleases",
        "hostosconfigurations",
        "publickeys",
    ],
    "lcm.mirantis.com": ["helmbundles", "lcmmachines", "nodemaintenancerequests", "hostosconfigurationmodules"],
    "iam.mirantis.com": [
        "iamglobalrolebindings",
        "iamrolebindings",
        "iamclusterrolebindings",
        "iamusers",
        "scopes",
        "clusterredirects",
    ],
    "events.k8s.io": ["events"],
    "example.org": ["helmbundles", "hostosconfigurations", "credentials"],
}
KINDS = [(group, resource) for group, resources in GROUPS.items() for resource in resources]


@st.composite
def resource_paths(draw):
    group, resource = draw(st.sampled_from(KINDS))
    base = "/api/v1" if group == "" else f"/apis/{group}/v1"
    base += draw(st.sampled_from(["", "", "", "/watch", "/proxy"]))
    namespace = draw(st.sampled_from([None, *PROJECTS]))
    if resource == "namespaces" and group == "":
        path = (
            f"{base}/namespaces"
            + (f"/{namespace}" if namespace else "")
            + draw(st.sampled_from(["", "", "/status"] if namespace else [""]))
        )
    else:
        path = (
            base
            + (f"/namespaces/{namespace}" if namespace else "")
            + f"/{resource}"
            + draw(st.sampled_from(["", "/x", "/x/status", "/x/exec"]))
        )
    return path + draw(st.sampled_from(["", "", "?watch=1", "?fieldSelector=metadata.name=a", "?limit=5"]))


non_resource_paths = st.sampled_from(
    [
        "/",
        "/api",
        "/apis",
        "/apis/metal3.io",
        "/apis/metal3.io/v1",
        "/api/v1",
        "/api/v2",
        "/openapi/v2",
        "/openapi/v3/apis/apps/v1",
        "/version",
        "/metrics",
        "/version/x",
    ]
)
urls = st.one_of(
    st.one_of(resource_paths(), non_resource_paths).map("/kaas".__add__),
    st.builds(
        "/{}/{}/{}/{}".format,
        st.just("k8s"),
        st.sampled_from(PROJECTS),
        st.sampled_from(CLUSTERS),
        st.sampled_from(["", "api/v1/pods"]),
    ),
    st.builds(
        "/{}/{}/{}/{}".format,
        st.just("sl"),
        st.sampled_from(PROJECTS),
        st.sampled_from(CLUSTERS),
        st.sampled_from(["grafana", "alerta/x"]),
    ),
)
methods = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])


@settings(max_examples=500, deadline=None)
@given(st.sets(st.sampled_from(ROLES), max_size=3), methods, urls, st.sampled_from(list(POLICIES)))
def test_decisions_are_those_of_a_second_reading(roles, method, url, management):
    target = ROUTES.resolve(method, None, url.encode())
    decision = POLICIES[management].authorize(RoleSet.from_strings(sorted(roles)), target)
    assert isinstance(decision, Allowed) == policy_oracle.allowed(roles, method, url, management)
    if url.startswith("/kaas"):
        assert decision.surface == policy_oracle.surface_of(method, url.removeprefix("/kaas"))


@settings(max_examples=150, deadline=None)
@given(methods, urls, st.sampled_from(list(POLICIES)))
def test_the_roles_that_would_grant_are_exactly_those_that_do(method, url, management):
    policy = POLICIES[management]
    target = ROUTES.resolve(method, None, url.encode())
    namespace = getattr(getattr(target, "ref", None), "namespace", None)
    cluster = getattr(getattr(target, "ref", None), "name", None)
    candidates = {role for role in ROLES if isinstance(policy.authorize(RoleSet.from_strings([role]), target), Allowed)}
    offered = policy.would_grant(target)
    assert set(offered) <= candidates
    assert len(set(offered)) == len(offered)
    if cluster is not None:
        assert set(offered) == candidates
        assert all(
            role.partition("@")[0]
            in {"m:kaas", f"m:kaas:{namespace}", f"m:k8s:{namespace}:{cluster}", f"m:sl:{namespace}:{cluster}"}
            for role in offered
        )
    else:
        assert {role for role in candidates if role.startswith("m:kaas@")} == {
            role for role in offered if role.startswith("m:kaas@")
        }


@pytest.mark.parametrize("role", ROLE_PATTERNS)
def test_every_role_pattern_has_its_column(role):
    assert ("discovery", role.replace("<cluster>", "<c>")) in policy_oracle.CELLS

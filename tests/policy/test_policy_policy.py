"""Who may do what: the table of the policy page cell by cell, its cases in words, and the clusters that no inclusion reaches."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import RequestError
from proxy.policy.decision import Allowed, Denied
from proxy.policy.permissions import load_permissions, shipped_permissions_text
from proxy.policy.policy import SYSTEM_NAMESPACES, Policy
from proxy.policy.roles import ROLE_PATTERNS, RoleSet
from proxy.routing.routes import Routes
from proxy.routing.target import ClusterRef
from proxy.settings.model import SYSTEM_NAMESPACES as CONFIGURED_BY_DEFAULT

SHIPPED = load_permissions(shipped_permissions_text(), "shipped")
POLICY = Policy(SHIPPED, frozenset(SYSTEM_NAMESPACES), None)
NAMED = Policy(SHIPPED, frozenset(SYSTEM_NAMESPACES), ClusterRef("default", "kaas-mgmt"))
ROUTES = Routes(frozenset(), None)


def judge(roles, method, url, policy=POLICY):
    return policy.authorize(RoleSet.from_strings(roles), ROUTES.resolve(method, None, url.encode()))


def is_allowed(roles, method, url, policy=POLICY):
    return isinstance(judge(roles, method, url, policy), Allowed)


COLUMNS = [
    ["m:kaas@global-admin"],
    ["m:kaas@management-admin"],
    ["m:kaas@operator"],
    ["m:kaas@writer"],
    ["m:kaas@reader"],
    ["m:kaas:{}@writer"],
    ["m:kaas:{}@operator"],
    ["m:kaas:{}@member"],
    ["m:kaas:{}@reader", "m:kaas:{}@user"],
    ["m:kaas:{}@bm-pool-operator"],
    ["m:k8s:{}:prod@cluster-admin"],
    ["m:sl:{}:prod@admin", "m:sl:{}:prod@stacklight-admin"],
]
TABLE = """
self_review            | rw | rw | rw | rw | rw | rw | rw | rw | rw | rw | -  | -
discovery              | r  | r  | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
project_names          | r  | r  | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
projects               | rw | rw | r  | rw | r  | r  | r  | r  | r  | r  | -  | -
project_objects        | -  | rw | -  | rw | r  | rw | rw | rw | r  | -  | -  | -
bare_metal             | -  | rw | rw | rw | r  | rw | r  | r  | r  | rw | -  | -
bare_metal_credentials | -  | rw | rw | rw | -  | rw | -  | -  | -  | rw | -  | -
secrets                | -  | rw | -  | rw | -  | rw | rw | rw | -  | -  | -  | -
iam_bindings           | rw | rw | -  | rw | r  | rw | rw | -  | r  | -  | -  | -
iam_global_bindings    | rw | rw | -  | -  | -  | -  | -  | -  | -  | -  | -  | -
iam_catalog            | r  | rw | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
releases               | r  | rw | r  | r  | r  | r  | r  | r  | r  | r  | -  | -
management_cluster     | -  | rw | -  | -  | -  | -  | -  | -  | -  | -  | -  | -
cluster_api            | -  | -  | -  | rw | -  | rw | rw | rw | -  | -  | rw | -
stacklight             | -  | -  | -  | rw | -  | rw | rw | rw | -  | -  | rw | rw
"""
UNBOUND = {"self_review", "discovery", "project_names", "iam_catalog", "releases"}
KAAS, LCM, IAM = (
    "/kaas/apis/kaas.mirantis.com/v1alpha1",
    "/kaas/apis/lcm.mirantis.com/v1alpha1",
    "/kaas/apis/iam.mirantis.com/v1alpha1",
)
# For each surface requests in project {}, then requests in all projects; each a read or a write.
REQUESTS = {
    "self_review": (
        ["POST /kaas/apis/authorization.k8s.io/v1/namespaces/{}/selfsubjectaccessreviews"],
        ["POST /kaas/apis/authentication.k8s.io/v1/selfsubjectreviews", "POST /kaas/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"],
    ),
    "discovery": (
        [],
        ["GET /kaas", "HEAD /kaas/api", "GET /kaas/openapi/v3/apis/apps/v1", "GET /kaas/apis/apiextensions.k8s.io/v1/customresourcedefinitions"],
    ),
    "project_names": ([], ["GET /kaas/api/v1/namespaces", "GET /kaas/api/v1/watch/namespaces"]),
    "projects": (
        [
            "GET /kaas/api/v1/namespaces/{}",
            "GET /kaas/api/v1/namespaces?fieldSelector=metadata.name%3D{}",
            "PATCH /kaas/api/v1/namespaces/{}",
            "DELETE /kaas/api/v1/namespaces/{}",
        ],
        ["POST /kaas/api/v1/namespaces"],
    ),
    "project_objects": (
        [
            "GET /kaas/apis/cluster.k8s.io/v1alpha1/namespaces/{}/clusters",
            "GET /kaas/api/v1/namespaces/{}/events?watch=true",
            f"PUT {LCM}/namespaces/{{}}/lcmmachines/x",
            f"POST {LCM}/namespaces/{{}}/helmbundles",
        ],
        ["GET /kaas/apis/cluster.k8s.io/v1alpha1/machines?watch=1", f"GET {LCM}/helmbundles", f"DELETE {KAAS}/publickeys"],
    ),
    "bare_metal": (
        ["GET /kaas/apis/metal3.io/v1alpha1/namespaces/{}/baremetalhosts/h", f"POST {KAAS}/namespaces/{{}}/baremetalhostinventories"],
        ["GET /kaas/apis/metal3.io/v1alpha1/baremetalhosts", "DELETE /kaas/apis/metal3.io/v1alpha1/baremetalhosts"],
    ),
    "bare_metal_credentials": (
        [f"GET {KAAS}/namespaces/{{}}/baremetalhostcredentials", f"PATCH {KAAS}/namespaces/{{}}/baremetalhostcredentials/x"],
        [f"GET {KAAS}/baremetalhostcredentials", f"POST {KAAS}/baremetalhostcredentials"],
    ),
    "secrets": (
        [
            "GET /kaas/api/v1/namespaces/{}/secrets/prod-kubeconfig",
            f"GET {KAAS}/namespaces/{{}}/proxies",
            "DELETE /kaas/api/v1/namespaces/{}/secrets",
            f"PUT {KAAS}/namespaces/{{}}/openstackcredentials/x",
        ],
        [],
    ),
    "iam_bindings": (
        [f"GET {IAM}/namespaces/{{}}/iamrolebindings", f"POST {IAM}/namespaces/{{}}/iamclusterrolebindings"],
        [f"GET {IAM}/iamrolebindings"],
    ),
    "iam_global_bindings": (
        [],
        [f"GET {IAM}/iamglobalrolebindings", f"POST {IAM}/iamglobalrolebindings", f"POST {IAM}/iamrolebindings", f"POST {IAM}/namespaces/default/iamrolebindings"],
    ),
    "iam_catalog": ([f"GET {IAM}/namespaces/{{}}/iamusers"], [f"GET {IAM}/scopes", f"PATCH {IAM}/iamroles/x"]),
    "releases": ([f"GET {KAAS}/namespaces/{{}}/kaasreleases"], [f"GET {KAAS}/clusterreleases", f"PUT {KAAS}/mccupgrades/x"]),
    "management_cluster": (
        [
            "GET /kaas/api/v1/namespaces/{}/pods/p",
            "GET /kaas/api/v1/namespaces/{}/pods/p/exec",
            f"GET {LCM}/namespaces/{{}}/nodedeletionrequests",
            "OPTIONS /kaas/api/v1/namespaces/{}/pods",
        ],
        ["GET /kaas/api/v1/nodes", "GET /kaas/api/v1/secrets", "GET /kaas/metrics", "OPTIONS /kaas/api", "DELETE /kaas/api/v1/namespaces/kaas"],
    ),
    "cluster_api": (
        ["GET /k8s/{}/prod/api/v1/nodes", "GET /k8s/{}/prod/version", "POST /k8s/{}/prod/api/v1/namespaces", "GET /k8s/{}/prod/api/v1/namespaces/x/pods/p/exec", "OPTIONS /k8s/{}/prod"],
        [],
    ),
    "stacklight": (["GET /sl/{}/prod/grafana/", "POST /sl/{}/prod/alertmanager/api/v2/silences", "OPTIONS /sl/{}/prod/x"], []),
}  # fmt: skip


def rows():
    for line in TABLE.strip().splitlines():
        surface, *cells = (cell.strip() for cell in line.split("|"))
        for roles, cell in zip(COLUMNS, cells, strict=True):
            for role in roles:
                yield surface, role, cell


def grants(cell, method, url):
    is_write = method not in {"GET", "HEAD"} or url.endswith("/exec")
    return cell == "rw" or (cell == "r" and not is_write)


@pytest.mark.parametrize(("surface", "role", "cell"), list(rows()))
def test_a_cell_of_the_table(surface, role, cell):
    """Own project: what the cell says. Another project: nothing, unless the role is global or the surface bound to none. All: as global."""
    inside, everywhere = REQUESTS[surface]
    is_global = "{}" not in role
    for request in inside:
        method, url = request.format("a").split(" ", 1)
        own, foreign = judge([role.format("a")], method, url), judge([role.format("b")], method, url)
        expected = grants(cell, method, url)
        assert own.surface == foreign.surface == surface
        assert isinstance(own, Allowed) == expected, request
        assert isinstance(foreign, Allowed) == (expected and (is_global or surface in UNBOUND)), request
        other_cluster = url.replace("/prod/", "/other/")
        if other_cluster != url and role.count(":") > 2:
            assert isinstance(judge([role.format("a")], method, other_cluster), Denied)
    for request in everywhere:
        method, url = request.split(" ", 1)
        decision = judge([role.format("a")], method, url)
        expected = grants(cell, method, url) and (is_global or surface in UNBOUND)
        assert decision.surface == surface, request
        assert isinstance(decision, Allowed) == expected, request


def test_every_surface_has_requests_and_every_role_a_column():
    assert {surface for surface, _, _ in rows()} == set(REQUESTS)
    named = {role.format("<ns>").replace("prod", "<cluster>") for roles in COLUMNS for role in roles}
    assert named == set(ROLE_PATTERNS)


IN_WORDS = """
m:kaas@operator | GET /kaas/apis/metal3.io/v1alpha1/baremetalhosts | allow
m:kaas@operator | POST /kaas/apis/cluster.k8s.io/v1alpha1/namespaces/a/clusters | deny
m:kaas@writer | DELETE /kaas/api/v1/namespaces/a | allow
m:kaas@writer | DELETE /kaas/api/v1/namespaces/kaas | deny
m:kaas@writer | GET /kaas/api/v1/namespaces/kaas/secrets/iam-api-secrets | deny
m:kaas@writer | GET /kaas/api/v1/secrets | deny
m:kaas@writer | POST /kaas/apis/iam.mirantis.com/v1alpha1/namespaces/default/iamclusterrolebindings | deny
m:kaas@writer | PATCH /kaas/apis/cluster.k8s.io/v1alpha1/namespaces/default/clusters/kaas-mgmt | allow
m:kaas@writer | GET /sl/a/prod/grafana/ | allow
m:kaas@writer | GET /k8s/default/kaas-mgmt/api/v1/nodes | deny
m:kaas@reader | GET /kaas/apis/cluster.k8s.io/v1alpha1/machines?watch=1 | allow
m:kaas@reader | GET /k8s/a/prod/api/v1/pods | deny
m:kaas:a@writer | PATCH /kaas/apis/cluster.k8s.io/v1alpha1/namespaces/a/clusters/prod | allow
m:kaas:a@writer | GET /kaas/apis/cluster.k8s.io/v1alpha1/clusters | deny
m:kaas:a@writer | GET /kaas/api/v1/namespaces | allow
m:kaas:a@writer | GET /kaas/api/v1/namespaces/b | deny
m:kaas:a@writer | GET /k8s/a/prod/api/v1/namespaces/x/pods/p/exec?command=sh | allow
m:kaas:a@writer | GET /k8s/b/prod/api/v1/pods | deny
m:kaas:a@writer | GET /k8s/b/prod | deny
m:kaas:a@writer | GET /sl/b/prod/grafana/ | deny
m:kaas:a@reader | GET /kaas/api/v1/namespaces/a/secrets/prod-kubeconfig | deny
m:kaas:a@reader | GET /kaas/apis/kaas.mirantis.com/v1alpha1/kaasreleases | allow
m:k8s:a:prod@cluster-admin | GET /sl/a/prod/prometheus/api/v1/query?query=up | allow
m:k8s:a:prod@cluster-admin | GET /kaas/apis/cluster.k8s.io/v1alpha1/namespaces/a/clusters/prod | deny
m:k8s:default:kaas-mgmt@cluster-admin | GET /sl/default/kaas-mgmt/grafana/ | deny
m:sl:a:prod@admin | POST /sl/a/prod/alertmanager/api/v2/silences | allow
m:sl:a:prod@admin | GET /k8s/a/prod/version | deny
none | GET /kaas/api | deny
none | GET /kaas/api/v1/namespaces | deny
none | POST /kaas/apis/authorization.k8s.io/v1/selfsubjectaccessreviews | deny
none | GET /k8s/a/prod/version | deny
none | GET /sl/a/prod/grafana/ | deny
none | GET / | allow
none | GET /console/me | allow
none | POST /oauth2/sign_out | allow
"""


@pytest.mark.parametrize("policy", [POLICY, NAMED], ids=["default", "named"])
@pytest.mark.parametrize("row", IN_WORDS.strip().splitlines())
def test_the_cases_in_words(row, policy):
    role, request, answer = row.split(" | ")
    method, url = request.split(" ", 1)
    assert is_allowed([role], method, url, policy) == (answer == "allow")


@pytest.mark.parametrize(
    ("role", "request_", "through"),
    [
        (
            "m:kaas@writer",
            "GET /sl/a/prod/grafana/",
            ["m:kaas:a@writer", "m:k8s:a:prod@cluster-admin", "m:sl:a:prod@stacklight-admin"],
        ),
        ("m:kaas@writer", "GET /k8s/a/prod/api", ["m:kaas:a@writer", "m:k8s:a:prod@cluster-admin"]),
        ("m:kaas:a@writer", "GET /k8s/a/prod/api", ["m:k8s:a:prod@cluster-admin"]),
        ("m:kaas:a@operator", "GET /k8s/a/prod/api", ["m:k8s:a:prod@cluster-admin"]),
        ("m:kaas:a@member", "GET /sl/a/prod/x", ["m:k8s:a:prod@cluster-admin", "m:sl:a:prod@stacklight-admin"]),
        ("m:k8s:a:prod@cluster-admin", "GET /sl/a/prod/x", ["m:sl:a:prod@stacklight-admin"]),
        ("m:k8s:a:prod@cluster-admin", "GET /k8s/a/prod/x", []),
        ("m:sl:a:prod@admin", "GET /sl/a/prod/x", []),
        ("m:sl:a:prod@stacklight-admin", "GET /sl/a/prod/x", []),
        ("m:kaas@writer", "GET /kaas/apis/cluster.k8s.io/v1alpha1/namespaces/a/clusters", []),
        ("m:kaas:a@user", "GET /kaas/apis/cluster.k8s.io/v1alpha1/namespaces/a/clusters", []),
        ("m:kaas@management-admin", "GET /k8s/default/it/api", []),
    ],
)
def test_a_decision_names_who_granted_it_and_through_what(role, request_, through):
    assert judge([role], *request_.split()) == Allowed(
        role, tuple(through), judge([], *request_.split()).surface, "get" if "kaas/apis" not in request_ else "list"
    )


@pytest.mark.parametrize(
    ("roles", "request_", "granted_by"),
    [
        (["m:kaas@writer", "m:kaas:a@writer", "m:k8s:a:prod@cluster-admin"], "GET /k8s/a/prod/api", "m:k8s:a:prod@cluster-admin"),
        (["m:kaas@writer", "m:kaas:a@member", "m:k8s:b:prod@cluster-admin"], "GET /k8s/a/prod/api", "m:kaas:a@member"),
        (["m:kaas@writer", "m:k8s:a:prod@cluster-admin", "m:sl:a:prod@admin"], "GET /sl/a/prod/x", "m:sl:a:prod@admin"),
        (
            ["m:kaas@writer", "m:kaas:a@writer", "m:kaas:a@reader"],
            "GET /kaas/apis/cluster.k8s.io/v1/namespaces/a/clusters",
            "m:kaas:a@reader",
        ),
        (
            ["m:kaas@writer", "m:kaas:a@writer", "m:kaas:a@reader"],
            "PUT /kaas/apis/cluster.k8s.io/v1/namespaces/a/clusters/c",
            "m:kaas:a@writer",
        ),
        (
            ["m:kaas@writer", "m:kaas@reader", "m:kaas:b@reader"],
            "GET /kaas/apis/cluster.k8s.io/v1/namespaces/a/clusters",
            "m:kaas@reader",
        ),
        (["m:kaas@writer", "m:kaas:b@reader"], "GET /kaas/api", "m:kaas:b@reader"),
    ],
)
def test_the_most_specific_role_is_named(roles, request_, granted_by):
    assert judge(roles, *request_.split()).granted_by == granted_by
    assert judge(reversed(roles), *request_.split()).granted_by == granted_by


EVERY_ROLE_BUT_EXACT = [
    "m:kaas@global-admin", "m:kaas@operator", "m:kaas@writer", "m:kaas@reader",
    *(f"m:kaas:{ns}@{name}" for ns in ("default", "kaas") for name in ("writer", "operator", "member", "reader", "user", "bm-pool-operator")),
    "m:k8s:default:other@cluster-admin", "m:sl:default:other@admin", "m:k8s:kaas:other@cluster-admin", "m:sl:kaas:other@admin",
]  # fmt: skip


@pytest.mark.parametrize("policy", [POLICY, NAMED], ids=["default", "named"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_inclusion_reaches_the_management_cluster(policy, method):
    api, app = "/k8s/default/kaas-mgmt/api/v1/nodes", "/sl/default/kaas-mgmt/grafana/"
    own_api, own_app = "m:k8s:default:kaas-mgmt@cluster-admin", "m:sl:default:kaas-mgmt@"
    assert not is_allowed([*EVERY_ROLE_BUT_EXACT, own_app + "admin", own_app + "stacklight-admin"], method, api, policy)
    assert not is_allowed([*EVERY_ROLE_BUT_EXACT, own_api, "m:kaas@management-admin"], method, app, policy)
    assert judge([*EVERY_ROLE_BUT_EXACT, own_api], method, api, policy).granted_by == own_api
    assert judge([*EVERY_ROLE_BUT_EXACT, "m:kaas@management-admin"], method, api, policy).granted_by == "m:kaas@management-admin"
    assert judge([*EVERY_ROLE_BUT_EXACT, own_app + "admin"], method, app, policy).granted_by == own_app + "admin"
    assert judge([*EVERY_ROLE_BUT_EXACT, own_app + "stacklight-admin"], method, app, policy).through == ()
    assert policy.would_grant(ROUTES.resolve(method, None, api.encode())) == (own_api, "m:kaas@management-admin")
    assert policy.would_grant(ROUTES.resolve(method, None, app.encode())) == (own_app + "stacklight-admin", own_app + "admin")


def test_once_the_management_cluster_is_named_its_neighbours_are_children():
    other = ClusterRef("default", "other")
    assert POLICY.is_management_cluster(other)
    assert not NAMED.is_management_cluster(other)
    assert NAMED.is_management_cluster(ClusterRef("default", "kaas-mgmt"))
    assert not NAMED.is_management_cluster(ClusterRef("a", "kaas-mgmt"))
    for roles in (["m:kaas@writer"], ["m:kaas:default@writer"]):
        for url in ("/k8s/default/other/api", "/sl/default/other/grafana"):
            assert is_allowed(roles, "GET", url, NAMED)
            assert not is_allowed(roles, "GET", url, POLICY)
    assert not is_allowed(["m:kaas@management-admin"], "GET", "/k8s/default/other/api", NAMED)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_inclusion_reaches_a_cluster_of_a_system_namespace(method):
    api, app = "/k8s/kaas/c/api/v1/nodes", "/sl/kaas/c/grafana/"
    everyone = [*EVERY_ROLE_BUT_EXACT, "m:kaas@management-admin"]
    assert not is_allowed([*everyone, "m:sl:kaas:c@admin"], method, api)
    assert not is_allowed([*everyone, "m:k8s:kaas:c@cluster-admin"], method, app)
    assert judge(["m:k8s:kaas:c@cluster-admin"], method, api).through == ()
    assert is_allowed(["m:sl:kaas:c@admin"], method, app)
    assert is_allowed(["m:kaas:kaas@writer"], method, api, Policy(SHIPPED, frozenset(), None))


def test_a_denial_says_what_was_missing_and_who_would_have_it():
    target = ROUTES.resolve("GET", None, b"/kaas/api/v1/namespaces/a/secrets")
    assert POLICY.authorize(RoleSet.from_strings([]), target) == Denied("secrets", "list", is_write=False, scope="project a")
    assert POLICY.would_grant(target) == (
        "m:kaas:a@member",
        "m:kaas:a@operator",
        "m:kaas:a@writer",
        "m:kaas@writer",
        "m:kaas@management-admin",
    )


@pytest.mark.parametrize(
    ("request_", "denied"),
    [
        ("DELETE /kaas/api/v1/nodes", Denied("management_cluster", "deletecollection", is_write=True, scope="all projects")),
        ("GET /kaas/api/v1/namespaces", Denied("project_names", "list", is_write=False, scope="any project")),
        ("GET /kaas/metrics", Denied("management_cluster", "get", is_write=False, scope="all projects")),
        ("POST /k8s/a/prod/api/v1/pods", Denied("cluster_api", "create", is_write=True, scope="cluster a/prod")),
        ("HEAD /sl/a/prod.east/x", Denied("stacklight", "head", is_write=False, scope="cluster a/prod.east")),
        ("OPTIONS /sl/a/prod/x", Denied("stacklight", "options", is_write=True, scope="cluster a/prod")),
    ],
)
def test_a_denial_names_verb_and_scope(request_, denied):
    assert judge([], *request_.split()) == denied


def test_our_own_pages_need_no_role():
    page = ROUTES.resolve("GET", None, b"/console/me")
    assert POLICY.authorize(RoleSet.from_strings([]), page) == Allowed(None, (), None, None)
    assert POLICY.would_grant(page) == ()


def test_a_decision_has_no_truth_value():
    for decision in (judge([], "GET", "/"), judge([], "GET", "/kaas")):
        with pytest.raises(TypeError):
            bool(decision)


def test_the_group_that_a_child_sees_is_its_cluster_admin():
    target = ROUTES.resolve("GET", None, b"/k8s/a/prod.east/api")
    assert POLICY.effective_group(target) == "m:k8s:a:prod.east@cluster-admin"


def test_the_system_namespaces_of_the_page_are_those_of_the_configuration():
    assert SYSTEM_NAMESPACES == CONFIGURED_BY_DEFAULT


def table(grants_, unbound="[]"):
    text = f'{{version: 1, surfaces: [{{name: discovery, paths: [/api]}}, {{name: secrets, resources: [secrets]}}], unbound: {unbound}, grants: {{management_cluster: {{"m:kaas@global-admin": r}}, {grants_}}}}}'
    return Policy(load_permissions(text, "changed"), frozenset({"kaas"}), None)


@pytest.mark.parametrize(
    ("grants_", "roles", "request_", "through"),
    [
        ('secrets: {"m:kaas:<ns>@reader": r}', ["m:kaas@reader"], "GET /kaas/api/v1/namespaces/a/secrets", ("m:kaas:a@reader",)),
        ('secrets: {"m:kaas:<ns>@reader": r}', ["m:kaas:a@user"], "GET /kaas/api/v1/namespaces/a/secrets", ("m:kaas:a@reader",)),
        (
            'secrets: {"m:kaas:<ns>@user": r}',
            ["m:kaas@reader"],
            "GET /kaas/api/v1/namespaces/a/secrets",
            ("m:kaas:a@reader", "m:kaas:a@user"),
        ),
        (
            'secrets: {"m:kaas:<ns>@bm-pool-operator": rw}',
            ["m:kaas@operator"],
            "PUT /kaas/api/v1/namespaces/a/secrets/s",
            ("m:kaas:a@bm-pool-operator",),
        ),
        ('secrets: {"m:kaas:<ns>@reader": r}', ["m:kaas@reader"], "PUT /kaas/api/v1/namespaces/a/secrets/s", None),
        ('secrets: {"m:kaas:<ns>@reader": r}', ["m:kaas@reader"], "GET /kaas/api/v1/secrets", None),
        ('secrets: {"m:kaas:<ns>@reader": r}', ["m:kaas:a@reader"], "GET /kaas/api/v1/secrets", None),
        ('cluster_api: {"m:kaas:<ns>@reader": r}', ["m:kaas:a@reader"], "GET /k8s/a/prod/api", ()),
        ('cluster_api: {"m:kaas:<ns>@reader": r}', ["m:kaas@reader"], "GET /k8s/a/prod/api", ("m:kaas:a@reader",)),
        ('cluster_api: {"m:kaas@reader": r}', ["m:kaas@reader"], "GET /k8s/a/prod/api", ()),
        ('cluster_api: {"m:kaas@reader": r}', ["m:kaas@reader"], "GET /k8s/default/it/api", None),
        ('cluster_api: {"m:kaas@reader": r}', ["m:kaas@reader"], "GET /k8s/kaas/c/api", None),
        ('cluster_api: {"m:sl:<ns>:<cluster>@admin": r}', ["m:sl:a:prod@admin"], "GET /k8s/a/prod/api", ()),
        ('cluster_api: {"m:sl:<ns>:<cluster>@admin": r}', ["m:k8s:default:it@cluster-admin"], "GET /k8s/default/it/api", None),
        (
            'cluster_api: {"m:k8s:<ns>:<cluster>@cluster-admin": r}',
            ["m:k8s:default:it@cluster-admin"],
            "PUT /k8s/default/it/api",
            None,
        ),
        (
            'cluster_api: {"m:k8s:<ns>:<cluster>@cluster-admin": r}',
            ["m:kaas:a@member"],
            "GET /k8s/a/prod/api",
            ("m:k8s:a:prod@cluster-admin",),
        ),
        ("cluster_api: {}", ["m:kaas@global-admin"], "GET /k8s/default/it/api", ()),
        ("cluster_api: {}", ["m:kaas@global-admin"], "PUT /k8s/default/it/api", None),
        ("cluster_api: {}", ["m:kaas@writer", "m:k8s:a:prod@cluster-admin"], "GET /k8s/a/prod/api", None),
        (
            'stacklight: {"m:sl:<ns>:<cluster>@admin": r}',
            ["m:sl:default:it@stacklight-admin"],
            "GET /sl/default/it/x",
            ("m:sl:default:it@admin",),
        ),
        ('stacklight: {"m:sl:<ns>:<cluster>@admin": r}', ["m:sl:default:it@stacklight-admin"], "POST /sl/default/it/x", None),
        ('stacklight: {"m:kaas:<ns>@reader": r}', ["m:kaas:a@reader"], "HEAD /sl/a/prod/x", ()),
        ('stacklight: {"m:kaas:<ns>@reader": r}', ["m:kaas:a@reader"], "OPTIONS /sl/a/prod/x", None),
    ],
)
def test_a_changed_table_changes_decisions_and_inclusions_stay(grants_, roles, request_, through):
    decision = judge(roles, *request_.split(), table(grants_))
    assert (decision.through if isinstance(decision, Allowed) else None) == through


@pytest.mark.parametrize(
    ("grants_", "role", "url", "through"),
    [
        ('discovery: {"m:k8s:<ns>:<cluster>@cluster-admin": r}', "m:k8s:a:prod@cluster-admin", "/kaas/api", ()),
        (
            'discovery: {"m:k8s:<ns>:<cluster>@cluster-admin": r}',
            "m:kaas:a@member",
            "/kaas/api",
            ("m:k8s:a:<cluster>@cluster-admin",),
        ),
        (
            'discovery: {"m:sl:<ns>:<cluster>@admin": r}',
            "m:k8s:a:prod@cluster-admin",
            "/kaas/api",
            ("m:sl:a:prod@stacklight-admin", "m:sl:a:prod@admin"),
        ),
        ('discovery: {"m:kaas:<ns>@reader": r}', "m:kaas@reader", "/kaas/api", ("m:kaas:<ns>@reader",)),
        ('secrets: {"m:kaas:<ns>@reader": r}', "m:kaas@reader", "/kaas/api/v1/namespaces/a/secrets", ("m:kaas:a@reader",)),
        ('secrets: {"m:kaas:<ns>@reader": r}', "m:kaas:b@user", "/kaas/api/v1/namespaces/a/secrets", ("m:kaas:b@reader",)),
    ],
)
def test_an_unbound_surface_is_reached_by_any_role_that_the_table_names(grants_, role, url, through):
    policy = table(grants_, "[discovery, secrets]")
    assert judge([role], "GET", url, policy).through == through
    assert isinstance(judge([role], "PUT", url, policy), Denied)


segments = st.sampled_from(
    [
        "kaas",
        "k8s",
        "sl",
        "a",
        "default",
        "prod",
        "grafana",
        "api",
        "apis",
        "v1",
        "metal3.io",
        "namespaces",
        "secrets",
        "x",
        "exec",
        "watch",
        "",
        "..",
        "%41",
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([pattern.replace("<ns>", "a").replace("<cluster>", "prod") for pattern in ROLE_PATTERNS]), max_size=4
    ),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]),
    st.lists(segments, max_size=9),
    st.sampled_from([POLICY, NAMED]),
)
def test_a_decision_is_total_and_in_the_scope_that_is_routed_to(roles, method, parts, policy):
    """A grant names a role of the token, and a role of one project or cluster never reaches another's target."""
    try:
        target = ROUTES.resolve(method, None, "/".join(["", *parts]).encode())
    except RequestError:
        return
    decision = policy.authorize(RoleSet.from_strings(roles), target)
    assert isinstance(decision, Allowed | Denied)
    if isinstance(decision, Allowed) and decision.surface is not None:
        assert decision.granted_by in roles
        ref = getattr(target, "ref", None)
        if ref is not None and not decision.granted_by.startswith("m:kaas@"):
            assert decision.granted_by.partition("@")[0].split(":")[2:] in ([ref.namespace], [ref.namespace, ref.name])

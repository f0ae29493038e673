"""Every request to the management API falls in exactly one surface: the rows of the policy page, first match first."""

import pytest

from proxy.policy.permissions import load_permissions, shipped_permissions_text
from proxy.policy.policy import SYSTEM_NAMESPACES
from proxy.policy.surfaces import SurfaceRule, Surfaces, is_namespace_object, project_of
from proxy.routing.request_info import read_request

SHIPPED = Surfaces(load_permissions(shipped_permissions_text(), "shipped").surfaces, frozenset(SYSTEM_NAMESPACES))

ROWS = """
POST   /apis/authorization.k8s.io/v1/selfsubjectaccessreviews                     self_review
POST   /apis/authorization.k8s.io/v1/selfsubjectrulesreviews                      self_review
POST   /apis/authentication.k8s.io/v1/selfsubjectreviews                          self_review
GET    /apis/authorization.k8s.io/v1/selfsubjectaccessreviews                     management_cluster
POST   /apis/authorization.k8s.io/v1/subjectaccessreviews                         management_cluster
POST   /apis/authentication.k8s.io/v1/tokenreviews                                management_cluster
POST   /apis/example.org/v1/selfsubjectreviews                                    management_cluster

GET    /                                                                          discovery
HEAD   /                                                                          discovery
GET    /api                                                                       discovery
GET    /api/                                                                      discovery
GET    /apis                                                                      discovery
GET    /apis/                                                                     discovery
GET    /apis/metal3.io                                                            discovery
GET    /apis/metal3.io/v1alpha1                                                   discovery
GET    /apis/metal3.io/v1alpha1/                                                  discovery
GET    /api/v1                                                                    discovery
GET    /openapi/v2                                                                discovery
GET    /openapi/v3/apis/apps/v1                                                   discovery
GET    /version                                                                   discovery
GET    /version/                                                                  discovery
GET    /api/v2                                                                    management_cluster
GET    /openapi                                                                   management_cluster
GET    /versions                                                                  management_cluster
GET    /version/x                                                                 management_cluster
GET    /metrics                                                                   management_cluster
GET    /healthz                                                                   management_cluster
POST   /version                                                                   management_cluster
OPTIONS /api                                                                      management_cluster
GET    /apis/apiextensions.k8s.io/v1/customresourcedefinitions                    discovery
GET    /apis/apiextensions.k8s.io/v1/customresourcedefinitions?watch=1            discovery
GET    /apis/apiextensions.k8s.io/v1/customresourcedefinitions/x/status           discovery
PATCH  /apis/apiextensions.k8s.io/v1/customresourcedefinitions/x                  management_cluster
POST   /apis/apiextensions.k8s.io/v1/watch/customresourcedefinitions              management_cluster
GET    /apis/apiextensions.k8s.io/v1/customresourcedefinitions/x/proxy            management_cluster

GET    /api/v1/namespaces/kaas/secrets/iam-api-secrets                            management_cluster
GET    /api/v1/namespaces/kube-system/events                                      management_cluster
GET    /apis/metal3.io/v1alpha1/namespaces/kaas/baremetalhosts                    management_cluster
GET    /apis/cluster.k8s.io/v1alpha1/namespaces/stacklight/clusters               management_cluster
GET    /apis/iam.mirantis.com/v1alpha1/namespaces/system/iamusers                 management_cluster
GET    /apis/example.org/v1/namespaces/kaas                                       management_cluster
GET    /api/v1/namespaces/kaas                                                    projects
GET    /api/v1/namespaces/kaas/status                                             projects
GET    /api/v1/watch/namespaces/kaas                                              projects
GET    /api/v1/namespaces?fieldSelector=metadata.name=kaas                        projects
PUT    /api/v1/namespaces/kaas                                                    management_cluster
DELETE /api/v1/namespaces/kaas                                                    management_cluster
PUT    /api/v1/namespaces/lcm-system/finalize                                     management_cluster
POST   /api/v1/namespaces/a/namespaces/kaas                                       management_cluster
DELETE /api/v1/namespaces/default                                                 management_cluster
PATCH  /api/v1/namespaces/default                                                 projects
GET    /api/v1/namespaces/default                                                 projects

GET    /api/v1/namespaces                                                         project_names
HEAD   /api/v1/namespaces                                                         project_names
GET    /api/v1/namespaces?watch=1                                                 project_names
GET    /api/v1/watch/namespaces                                                   project_names
GET    /api/v1/namespaces?labelSelector=metadata.name=a                           project_names
GET    /api/v1/namespaces?fieldSelector=metadata.name!=a                          project_names
GET    /api/v1/namespaces?fieldSelector=status.phase=Active                       project_names
GET    /api/v1/namespaces?fieldSelector=metadata.name=a                           projects
GET    /api/v1/namespaces?fieldSelector=status.phase=Active,metadata.name==a      projects
GET    /api/v1/namespaces?fieldSelector=metadata.name%3Da&watch=1                 projects
POST   /api/v1/namespaces                                                         projects
GET    /api/v1/namespaces/a                                                       projects
DELETE /api/v1/namespaces/a                                                       projects
PUT    /api/v1/namespaces/a/finalize                                              projects
DELETE /api/v1/namespaces                                                         management_cluster
DELETE /api/v1/namespaces?fieldSelector=metadata.name=a                           management_cluster
OPTIONS /api/v1/namespaces                                                        management_cluster
POST   /api/v1/watch/namespaces                                                   management_cluster

GET    /api/v1/secrets                                                            management_cluster
DELETE /api/v1/secrets                                                            management_cluster
GET    /api/v1/namespaces/default/secrets                                         management_cluster
GET    /api/v1/namespaces/a/secrets                                               secrets
GET    /api/v1/namespaces/a/secrets/prod-kubeconfig                               secrets
GET    /api/v1/watch/namespaces/a/secrets                                         secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/clusteroidcconfigurations    secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/serviceusers                 secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/rhellicenses                 secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/tlsconfigs                   secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/proxies                      secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/openstackcredentials/x       secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/credentials                  secrets
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/default/proxies                management_cluster
GET    /apis/kaas.mirantis.com/v1alpha1/serviceusers                              management_cluster
POST   /apis/kaas.mirantis.com/v1alpha1/namespaces/default/awscredentials         management_cluster
GET    /apis/kaas.mirantis.com/v1alpha1/awscredentials                            management_cluster
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/credentialsets               project_objects
GET    /apis/lcm.mirantis.com/v1alpha1/namespaces/a/awscredentials                project_objects
GET    /apis/example.org/v1/namespaces/a/secrets                                  management_cluster

GET    /apis/lcm.mirantis.com/v1alpha1/namespaces/default/helmbundles             management_cluster
GET    /apis/lcm.mirantis.com/v1alpha1/helmbundles                                project_objects
POST   /apis/lcm.mirantis.com/v1alpha1/helmbundles                                management_cluster
POST   /apis/lcm.mirantis.com/v1alpha1/namespaces/a/helmbundles                   project_objects
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/default/hostosconfigurations   management_cluster
GET    /apis/kaas.mirantis.com/v1alpha1/hostosconfigurations                      project_objects
DELETE /apis/kaas.mirantis.com/v1alpha1/hostosconfigurations                      management_cluster
POST   /apis/kaas.mirantis.com/v1alpha1/namespaces/a/hostosconfigurations         project_objects
POST   /apis/kaas.mirantis.com/v1alpha1/hostosconfigurationmodules                management_cluster
GET    /apis/lcm.mirantis.com/v1alpha1/namespaces/default/hostosconfigurationmodules management_cluster
GET    /apis/example.org/v1/namespaces/default/helmbundles                        management_cluster
GET    /apis/iam.mirantis.com/v1alpha1/namespaces/a/clusterredirects              management_cluster
GET    /apis/iam.mirantis.com/v1alpha1/clusterredirects                           management_cluster

GET    /apis/metal3.io/v1alpha1/baremetalhosts                                    bare_metal
GET    /apis/metal3.io/v1alpha1/namespaces/a/secrets                              bare_metal
PATCH  /apis/metal3.io/v1alpha1/namespaces/default/baremetalhosts/h               bare_metal
POST   /apis/kaas.mirantis.com/v1alpha1/namespaces/a/baremetalhostinventories     bare_metal
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/a/baremetalhostcredentials     bare_metal_credentials
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/default/baremetalhostcredentials bare_metal_credentials
GET    /apis/kaas.mirantis.com/v1alpha1/baremetalhostcredentials                  bare_metal_credentials

GET    /apis/iam.mirantis.com/v1alpha1/iamglobalrolebindings                      iam_global_bindings
POST   /apis/iam.mirantis.com/v1alpha1/iamglobalrolebindings                      iam_global_bindings
POST   /apis/iam.mirantis.com/v1alpha1/namespaces/default/iamclusterrolebindings  iam_global_bindings
POST   /apis/iam.mirantis.com/v1alpha1/iamrolebindings                            iam_global_bindings
DELETE /apis/iam.mirantis.com/v1alpha1/iamrolebindings                            iam_global_bindings
GET    /apis/iam.mirantis.com/v1alpha1/namespaces/default/iamrolebindings         iam_bindings
GET    /apis/iam.mirantis.com/v1alpha1/iamrolebindings                            iam_bindings
POST   /apis/iam.mirantis.com/v1alpha1/namespaces/a/iamrolebindings               iam_bindings
DELETE /apis/iam.mirantis.com/v1alpha1/namespaces/a/iamclusterrolebindings/x      iam_bindings
GET    /apis/iam.mirantis.com/v1alpha1/iamusers                                   iam_catalog
GET    /apis/iam.mirantis.com/v1alpha1/iamroles/x                                 iam_catalog
GET    /apis/iam.mirantis.com/v1alpha1/scopes                                     iam_catalog
GET    /apis/iam.mirantis.com/v1alpha1/unheardof                                  management_cluster
GET    /apis/kaas.mirantis.com/v1alpha1/kaasreleases                              releases
GET    /apis/kaas.mirantis.com/v1alpha1/clusterreleases                           releases
GET    /apis/kaas.mirantis.com/v1alpha1/mccupgrades                               releases
PATCH  /apis/kaas.mirantis.com/v1alpha1/licenses/x                                releases
GET    /apis/kaas.mirantis.com/v1alpha1/unsupportedclusters                       releases

GET    /apis/lcm.mirantis.com/v1alpha1/nodemaintenancerequests                    management_cluster
GET    /apis/lcm.mirantis.com/v1alpha1/namespaces/a/clustermaintenancerequests    management_cluster
GET    /apis/lcm.mirantis.com/v1alpha1/nodeworkloadlocks                          management_cluster
GET    /apis/lcm.mirantis.com/v1alpha1/clusterworkloadlocks                       management_cluster
GET    /apis/lcm.mirantis.com/v1alpha1/nodedeletionrequests                       management_cluster
GET    /apis/lcm.mirantis.com/v1alpha1/namespaces/a/lcmmachines                   project_objects
GET    /apis/cluster.k8s.io/v1alpha1/machines                                     project_objects
GET    /apis/cluster.k8s.io/v1alpha1/namespaces/a/clusters/prod/status            project_objects
GET    /apis/kaas.mirantis.com/v1alpha1/namespaces/default/publickeys             project_objects
GET    /apis/ipam.mirantis.com/v1alpha1/namespaces/a/subnets                      project_objects
GET    /apis/dns.mirantis.com/v1alpha1/namespaces/a/zones                         project_objects
GET    /api/v1/namespaces/a/events                                                project_objects
GET    /api/v1/events                                                             project_objects
GET    /apis/events.k8s.io/v1/namespaces/a/events                                 project_objects
GET    /api/v1/namespaces/a/pods                                                  management_cluster
GET    /api/v1/namespaces/a/pods/p/exec                                           management_cluster
GET    /api/v1/proxy/namespaces/a/services/s                                      management_cluster
GET    /api/v1/nodes                                                              management_cluster
GET    /apis/rbac.authorization.k8s.io/v1/clusterroles                            management_cluster
GET    /apis/apps/v1/namespaces/a/deployments                                     management_cluster
"""


def surface(surfaces, method, url):
    path, mark, query = url.partition("?")
    info = read_request(method, path, query if mark else None, strict=True)
    return surfaces.surface_of(info, method, path.encode())


@pytest.mark.parametrize("row", [row for row in ROWS.splitlines() if row])
def test_a_request_falls_in_the_surface_of_the_page(row):
    method, url, expected = row.split()
    assert surface(SHIPPED, method, url) == expected


@pytest.mark.parametrize("name", SYSTEM_NAMESPACES)
def test_every_system_namespace_is_guarded(name):
    assert surface(SHIPPED, "GET", f"/api/v1/namespaces/{name}/events") == "management_cluster"
    assert surface(SHIPPED, "PUT", f"/api/v1/namespaces/{name}") == "management_cluster"
    assert surface(SHIPPED, "GET", f"/api/v1/namespaces/{name}") == "projects"


@pytest.mark.parametrize(
    ("matchers", "fits", "differs"),
    [
        ({"groups": frozenset({"g.io"})}, "GET /apis/g.io/v1/rs", "GET /apis/h.io/v1/rs"),
        ({"groups": frozenset({""})}, "GET /api/v1/rs", "GET /apis/h.io/v1/rs"),
        ({"resources": ("rs", "ts")}, "GET /apis/g.io/v1/ts", "GET /apis/g.io/v1/us"),
        ({"resources": ("*keys",)}, "GET /apis/g.io/v1/publickeys", "GET /apis/g.io/v1/keysets"),
        ({"resources": ("*keys", "keysets")}, "GET /apis/g.io/v1/keysets/x/status", "GET /apis/g.io/v1/status/keysets"),
        ({"namespaces": frozenset({"a"})}, "GET /api/v1/namespaces/a/rs", "GET /api/v1/namespaces/a"),
        ({"namespaces": frozenset({None})}, "GET /api/v1/namespaces/a", "GET /api/v1/namespaces/a/rs"),
        ({"namespaces": frozenset({None})}, "GET /metrics", "GET /apis/g/v1/namespaces/a"),
        ({"system_namespace": True}, "GET /api/v1/namespaces/kaas/rs", "GET /api/v1/namespaces/a/rs"),
        ({"system_namespace": True}, "GET /api/v1/namespaces/kaas/rs", "GET /api/v1/rs"),
        (
            {"system_namespace": True, "namespaces": frozenset({"kaas", "a"})},
            "GET /api/v1/namespaces/kaas/rs",
            "GET /api/v1/namespaces/system/rs",
        ),
        (
            {"system_namespace": True, "namespaces": frozenset({"kaas", "a"})},
            "GET /api/v1/namespaces/kaas/rs",
            "GET /api/v1/namespaces/a/rs",
        ),
        ({"system_namespace": False}, "GET /api/v1/namespaces/a/rs", "GET /api/v1/namespaces/kaas/rs"),
        ({"system_namespace": False}, "GET /api/v1/rs", "GET /apis/g/v1/namespaces/kaas/status"),
        ({"names": frozenset({"x"})}, "GET /api/v1/rs/x", "GET /api/v1/rs/y"),
        ({"names": frozenset({None})}, "GET /api/v1/rs", "GET /api/v1/rs/y"),
        ({"names": frozenset({"<any>"})}, "GET /api/v1/rs/x", "GET /api/v1/rs"),
        ({"names": frozenset({"<system>"})}, "GET /api/v1/rs/kaas", "GET /api/v1/rs/x"),
        ({"names": frozenset({"<system>"})}, "GET /api/v1/rs/kaas", "GET /api/v1/rs/%3csystem%3e"),
        ({"names": frozenset({"<system>", None})}, "GET /api/v1/rs", "GET /api/v1/rs/x"),
        ({"verbs": frozenset({"watch", "get"})}, "GET /api/v1/rs?watch", "GET /api/v1/rs"),
        ({"verbs": frozenset({"post"})}, "POST /metrics", "POST /api/v1/rs"),
        ({"methods": frozenset({"HEAD"})}, "HEAD /api/v1/rs", "GET /api/v1/rs"),
        ({"access": "write"}, "GET /api/v1/rs/x/exec", "GET /api/v1/rs/x"),
        ({"access": "read"}, "GET /api/v1/rs", "PUT /api/v1/rs/x"),
        ({"paths": ("/metrics",)}, "GET /metrics/", "GET /metrics/x"),
        ({"paths": ("/metrics",)}, "GET /metrics", "GET /xmetrics"),
        ({"paths": ("/logs/<file>",)}, "GET /logs/x", "GET /logs"),
        ({"paths": ("/logs/<file>",)}, "GET /logs/x", "GET /logs/x/y"),
        ({"paths": ("/logs/*",)}, "GET /logs/x/y", "GET /logsx"),
        ({"paths": ("/a.b", "/c")}, "GET /c", "GET /axb"),
        ({"paths": ("/api/*",)}, "GET /api/v1", "GET /api/v1/rs"),
    ],
)
def test_a_matcher_fits_what_it_names_and_nothing_else(matchers, fits, differs):
    surfaces = Surfaces([SurfaceRule(name="fits", **matchers)], frozenset({"kaas", "system"}))
    assert surface(surfaces, *fits.split()) == "fits"
    assert surface(surfaces, *differs.split()) == "management_cluster"


def test_the_first_rule_that_fits_wins_whatever_it_names():
    rules = [
        SurfaceRule(name="one", groups=frozenset({"g.io"}), verbs=frozenset({"list"})),
        SurfaceRule(name="two", resources=("rs",), verbs=frozenset({"list", "get"})),
        SurfaceRule(name="three", resources=("*s",)),
        SurfaceRule(name="four"),
        SurfaceRule(name="five", groups=frozenset({"g.io"})),
    ]
    surfaces = Surfaces(rules, frozenset())
    assert surface(surfaces, "GET", "/apis/g.io/v1/rs") == "one"
    assert surface(surfaces, "GET", "/apis/g.io/v1/rs/x") == "two"
    assert surface(surfaces, "GET", "/apis/h.io/v1/rs") == "two"
    assert surface(surfaces, "PUT", "/apis/g.io/v1/rs/x") == "three"
    assert surface(surfaces, "GET", "/apis/h.io/v1/ts/x") == "three"
    assert surface(surfaces, "GET", "/apis/g.io/v1/fish/x") == "four"
    assert surface(surfaces, "GET", "/metrics") == "four"


def test_without_rules_everything_is_the_management_cluster():
    assert surface(Surfaces([], frozenset()), "GET", "/api") == "management_cluster"
    assert surface(Surfaces([], frozenset()), "GET", "/api/v1/pods") == "management_cluster"


@pytest.mark.parametrize(
    ("url", "project", "is_object"),
    [
        ("/api/v1/namespaces/a", "a", True),
        ("/api/v1/namespaces/a/status", "a", True),
        ("/api/v1/namespaces", None, True),
        ("/api/v1/namespaces?fieldSelector=metadata.name=a", "a", True),
        ("/api/v1/namespaces/a/namespaces/b", "a", False),
        ("/apis/g.io/v1/namespaces/a", "a", False),
        ("/api/v1/namespaces/a/pods/b", "a", False),
        ("/api/v1/nodes/b", None, False),
        ("/metrics", None, False),
    ],
)
def test_the_project_of_a_request(url, project, is_object):
    path, mark, query = url.partition("?")
    info = read_request("GET", path, query if mark else None, strict=True)
    assert (project_of(info), is_namespace_object(info)) == (project, is_object)

import pytest

from proxy.client.errors import ClientError
from proxy.client.targets import ListedCluster, Reach, parse_target
from proxy.routing.target import ClusterRef

PROD, DEV, CHILD, MANAGEMENT = (
    ClusterRef(*name.split("/")) for name in ("team-a/prod", "team-b/dev.x", "default/child", "default/kaas-mgmt")
)
LISTED = (ListedCluster(PROD, False), ListedCluster(DEV, False), ListedCluster(CHILD, False), ListedCluster(MANAGEMENT, True))

# Roles; whether there is anything at the management API; whether all clusters, or those of which projects, have to be listed; those
# that the roles name; and what of LISTED is reached.
CASES = {
    "m:kaas@writer": (True, True, (), (), (PROD, DEV, CHILD)),
    "m:kaas@reader": (True, False, (), (), ()),
    "m:kaas@global-admin": (True, False, (), (), ()),
    "m:kaas@management-admin": (True, False, ("default",), (), (MANAGEMENT,)),
    "m:kaas:team-a@writer": (True, False, ("team-a",), (), (PROD,)),
    "m:kaas:team-a@operator": (True, False, ("team-a",), (), (PROD,)),
    "m:kaas:team-a@member m:kaas:team-b@reader": (True, False, ("team-a",), (), (PROD,)),
    "m:kaas:default@writer": (True, False, (), (), (CHILD,)),
    "m:k8s:team-b:dev.x@cluster-admin": (False, False, (), (DEV,), (DEV,)),
    "m:k8s:default:kaas-mgmt@cluster-admin": (False, False, (), (MANAGEMENT,), (MANAGEMENT,)),
    "m:sl:team-a:prod@admin": (False, False, (), (), ()),
    "offline_access": (False, False, (), (), ()),
    "": (False, False, (), (), ()),
}


@pytest.mark.parametrize(("roles", "expected"), CASES.items(), ids=CASES)
def test_what_roles_reach(roles, expected):
    reach = Reach(roles.split())
    assert (
        reach.has_management_api(),
        reach.reaches_every_project(),
        reach.projects(),
        reach.named_clusters(),
        reach.of_listed(LISTED),
    ) == expected


@pytest.mark.parametrize(
    ("roles", "project"),
    [
        ("m:kaas:team-a@writer m:kaas:team-a@reader", "team-a"),
        ("m:kaas:team-a@writer m:kaas:team-b@reader", None),
        ("m:kaas@writer", None),
        ("m:k8s:team-a:prod@cluster-admin", None),
    ],
)
def test_the_only_project_is_where_one_begins(roles, project):
    assert Reach(roles.split()).only_project() == project


@pytest.mark.parametrize(("text", "target"), [("kaas", None), ("team-a/prod", PROD), ("team-b/dev.x", DEV)])
def test_a_target_is_named(text, target):
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text", ["", "prod", "team-a/", "/prod", "team-a/prod/x", "Team-a/prod", "team-a/../x", "a.b/prod", "kaas/"]
)
def test_any_other_name_is_refused(text):
    with pytest.raises(ClientError, match="give a cluster as NAMESPACE/NAME, or kaas for the management API"):
        parse_target(text)

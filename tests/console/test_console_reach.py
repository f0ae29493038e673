"""The portal links to what a visitor's roles open, and to nothing else."""

import time

import pytest
from console_site import POLICY, ROUTES, console, directory, facts, page, visitor
from hypothesis import given
from hypothesis import strategies as st

from proxy.console.reach import portal
from proxy.policy.decision import Allowed
from proxy.policy.roles import RoleSet

SL = ["grafana", "prometheus"]


def links_of(site, *roles):
    """Return what is linked, as prefixes of requests."""
    found = portal(site, RoleSet.from_strings(roles))
    yield from ["/kaas"] if found.has_management_api else []
    for project in found.projects:
        for cluster in project.clusters:
            yield from [f"/k8s/{cluster.ref}"] if cluster.has_api else []
            yield from (f"/sl/{cluster.ref}/{app}" for app in cluster.applications)


def sl(*clusters):
    return [f"/sl/{cluster}/{app}" for cluster in clusters for app in SL]


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ([], []),
        (["m:kaas@global-admin"], ["/kaas"]),
        (["m:kaas@management-admin"], ["/kaas", "/k8s/default/kaas-mgmt"]),
        (["m:kaas@reader"], ["/kaas"]),
        (
            ["m:kaas@writer"],
            ["/kaas", "/k8s/a/prod", *sl("a/prod"), "/k8s/a/test", *sl("a/test"), "/k8s/b/prod", *sl("b/prod")],
        ),
        (["m:kaas:a@reader"], ["/kaas"]),
        (["m:kaas:a@member"], ["/kaas", "/k8s/a/prod", *sl("a/prod"), "/k8s/a/test", *sl("a/test")]),
        (["m:k8s:a:prod@cluster-admin"], ["/k8s/a/prod", *sl("a/prod")]),
        (["m:sl:a:prod@admin"], sl("a/prod")),
        (["m:sl:default:kaas-mgmt@admin"], sl("default/kaas-mgmt")),
        (["m:sl:a:gone@admin"], []),
    ],
)
def test_links_by_role(roles, expected):
    assert list(links_of(facts(), *roles)) == expected


ROLES = st.sampled_from(
    [
        "m:kaas@writer",
        "m:kaas@reader",
        "m:kaas@management-admin",
        "m:kaas:a@writer",
        "m:kaas:b@member",
        "m:kaas:default@writer",
        "m:k8s:a:test@cluster-admin",
        "m:k8s:default:kaas-mgmt@cluster-admin",
        "m:sl:b:prod@admin",
        "m:kaas:a@bm-pool-operator",
    ]
)


@given(st.sets(ROLES))
def test_every_link_is_a_request_that_would_be_allowed_and_none_is_missing(roles):
    site = facts()
    asked = ["/kaas"]
    for ref in site.directory.cluster_apis:
        asked += [f"/k8s/{ref}", *(f"/sl/{ref}/{app}" for app in SL)]
    probes = {"/kaas": "/kaas/api"} | {link: f"{link}/version" for link in asked if link.startswith("/k8s")}
    targets = {link: ROUTES.resolve("GET", None, probes.get(link, f"{link}/").encode()) for link in asked}
    held = RoleSet.from_strings(roles)
    allowed = {link for link, target in targets.items() if isinstance(POLICY.authorize(held, target), Allowed)}
    assert set(links_of(site, *roles)) == allowed


def names(found):
    return [str(cluster.ref) for project in found.projects for cluster in project.clusters]


def test_a_reader_sees_clusters_that_are_not_open():
    found = portal(facts(), RoleSet.from_strings(["m:kaas:a@reader"]))
    assert names(found) == ["a/prod", "a/test"]


def test_clusters_of_others_are_not_named():
    found = portal(facts(), RoleSet.from_strings(["m:k8s:a:prod@cluster-admin"]))
    assert names(found) == ["a/prod"]
    assert (found.shown, found.hidden) == (1, 0)


def test_own_projects_are_there_without_a_cluster():
    found = portal(facts(), RoleSet.from_strings(["m:kaas:empty@writer"]))
    assert [project.name for project in found.projects] == ["empty"]


def test_without_a_management_api_there_is_no_link_to_it():
    site = facts(directory=directory("a/prod", management=False))
    assert list(links_of(site, "m:kaas@reader")) == []


@pytest.mark.parametrize(("wanted", "expected"), [("PROD", ["a/prod", "b/prod"]), ("b/", ["b/prod"]), ("x", [])])
def test_the_filter_looks_at_project_and_cluster(wanted, expected):
    found = portal(facts(), RoleSet.from_strings(["m:kaas@writer"]), wanted)
    assert names(found) == expected
    assert (found.shown, found.shown + found.hidden) == (len(expected), 4)


async def test_the_page_links_to_it(aiohttp_client):
    client = await aiohttp_client(console(visitor("m:k8s:a:prod@cluster-admin")))
    found = await page(client, "/?filter=pro")
    wanted = ["/console/kubeconfig?cluster=a/prod", "/sl/a/prod/grafana/", "/sl/a/prod/prometheus/"]
    assert [link for link in found.links if "a/prod" in link] == wanted
    assert "No cluster has “zzz”" in (await page(client, "/?filter=zzz")).text


@pytest.mark.parametrize(
    ("role", "changes", "count"),
    [
        ("m:kaas@writer", {}, 2),
        ("m:kaas@writer", {"tokens": None}, 1),
        ("m:k8s:a:prod@cluster-admin", {}, 2),
        ("m:sl:a:prod@admin", {}, 0),
    ],
)
async def test_one_file_for_everything_is_offered_where_there_is_an_api(aiohttp_client, role, changes, count):
    client = await aiohttp_client(console(visitor(role), facts(**changes)))
    found = await page(client, "/")
    assert len([link for link in found.links if "all=true" in link]) == count


async def test_a_thousand_clusters_take_less_than_a_blink(aiohttp_client):
    """Measured in processor time of one rendering after a first one, which compiles the template."""
    apps = ("grafana", "prometheus", "alertmanager")
    site = facts(directory=directory(*(f"p{number % 40}/c{number}" for number in range(1000)), apps=apps))
    client = await aiohttp_client(console(visitor("m:kaas@writer"), site))
    await page(client, "/?filter=nothing")
    took = []
    for _ in range(3):
        began = time.process_time()
        answer = await client.get("/")
        took.append(time.process_time() - began)
        assert (await answer.text()).count("/grafana/") == 1000
    print(f"{min(took) * 1000:.1f} ms")
    assert min(took) < 0.2

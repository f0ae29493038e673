import contextlib
import json

import pytest
from aiohttp import web as server
from client_issuer import serving

from proxy.client.cluster_list import Listing, list_clusters
from proxy.client.targets import ListedCluster, Reach
from proxy.routing.target import ClusterRef

ALL = "/kaas/apis/cluster.k8s.io/v1alpha1/clusters"
PROJECT = "/kaas/apis/cluster.k8s.io/v1alpha1/namespaces/{}/clusters"


def cluster(name: str, **spec) -> dict:
    namespace, _, name = name.partition("/")
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


class Api:
    """A management API behind an entry: pages by path, each a list of clusters or an answer."""

    def __init__(self, **pages):
        self.url, self.pages, self.asked = "", pages, []

    async def handle(self, request):
        self.asked.append(request.path_qs)
        assert request.headers["Authorization"] == "Bearer t1"
        found = self.pages[request.path]
        if isinstance(found, server.Response):
            return found
        number = int(request.query.get("continue", "0/x").partition("/")[0])
        following = {} if number + 1 == len(found) else {"continue": f"{number + 1}/x&y"}
        return server.json_response({"items": found[number], "metadata": following})


async def listed(client, api, *roles) -> Listing:
    return await list_clusters(client, api.url.removesuffix("/realm"), "t1", Reach(roles))


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:
        yield lambda pages: stack.enter_context(serving(Api(**pages)))


async def test_a_global_writer_s_clusters_are_listed_page_by_page(client, serve):
    management = {"providerSpec": {"value": {"kaas": {"management": {"enabled": True}}}}}
    api = serve({ALL: [[cluster("team-a/prod"), cluster("default/kaas-mgmt", **management)], [cluster("team-b/dev")]]})
    assert await listed(client, api, "m:kaas@writer") == Listing(
        (
            ListedCluster(ClusterRef("team-a", "prod"), False),
            ListedCluster(ClusterRef("default", "kaas-mgmt"), True),
            ListedCluster(ClusterRef("team-b", "dev"), False),
        )
    )
    assert api.asked == [f"{ALL}?limit=250", f"{ALL}?limit=250&continue=1/x%26y"]


async def test_a_project_s_are_listed_there_and_what_fails_is_not_known(client, serve):
    refused = server.json_response({"kind": "Status", "message": "no\nmore"}, status=403)
    api = serve({PROJECT.format("team-a"): [[cluster("team-a/prod")]], PROJECT.format("team-b"): refused})
    listing = await listed(client, api, "m:kaas:team-a@writer", "m:kaas:team-b@member", "m:kaas:team-c@reader")
    assert listing.clusters == (ListedCluster(ClusterRef("team-a", "prod"), False),)
    assert [(project, reason.partition(": ")[2]) for project, reason in listing.unknown] == [("team-b", "answered 403: no more")]
    assert listing.covers(ClusterRef("team-a", "gone"))
    assert not listing.covers(ClusterRef("team-b", "gone"))


async def test_nothing_is_asked_for_roles_that_name_their_cluster(client, serve):
    api = serve({})
    assert await listed(client, api, "m:k8s:team-a:prod@cluster-admin", "m:kaas@reader") == Listing()
    assert api.asked == []


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        {},
        {"metadata": None},
        {"metadata": {"namespace": "team-a"}},
        {"metadata": {"namespace": "../x", "name": "prod"}},
        {"metadata": {"namespace": "team-a", "name": "a/b"}},
        {"metadata": {"namespace": "team-a", "name": 7}},
    ],
)
async def test_a_broken_object_does_not_spoil_the_rest(client, serve, item):
    api = serve({ALL: [[item, cluster("team-a/prod")]]})
    assert (await listed(client, api, "m:kaas@writer")).clusters == (ListedCluster(ClusterRef("team-a", "prod"), False),)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"providerSpec": None},
        {"providerSpec": {"value": {"kaas": []}}},
        {"providerSpec": {"value": {"kaas": {"management": 7}}}},
    ],
)
async def test_only_true_makes_a_management_cluster(client, serve, spec):
    api = serve({ALL: [[cluster("default/x", **spec)]]})
    assert not (await listed(client, api, "m:kaas@writer")).clusters[0].is_management


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (server.Response(text="<html>"), "is not a list of clusters"),
        (server.Response(text=json.dumps({"items": 7})), "is not a list of clusters"),
        (server.Response(status=502, text="<html>"), "answered 502"),
        (server.Response(status=302, headers={"Location": "http://evil.example"}), "answered 302"),
    ],
)
async def test_an_answer_that_is_no_list_leaves_everything_unknown(client, serve, answer, reason):
    listing = await listed(client, serve({ALL: answer}), "m:kaas@writer")
    assert (listing.unknown[0][0], reason in listing.unknown[0][1]) == (None, True)
    assert not listing.covers(ClusterRef("any", "any"))


async def test_a_list_without_end_is_given_up(client, serve):
    api = serve({ALL: [[]] * 200})
    listing = await listed(client, api, "m:kaas@writer")
    assert (len(api.asked), listing.unknown[0][1].partition(": ")[2]) == (100, "lists more than 25000 clusters")

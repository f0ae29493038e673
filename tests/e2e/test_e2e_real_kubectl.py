"""Each kubectl found, through mosk-proxy, against a real API server: the same as straight at it.

The oldest and the newest release, and those between which the transports of streams changed, are tried with every verb; the others
with the core.
"""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from e2e_kubectl import NAMES, THOROUGH, Kubectl, assert_same
from e2e_verbs import CORE, FURTHER, Verb
from e2e_world import World

pytestmark = pytest.mark.e2e

# The other kind of credential changes nothing for a client: the two ends of the range will do.
CASES = [
    pytest.param(name, way, verb, id=f"{name}-{way}-{verb.__name__}")
    for name in NAMES
    for way, verbs in (
        ("impersonate", (*CORE, *FURTHER) if name in THOROUGH else CORE),
        ("pass_token", CORE if name in {NAMES[0], NAMES[-1]} else ()),
    )
    for verb in verbs
]


@pytest.mark.parametrize(("kubectl_release", "way", "verb"), CASES, indirect=["kubectl_release"])
def test_a_verb_is_as_straight_at_the_server(
    ways: Mapping[str, Kubectl], way: str, verb: Verb, pairs: ThreadPoolExecutor
) -> None:
    through, straight = pairs.map(verb, (ways[way], ways["directly"]))
    assert_same(ways["directly"], straight, ways[way], through)


def test_who_one_is(ways: Mapping[str, Kubectl]) -> None:
    question = ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
    straight = ways["directly"].run(*question)
    if straight.status:  # 1.27 asks for a version of the API that is gone
        assert ways["impersonate"].run(*question) == straight
        return
    assert straight.out == 'prod-cluster-admin ["m:k8s:team-a:prod@cluster-admin","system:authenticated"]'
    assert ways["impersonate"].ok(*question) == straight.out
    assert ways["pass_token"].ok(*question) == straight.out.replace("team-a:prod", "team-b:dev").replace("prod-", "dev-")


def test_a_raw_path_is_below_the_server_s_or_whole(ways: Mapping[str, Kubectl], world: World) -> None:
    through = ways["impersonate"]
    whole = world.url("impersonate").removeprefix(world.door.url) + "/version"
    said = through.run("get", "--raw", "/version" if through.release.version >= (1, 34) else whole)
    assert said == ways["directly"].run("get", "--raw", "/version")
    assert '"gitVersion"' in said.out


def test_a_user_without_the_role_is_told_which_role_would_help(world: World, ways: Mapping[str, Kubectl]) -> None:
    marker = f"refused-{uuid.uuid4().hex}"
    reader = world.kubectl(ways["impersonate"].release, f"{world.door.url}/kaas", "team-a-reader", "kaas")
    assert reader.ok("-n", "team-a", "get", "clusters", "-o", "name") == "cluster.cluster.k8s.io/prod\n"
    refused = reader.run("-n", "team-a", "get", "secrets", "-l", f"marker={marker}")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        'Error from server (Forbidden): User "team-a-reader" cannot list resource "secrets" in API group "" in the namespace '
        '"team-a" of the management API; read on secrets in project team-a is granted by m:kaas:team-a@member, '
        "m:kaas:team-a@operator, m:kaas:team-a@writer, m:kaas@writer, m:kaas@management-admin\n"
    )
    assert not any(marker in line["requestURI"] for line in world.management.audit.lines())


def test_a_user_without_any_right_in_a_cluster_is_told_so_before_anything_is_known_of_it(
    world: World, ways: Mapping[str, Kubectl]
) -> None:
    for path in ("/k8s/team-a/prod", "/k8s/team-a/no-such-cluster"):
        stranger = world.kubectl(ways["impersonate"].release, world.door.url + path, "team-a-reader")
        refused = stranger.run("get", "pods")
        cluster = path.removeprefix("/k8s/")
        assert refused.status == 1
        assert f'Warning: User "team-a-reader" cannot get path "/api" of cluster "{cluster}"; ' in refused.err
        assert "is granted by" in refused.err
        assert "m:kaas:team-a@writer" in refused.err
        assert "(Forbidden)" in refused.err


def test_impersonation_is_not_for_clients(ways: Mapping[str, Kubectl]) -> None:
    ways["impersonate"].ok("get", "pods")  # discovery is known now
    refused = ways["impersonate"].run("get", "pods", "--as", "somebody", "--as-group", "system:masters")
    assert (refused.status, refused.out) == (1, "")
    assert "impersonation headers are not accepted here" in refused.err


def test_bad_tokens_are_explained(world: World, ways: Mapping[str, Kubectl]) -> None:
    server = f"{world.door.url}/k8s/team-a/prod"
    bad = world.kubectl(ways["impersonate"].release, server, "prod-cluster-admin", token=world.expired_token())
    refused = bad.run("get", "pods")
    assert refused.status == 1
    assert "Warning: token expired\n" in refused.err
    assert "You must be logged in to the server" in refused.err
    good = world.kubectl(ways["impersonate"].release, server, "prod-cluster-admin")
    good.ok("get", "pods")
    refused = good.run("get", "pods", "--token", world.expired_token())
    assert (refused.status, refused.err) == (1, "error: You must be logged in to the server (token expired)\n")

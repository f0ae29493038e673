"""Which requests go out, and what counts as an answer."""

from itertools import islice

import pytest

from bench.rounds import MAKERS, unproxied
from bench.scenarios import DIRECTORY, PROD, SCENARIOS, distinct, named, of_clusters, of_headers, of_roles
from bench.workload import Requests, User, Workload, WrongAnswer, fields_of, head_of, whole_answer, whole_refusal


class NumberedTokens:
    """Stands for the issuer where a signature does not matter: the roles are readable in the token."""

    def token(self, username: str, roles: list[str]) -> str:
        return f"{username}={','.join(roles)}"


def asked(request: bytes) -> tuple[str, str]:
    """Path and token of a request."""
    lines = request.decode().split("\r\n")
    [bearer] = [line for line in lines if line.startswith("Authorization: ")]
    return lines[0].split(" ")[1], bearer.removeprefix("Authorization: Bearer ")


def test_users_change_with_each_request_and_paths_with_each_round_of_users() -> None:
    requests = Requests.of(Workload([User("t0"), User("t1")], [["/a", "/b", "/c"]]), "localhost")
    assert [asked(request) for request in islice(requests.in_turn(0), 7)] == [
        ("/a", "t0"),
        ("/a", "t1"),
        ("/b", "t0"),
        ("/b", "t1"),
        ("/c", "t0"),
        ("/c", "t1"),
        ("/a", "t0"),
    ]


def test_connections_start_at_different_places() -> None:
    requests = Requests.of(Workload([User(f"t{n}") for n in range(100)], [["/a"]]), "localhost")
    assert len({next(requests.in_turn(connection)) for connection in range(32)}) == 32


def test_once_sends_each_token_a_single_time() -> None:
    requests = Requests.of(Workload([User("t0"), User("t1", 1)], [["/a", "/b"], ["/c"]], once=True), "localhost")
    assert [asked(request) for request in requests.once()] == [("/a", "t0"), ("/c", "t1")]


def test_a_request_is_one_whole_head() -> None:
    request = b"GET /a" + head_of("localhost:1", "t")
    assert request.startswith(b"GET /a HTTP/1.1\r\nHost: localhost:1\r\n")
    assert request.endswith(b"\r\n\r\n")
    assert request.count(b"\r\n\r\n") == 1


def test_the_direct_way_asks_without_the_prefix() -> None:
    assert unproxied(Workload([User("t")], [["/k8s/a/b/api/v1/pods"]])).path_lists == [["/api/v1/pods"]]


@pytest.mark.parametrize("total", [1, 100, 1000])
def test_users_of_many_clusters_ask_only_clusters_they_have_a_role_for(total: int) -> None:
    workload = of_clusters(NumberedTokens(), DIRECTORY[:total])
    assert len(workload.users) == 100
    asked_for = set()
    for user in workload.users:
        for path in workload.path_lists[user.path_list]:
            namespace, name = path.split("/")[2:4]
            assert f"m:k8s:{namespace}:{name}@cluster-admin" in user.token
            asked_for.add((namespace, name))
    assert len(asked_for) == total


@pytest.mark.parametrize(("count", "place"), [(1, 0), (10, 5), (100, 50), (1000, 500)])
def test_a_token_of_so_many_roles(count: int, place: int) -> None:
    [user] = of_roles(count, NumberedTokens(), (PROD,)).users
    roles = user.token.partition("=")[2].split(",")
    assert len(set(roles)) == count
    assert roles.index(PROD.role) == place


def test_distinct_paths_never_come_twice() -> None:
    workload = distinct(NumberedTokens(), (PROD,))
    sent = []
    for _ in range(2):
        requests = Requests.of(workload, "localhost")
        for connection in range(3):
            sent += [asked(request) for request in islice(requests.in_turn(connection), 200)]
    assert len({path for path, _ in sent}) == len(sent) == 1200
    assert len({token for _, token in sent}) == 100


@pytest.mark.parametrize("size", [1024, 8192, 10_000])
def test_further_header_fields_have_the_size_asked_for(size: int) -> None:
    fields = fields_of(size)
    assert len(fields) == size
    assert max(map(len, fields.splitlines())) <= 1024
    [user] = of_headers(size, NumberedTokens(), (PROD,)).users
    assert fields in head_of("h", user.token, fields).decode()
    assert len({line.partition(":")[0] for line in fields.splitlines()}) == len(fields.splitlines())


def test_without_a_token_no_credential_is_sent() -> None:
    assert b"Authorization" not in head_of("h", "")


def test_each_scenario_measures_peers_that_can_be_made() -> None:
    for scenario in SCENARIOS:
        assert set(scenario.peers) <= MAKERS.keys()
        assert scenario.peers[0] == "mosk-proxy"


def test_what_grows_has_a_place_for_each_scenario() -> None:
    places = [scenario.growth for scenario in SCENARIOS if scenario.growth]
    assert len(set(places)) == len(places) == 10


def test_scenarios_are_found_by_name_in_the_order_of_the_table() -> None:
    assert [scenario.name for scenario in named(["latency", "one"])] == ["one", "latency"]
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    with pytest.raises(KeyError, match="nothing"):
        named(["one", "nothing"])


BODY = b'{"a": 1}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + BODY


@pytest.mark.parametrize("length", range(1, len(GOOD)))
def test_part_of_a_good_answer_is_not_whole_yet(length: int) -> None:
    assert not whole_answer(GOOD[:length], BODY)


def test_a_good_answer_is_whole() -> None:
    assert whole_answer(GOOD, BODY)


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 401 Unauthorized\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"XTTP",
        GOOD + b"x",
        GOOD[:-1] + b"]",
        GOOD[:-3] + b"2",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + BODY + b"\r\n0\r\n\r\n",
    ],
    ids=["status", "version", "no HTTP", "too long", "last byte", "partial body", "chunked"],
)
def test_anything_else_is_wrong_at_once(received: bytes) -> None:
    with pytest.raises(WrongAnswer):
        whole_answer(received, BODY)


REFUSED = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnope"


@pytest.mark.parametrize("length", range(1, len(REFUSED)))
def test_part_of_a_refusal_is_not_whole_yet(length: int) -> None:
    assert not whole_refusal(REFUSED[:length], 403)


def test_a_refusal_is_whole_whatever_it_says() -> None:
    assert whole_refusal(REFUSED, 403)


@pytest.mark.parametrize(
    "received",
    [GOOD, b"HTTP/1.1 401 ", REFUSED + b"x", b"HTTP/1.1 403 Forbidden\r\n\r\n"],
    ids=["200", "401", "too long", "no length"],
)
def test_another_answer_is_no_refusal(received: bytes) -> None:
    with pytest.raises(WrongAnswer):
        whole_refusal(received, 403)

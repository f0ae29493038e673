"""What is remembered for a header block: by its exact bytes, only for tokens that were believed, within bounds, until a reload."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from edge_door import POD, Door

from proxy.edge import memory as edge_memory
from proxy.edge.memory import BlockMemories, BlockMemory, JudgedRequest
from proxy.routing.request_head import check_header_block

Maker = Callable[..., Door]
BLOCK = check_header_block([(b"Host", b"entry.example")], is_http11=True)
SITE, OTHER_SITE = object(), object()


def made(raw: bytes, site: object = SITE) -> BlockMemory:
    return BlockMemory(site, BLOCK, raw)  # type: ignore[arg-type]


def test_a_block_is_found_by_its_bytes_and_its_site() -> None:
    memories, one = BlockMemories(), made(b"\r\nA: b\r\n\r\n")
    memories.keep(one)
    assert memories.find(b"\r\nA: b\r\n\r\n", SITE) is one  # type: ignore[arg-type]
    assert memories.find(b"\r\nA: c\r\n\r\n", SITE) is None  # type: ignore[arg-type]
    assert memories.find(b"\r\nA: b\r\n\r\n", OTHER_SITE) is None  # type: ignore[arg-type]


def test_what_may_not_be_repeated_is_not_kept() -> None:
    memories = BlockMemories()
    memories.keep(made(b""))
    assert len(memories) == 0


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    memories, used = BlockMemories(), made(b"used")
    memories.keep(used)
    for number in range(10 * edge_memory._MOST_BLOCKS):
        memories.keep(made(b"%d" % number))
        assert memories.find(b"used", SITE) is used  # type: ignore[arg-type]
    assert len(memories) <= 2 * edge_memory._MOST_BLOCKS
    assert memories.find(b"0", SITE) is None  # type: ignore[arg-type]


def test_large_blocks_are_bounded_by_their_bytes() -> None:
    memories = BlockMemories()
    for number in range(1000):
        memories.keep(made(b"%060000d" % number))
    assert len(memories) * 60_000 <= 2 * edge_memory._MOST_BYTES


def test_a_block_is_kept_for_all_connections_once_its_token_was_believed(entry: Door) -> None:
    edge = entry.running.edge
    known = len(edge.memories)
    assert entry.ask("GET", POD, "X-Mine: 1", roles=()).status == 403
    assert len(edge.memories) == known + 1
    refused = entry.connect()
    refused.send(entry.head("GET", POD, "X-Mine: 2").replace(b"Bearer ", b"Bearer x"))
    assert refused.answer().status == 401
    assert len(edge.memories) == known + 1


def known_requests(entry: Door, head: bytes) -> dict[bytes, JudgedRequest | None]:
    memory = entry.running.edge.memories.find(head[head.index(b"\r\n") :], entry.running.edge.site)
    assert memory is not None
    return memory.requests


def without_ids(request: bytes) -> bytes:
    return re.sub(rb"(X-Request-Id: |traceparent: 00-)[0-9a-f-]+", rb"\1", request)


def test_a_request_that_is_repeated_is_sent_and_recorded_as_the_first_time(entry: Door) -> None:
    head = entry.head("GET", POD + "?pretty=1", "X-Repeated: y")
    wire = entry.connect()
    for _ in range(4):
        wire.send(head)
        assert wire.answer().status == 200
    assert list(known_requests(entry, head)) == [head[: head.index(b"\r\n")]]
    sent = entry.upstream.taken()
    assert len({without_ids(request) for request in sent}) == 1
    assert len(set(sent)) == 4
    lines = [line for line in entry.audit_lines(4) if line["request_id"] in str(sent)]
    changing = ("time", "request_id", "duration_ms")
    assert len({str({key: value for key, value in line.items() if key not in changing}) for line in lines}) == 1
    assert lines[-1]["path"] == POD


def test_only_the_last_few_short_request_lines_are_remembered(entry: Door) -> None:
    wire = entry.connect()
    for number in range(4 * edge_memory._MOST_REQUESTS):
        wire.send(entry.head("GET", f"{POD}-{number}", "X-Few: y"))
        assert wire.answer().status == 200
        assert len(known_requests(entry, entry.head("GET", POD, "X-Few: y"))) <= edge_memory._MOST_REQUESTS
    for _ in range(3):
        wire.send(entry.head("GET", POD + "?x=" + "x" * edge_memory._LONGEST_LINE, "X-Short: y"))
        assert wire.answer().status == 200
    assert known_requests(entry, entry.head("GET", POD, "X-Short: y")) == {}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/k8s/team-b/prod/api/v1/pods", 403),
        ("/k8s/team-a/nowhere/api/v1/pods", 404),
        ("/sl/team-a/prod/grafana", 308),
        ("/k8s/team-a/prod/api//v1", 400),
        ("/", 200),
        ("/k8s/team-a/prod/api/v1/pods?watch=1", 200),
    ],
)
def test_refusals_redirects_our_own_pages_and_streams_are_judged_each_time(entry: Door, target: str, status: int) -> None:
    head = entry.head("GET", target, "X-Each-Time: y")
    first = entry.connect()
    first.send(entry.head("GET", POD, "X-Each-Time: y"))
    assert first.answer().status == 200
    for _ in range(3):
        wire = entry.connect()
        wire.send(head)
        assert wire.answer().status == status
    assert head[: head.index(b"\r\n")] not in known_requests(entry, head)


def test_a_judgement_ends_with_the_identity_that_it_was_made_for(entry: Door) -> None:
    head = entry.head("GET", POD, "X-Ends: y")
    wire = entry.connect()
    for _ in range(3):
        wire.send(head)
        assert wire.answer().status == 200
    (judged,) = known_requests(entry, head).values()
    memory = entry.running.edge.memories.find(head[head.index(b"\r\n") :], entry.running.edge.site)
    assert memory is not None
    assert memory.identity is not None
    memory.identity = other = replace(memory.identity, username="bob")
    entry.upstream.taken()
    wire.send(head)
    assert wire.answer().status == 200
    (again,) = known_requests(entry, head).values()
    assert judged is not None
    assert again is not None
    assert (again.carriage.admission.identity, judged.carriage.admission.identity is other) == (other, False)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_get_and_head_take_the_short_way(entry: Door, method: str) -> None:
    head = entry.head("GET", POD, "X-Method: y")
    wire = entry.connect()
    for line in (head, head.replace(b"GET ", method.encode() + b" ", 1), head):
        wire.send(line)
        assert wire.answer().status == 200
    assert [request.split(b" ")[0].decode() for request in entry.upstream.taken()] == ["GET", method, "GET"]


def test_a_version_is_part_of_what_is_remembered(entry: Door) -> None:
    head = entry.head("GET", POD, "X-Version: y")
    wire = entry.connect()
    wire.send(head)
    assert wire.answer().status == 200
    wire.send(head.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert wire.answer()["connection"] == "close"


def test_two_users_on_one_connection_stay_two(entry: Door) -> None:
    ann, bob = entry.head("GET", POD), entry.head("GET", POD, roles=["m:k8s:team-a:prod@cluster-admin"])
    wire = entry.connect()
    for head in (ann, bob, ann, bob):
        wire.send(head)
        assert wire.answer().status == 200
    granted = [request.partition(b"Granted-By: ")[2].partition(b"\r\n")[0] for request in entry.upstream.taken()]
    assert granted == [b"m:kaas:team-a@writer", b"m:k8s:team-a:prod@cluster-admin"] * 2


def test_a_token_that_expires_is_refused_in_the_same_block(make_door: Maker) -> None:
    entry = make_door(
        issuers=[{"issuer": "https://issuer.example", "audiences": ["k8s"], "jwks_file": "jwks.json", "leeway_seconds": 0}]
    )
    token = entry.issuer.token(exp=int(time.time()) + 2)
    head = entry.head("GET", POD).partition(b"Bearer ")[0] + f"Bearer {token}\r\n\r\n".encode()
    wire = entry.connect()
    statuses = set()
    for _ in range(40):
        wire.send(head)
        statuses.add(wire.answer().status)
        time.sleep(0.07)
    assert statuses == {200, 401}


def test_what_nobody_vouches_for_is_not_held_by_an_idle_connection(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", POD, "X-Large: " + "x" * 30_000).replace(b"Bearer ", b"Bearer x"))
    assert wire.answer().status == 401
    before = set(entry.running.edge.connections)
    assert [connection for connection in before if connection._memory is not None and len(connection._memory.raw) > 30_000] == []

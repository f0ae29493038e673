"""What is remembered for a header block: by its exact bytes, only for tokens that were believed, within bounds, until a reload."""

import time
from collections.abc import Callable

import pytest
from edge_door import POD, Door

from proxy.edge import memory as edge_memory
from proxy.edge.memory import BlockMemories, BlockMemory
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

"""Bulk, tunnels and watches, straight at the upstream and through the one peer that Python alone can start."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bench import cpu, peer_aiohttp, streams
from bench.client import Outcome
from bench.identities import Issuer, write_certificate
from bench.peers import Probe, Running, check, running
from bench.processes import Unusable, answer_of, started_client, upstream
from bench.scenarios import STREAMS, granted
from bench.site import Site
from bench.transfers import Kind, TransferPlan
from bench.upstream import body_of
from bench.watchers import Order, WatchPlan
from bench.watching import bearable, watchers

KINDS = [
    (Kind.DOWNLOAD, streams.list_path(300_000), 300_000),
    (Kind.UPLOAD, streams.upload_path(600_000), 600_000),
    (Kind.TUNNEL, streams.EXEC, 0),
]


@pytest.fixture(scope="module")
def stream_port() -> Iterator[int]:
    with upstream("bench.stream_upstream") as port:
        yield port


@pytest.fixture(scope="module")
def proxied(stream_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """The aiohttp peer behind TLS, and a good token."""
    folder = tmp_path_factory.mktemp("site")
    issuer = Issuer()
    site = Site(folder, (STREAMS,), 1, issuer.write_keys(folder), *write_certificate(folder), stream_port)
    token = issuer.token("ann", granted(STREAMS))
    with running(peer_aiohttp.peer(site), folder / "err", site.certificate_file) as found:
        path = STREAMS.prefix + streams.list_path(1024)
        probes = [
            Probe("none", path, None, 401),
            Probe("forged", path, Issuer().token("ann", granted(STREAMS)), 401),
            Probe("other roles", path, issuer.token("bob", []), 403),
            Probe("good", path, token, 200),
            Probe("good again, remembered", path, token, 200),
        ]
        check(found, probes, body_of(1024))
        yield found, token


def plan(kind: Kind, path: str, size: int, **more: object) -> TransferPlan:
    usual = TransferPlan(port=0, kind=kind, path=path, token="t", size=size, connections=2, seconds=0.05)
    return msgspec.structs.replace(usual, **more)


def carried(asked: TransferPlan) -> Outcome:
    return answer_of(started_client("bench.transfers"), asked, "peer", Outcome)


def test_bytes_are_carried_for_as_long_as_asked(stream_port: int) -> None:
    outcome = carried(plan(*KINDS[0], port=stream_port, seconds=0.1))
    assert outcome.answers >= 2, "one over each connection at least"
    assert outcome.seconds >= 0.1


@pytest.mark.parametrize(("kind", "path", "size"), KINDS)
def test_bytes_are_carried_through_a_proxy(proxied: tuple[Running, str], kind: Kind, path: str, size: int) -> None:
    peer, token = proxied
    asked = plan(kind, STREAMS.prefix + path, size, port=peer.port, token=token, pids=peer.pids, ca_file=peer.ca)
    outcome = carried(asked)
    assert outcome.answers >= 2
    assert outcome.cpu_ns > 0


def test_a_refused_transfer_ends_the_measurement(proxied: tuple[Running, str]) -> None:
    peer, _ = proxied
    with pytest.raises(Unusable, match=r"not 101: .* 401 "):
        carried(plan(Kind.TUNNEL, STREAMS.prefix + streams.EXEC, 0, port=peer.port, token="bad", ca_file=peer.ca))


@pytest.mark.parametrize(
    ("kind", "path", "size"),
    [
        (Kind.DOWNLOAD, streams.list_path(300_000), 300_001),
        (Kind.UPLOAD, streams.upload_path(600_000), 600_001),
        (Kind.TUNNEL, streams.EXEC + "x", 0),
    ],
    ids=["another size", "body of another size", "no such command"],
)
def test_anything_unexpected_ends_the_measurement(stream_port: int, kind: Kind, path: str, size: int) -> None:
    with pytest.raises(Unusable, match=r"peer: (not|the connection)"):
        carried(plan(kind, path, size, port=stream_port))


@pytest.mark.parametrize(("size", "found"), [(1, 1), (streams.LARGEST, streams.LARGEST), (streams.LARGEST + 1, None), (0, None)])
def test_sizes_are_bounded(size: int, found: int | None) -> None:
    for path in (streams.list_path(size), streams.log_path(size), streams.upload_path(size)):
        assert streams.size_of(path.encode()) == found
    assert streams.size_of(streams.WATCH.encode()) is None


def test_a_burst_is_binary_frames_of_known_length() -> None:
    up, down = streams.burst(masked=True), streams.burst(masked=False)
    assert len(up) - len(down) == 4 * streams.FRAMES, "the mask"
    assert up[:2] == b"\x82\xfe"
    assert down[:2] == b"\x82\x7e"
    assert hashlib.sha256(up[8 : 8 + streams.PAYLOAD][1:]).digest() == hashlib.sha256(down[4 : 4 + streams.PAYLOAD][1:]).digest()


@pytest.mark.parametrize("through", ["straight", "proxy"])
def test_all_watches_get_an_event_are_closed_and_opened_again(
    stream_port: int, proxied: tuple[Running, str], through: str
) -> None:
    peer, token = proxied if through == "proxy" else (Running("direct", stream_port, 0, prefixed=False), "t")
    path = peer.path(STREAMS.prefix, streams.WATCH)
    asked = WatchPlan(peer.port, stream_port, path, [token], 20, peer.pids, 0.0, peer.ca)
    with watchers(asked, peer.name) as held:
        opened, event, closed, again, last = map(held.obey, (Order.OPEN, Order.EVENT, Order.CLOSE, Order.OPEN, Order.EVENT))
    for stage in (opened, event, closed, again, last):
        assert stage.began_ns <= stage.ended_ns
        assert (stage.resident_kb > 0) is (through == "proxy")


def test_a_refused_watch_ends_the_measurement(proxied: tuple[Running, str], stream_port: int) -> None:
    peer, _ = proxied
    asked = WatchPlan(peer.port, stream_port, peer.path(STREAMS.prefix, streams.WATCH), ["bad"], 3, peer.pids, 0.0, peer.ca)
    with watchers(asked, peer.name) as held, pytest.raises(Unusable, match=r"aiohttp: not 200: .* 401 "):
        held.obey(Order.OPEN)


@pytest.mark.parametrize(
    ("wanted", "descriptors", "found"), [(9900, 20_000, 9900), (9900, 1024, 462), (9900, 50, 0), (10, 1024, 10)]
)
def test_watches_need_two_descriptors_each(wanted: int, descriptors: int, found: int) -> None:
    assert bearable(wanted, descriptors) == found


def test_helpers_end_with_their_context(stream_port: int) -> None:
    with watchers(WatchPlan(stream_port, stream_port, streams.WATCH, ["t"], 1, settle_seconds=0.0), "direct") as held:
        pid = held.process.pid
        assert Path(f"/proc/{pid}").exists()
        assert held.obey(Order.OPEN).resident_kb == cpu.resident_kb([])
    assert not Path(f"/proc/{pid}").exists()

"""A scenario is measured in rounds, and a peer that answers wrongly has no figures in it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.figures import DIRECT
from bench.processes import upstream
from bench.rounds import MAKERS, PEERS, Bench, Effort, Upstreams, carried_bytes
from bench.scenarios import DOWNLOAD, SCENARIOS, TUNNEL, Scenario, named

SHORT = Effort(rounds=2, seconds=0.05, warm_up_seconds=0.0, latency_rounds=3, latency_seconds=0.05)


@pytest.fixture(scope="module")
def ports() -> Iterator[Upstreams]:
    with upstream() as small, upstream("bench.stream_upstream") as streams:
        yield Upstreams(small, streams)


def bench(ports: Upstreams, *wanted: str) -> Bench:
    return Bench(SHORT, ports, wanted, lambda _: None)


def scenario(name: str) -> Scenario:
    [found] = named([name])
    return replace(found, peers=("aiohttp",), beside_direct=True)


def test_peers_are_measured_in_turn(ports: Upstreams) -> None:
    measured = bench(ports, "aiohttp")
    samples = measured.measure(scenario("one"), tls=False)
    assert [(sample.round, sample.peer) for sample in samples] == [(0, "aiohttp"), (0, DIRECT), (1, "aiohttp"), (1, DIRECT)]
    assert all(sample.answers for sample in samples)
    assert [sample.cpu_us > 0 for sample in samples] == [True, False] * 2
    assert measured.missing == {}
    assert measured.versions.keys() == {"aiohttp"}


def test_a_peer_that_answers_wrongly_is_left_out_and_named(ports: Upstreams) -> None:
    """Its tokens are good, so it will not refuse them, as this scenario demands."""
    measured = bench(ports, "aiohttp")
    samples = measured.measure(replace(scenario("one"), status=403, beside_direct=False), tls=False)
    assert samples == []
    assert list(measured.missing) == ["aiohttp in one (plain)"]
    assert "not 403: b'HTTP/1.1 200 OK" in measured.missing["aiohttp in one (plain)"]


def test_only_wanted_peers_take_part(ports: Upstreams) -> None:
    [workers] = named(["workers"])
    assert bench(ports, "envoy").taking_part(workers) == []
    assert bench(ports, "mosk-proxy").taking_part(workers) == ["mosk-proxy", "mosk-proxy x2"]


def test_latency_has_rounds_of_its_own(ports: Upstreams) -> None:
    assert bench(ports).rounds(scenario("latency")) == 3
    assert bench(ports).rounds(scenario("one")) == 2


def test_every_peer_of_the_scenarios_can_be_asked_for() -> None:
    assert {peer.partition(" ")[0] for found in SCENARIOS for peer in found.peers} == set(PEERS)
    assert set(PEERS) < MAKERS.keys()


def test_a_tunnel_carries_both_ways() -> None:
    assert carried_bytes(DOWNLOAD) == 20_000_000
    assert carried_bytes(TUNNEL) == pytest.approx(2 << 20, rel=0.001)

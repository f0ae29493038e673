"""One scenario behind one kind of listener: start the peers, show that they judge, measure them in turn."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import edge, envoy, kube_oidc_proxy, nginx, oauth2_proxy, peer_aiohttp, streams
from bench.client import Outcome, Plan
from bench.figures import DIRECT, Sample, percentile
from bench.identities import Issuer, write_certificate
from bench.peers import Broken, Judgement, Missing, Peer, Probe, Running, check, running
from bench.processes import BODY, Unusable, answer_of, started_client
from bench.scenarios import USUAL_ROLES, Scenario, Transfer, Way, one
from bench.site import Cluster, Site
from bench.transfers import Kind, TransferPlan
from bench.workload import Workload

MOST_NEW_CONNECTIONS = 4000  # a measurement: ports of ended connections are not free at once


@dataclass(frozen=True, slots=True)
class Effort:
    """How often and how long."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    latency_rounds: int
    latency_seconds: float
    watch_rounds: int = 1
    watches: int = 9900
    events: int = 5
    soak_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Ports of what stands behind all peers."""

    small: int
    streams: int


class Bench:
    """The peers that can be had here, the issuer, what could not be measured (`missing`), and what must be known (`notes`)."""

    def __init__(self, effort: Effort, upstreams: Upstreams, wanted: Sequence[str] | None, told: Callable[[str], None]) -> None:
        self.effort = effort
        self.upstreams = upstreams
        self.wanted = wanted
        self.told = told
        self.issuer = Issuer()
        self.issuer_ca_file: Path | None = None
        self.missing: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    @contextmanager
    def with_issuer(self) -> Iterator[None]:
        """For the peer that asks it: an issuer over HTTPS, whose tokens all peers then get."""
        try:
            kube_oidc_proxy.program()
        except Missing:
            yield
            return
        with tempfile.TemporaryDirectory(prefix="mosk-proxy-bench-") as folder:
            certificate_file, key_file = write_certificate(Path(folder))
            with kube_oidc_proxy.issuer(certificate_file, key_file) as (url, documents):
                self.issuer, self.issuer_ca_file = Issuer(url), certificate_file
                kube_oidc_proxy.fill(documents, url, self.issuer.key_set())
                yield

    def taking_part(self, scenario: Scenario) -> list[str]:
        """Names of the peers that a scenario measures."""
        return [name for name in scenario.peers if self.wanted is None or name.partition(" ")[0] in self.wanted]

    def rounds(self, scenario: Scenario) -> int:
        """How often each peer is measured."""
        return self.effort.latency_rounds if scenario.rate else self.effort.rounds

    def measure(self, scenario: Scenario, *, tls: bool) -> list[Sample]:
        """All rounds of one scenario; a peer that gives a wrong answer is left out and named."""
        samples: list[Sample] = []
        with self.site(scenario.clusters) as site, ExitStack() as stack:
            names = self.taking_part(scenario)
            started = [found for name in names if (found := self.start(name, site, scenario, stack, tls=tls))]
            if scenario.beside_direct and started:
                started.append(Running(DIRECT, self.upstreams.small, 0, prefixed=False))
            workload = scenario.workload(self.issuer, scenario.clusters)
            for number in range(self.rounds(scenario)):
                if scenario.fresh and number:
                    workload = scenario.workload(self.issuer, scenario.clusters)
                for peer in tuple(started):
                    self.told(f"{scenario.name} {listener(tls=tls)} {peer.name}")
                    try:
                        samples.append(self.sample(peer, scenario, workload, number, tls=tls))
                    except Unusable as wrong:
                        self.missing[f"{peer.name} in {scenario.name} ({listener(tls=tls)})"] = str(wrong)
                        started.remove(peer)
        kept = {peer.name for peer in started}
        return [sample for sample in samples if sample.peer in kept]

    @contextmanager
    def site(self, clusters: tuple[Cluster, ...]) -> Iterator[Site]:
        """What all peers share, in a folder that ends with the measurement."""
        with tempfile.TemporaryDirectory(prefix="mosk-proxy-bench-") as name:
            folder = Path(name)
            key_set_file = self.issuer.write_keys(folder)
            certificate = write_certificate(folder)
            yield Site(
                folder, clusters, self.upstreams.small, key_set_file, *certificate, self.upstreams.streams, self.issuer.url
            )

    def start(self, name: str, site: Site, scenario: Scenario, stack: ExitStack, *, tls: bool) -> Running | None:
        """A peer that is ready and judges as it should, or None with the reason in `missing`."""
        if name in self.missing:
            return None
        try:
            peer = MAKERS[name](self, site)
        except Missing as reason:
            self.missing[name] = str(reason)
            return None
        self.versions[name] = peer.version
        try:
            found = stack.enter_context(running(peer, site.folder / f"{name}.err", site.certificate_file if tls else None))
            check(found, self.probes(peer, found, site.clusters[0]), BODY)
        except (Missing, Broken) as reason:
            told = str(reason).replace(f"{site.folder}/", "")
            self.missing[f"{name} in {scenario.name} ({listener(tls=tls)})"] = told
            return None
        if peer.judges in EXEMPT:
            self.notes[name] = EXEMPT[peer.judges]
        return found

    def probes(self, peer: Peer, found: Running, cluster: Cluster) -> list[Probe]:
        """A peer must refuse all but the last of these, as far as it judges."""
        path = found.path(cluster.prefix, streams.list_path(len(BODY)))
        good = self.issuer.token("ann", [*USUAL_ROLES, cluster.role])
        forged = Issuer(self.issuer.url).token("ann", [*USUAL_ROLES, cluster.role])
        probes = [
            Probe("no token", path, None, 401, Judgement.TOKENS),
            Probe("a token signed by another key", path, forged, 401, Judgement.TOKENS),
            Probe("a token without the role", path, self.issuer.token("bob", USUAL_ROLES), 403, Judgement.ROLES),
            Probe("a good token", path, good, 200),
        ]
        return [probe for probe in probes if probe.needs <= peer.judges]

    def sample(self, peer: Running, scenario: Scenario, workload: Workload, number: int, *, tls: bool) -> Sample:
        """One measurement; raises Unusable."""
        if scenario.transfer:
            outcome = self.carry(peer, scenario.transfer, scenario.clusters[0])
        else:
            outcome = self.ask(peer, scenario, workload)
        ordered = sorted(value / 1e6 for value in outcome.latencies_ns)
        p50, p99, p999 = (percentile(ordered, part) if ordered else None for part in (0.5, 0.99, 0.999))
        return Sample(
            scenario=scenario.name,
            tls=tls,
            round=number,
            peer=peer.name,
            answers=outcome.answers,
            seconds=outcome.seconds,
            cpu_us=outcome.cpu_ns / 1000 / outcome.answers,
            system_share=outcome.system_share,
            resident_kb=outcome.resident_kb,
            p50_ms=p50,
            p99_ms=p99,
            p999_ms=p999,
            answer_bytes=carried_bytes(scenario.transfer) if scenario.transfer else 0,
            split=outcome.split,
        )

    def ask(self, peer: Running, scenario: Scenario, workload: Workload) -> Outcome:
        """Send a scenario's requests; raises Unusable."""
        known = one(self.issuer, scenario.clusters) if scenario.fresh else workload
        new = scenario.way is Way.NEW_CONNECTIONS
        plan = Plan(
            port=peer.port,
            body=BODY.decode(),
            warm_up=known if peer.prefixed else unproxied(known),
            measured=workload if peer.prefixed else unproxied(workload),
            pids=peer.pids,
            connections=scenario.connections,
            seconds=self.effort.latency_seconds if scenario.rate else self.effort.seconds,
            warm_up_seconds=self.effort.warm_up_seconds,
            most=MOST_NEW_CONNECTIONS if new else 1_000_000,
            rate=scenario.rate,
            ca_file=peer.ca,
            status=scenario.status,
            split=scenario.split,
        )
        return answer_of(started_client("bench.new_connections" if new else "bench.client"), plan, peer.name, Outcome)

    def carry(self, peer: Running, transfer: Transfer, cluster: Cluster) -> Outcome:
        """Carry bytes; raises Unusable."""
        plan = TransferPlan(
            port=peer.port,
            kind=transfer.kind,
            path=peer.path(cluster.prefix, transfer.path),
            token=self.issuer.token("ann", [*USUAL_ROLES, cluster.role]),
            size=transfer.size,
            connections=transfer.connections,
            seconds=self.effort.seconds,
            pids=peer.pids,
            ca_file=peer.ca,
        )
        return answer_of(started_client("bench.transfers"), plan, peer.name, Outcome)


def listener(*, tls: bool) -> str:
    """Name of a kind of listener."""
    return "TLS" if tls else "plain"


def carried_bytes(transfer: Transfer) -> int:
    """What one transfer carries, in both directions."""
    if transfer.kind is Kind.TUNNEL:
        return len(streams.burst(masked=True)) + len(streams.burst(masked=False))
    return transfer.size


def unproxied(workload: Workload) -> Workload:
    """The same requests as the upstream wants them: without `/k8s/<namespace>/<cluster>`."""
    lists = [["/" + path.split("/", 4)[4] for path in paths] for paths in workload.path_lists]
    return msgspec.structs.replace(workload, path_lists=lists)


EXEMPT = {
    Judgement.NOTHING: "judges nothing, so it was only shown to pass a good token: it is the floor, not a rival",
    Judgement.TOKENS: "leaves decisions to the API server behind it, so it was not shown to refuse a token without the role",
}
MAKERS: dict[str, Callable[[Bench, Site], Peer]] = {
    edge.NAME: lambda _, site: edge.peer(site),
    f"{edge.NAME} x2": lambda _, site: edge.peer(site, workers=2),
    envoy.NAME: lambda _, site: envoy.peer(site),
    oauth2_proxy.NAME: lambda _, site: oauth2_proxy.peer(site),
    peer_aiohttp.NAME: lambda _, site: peer_aiohttp.peer(site),
    nginx.NAME: lambda _, site: nginx.peer(site),
    kube_oidc_proxy.NAME: lambda bench, site: kube_oidc_proxy.peer(site, bench.issuer_ca_file),
}
PEERS = tuple(name for name in MAKERS if " " not in name)

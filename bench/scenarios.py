"""What is measured: the scenarios, their clusters, users and requests. Pure but for signing tokens."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from bench import streams
from bench.identities import Issuer
from bench.site import Cluster
from bench.transfers import Kind
from bench.workload import User, Workload, fields_of

PROD = Cluster("team-a", "prod")
STREAMS = Cluster("team-a", "streams", streams=True)
OBJECT = "/api/v1/namespaces/app/configmaps"
# Roles that a token holds besides the one that counts here.
USUAL_ROLES = ["offline_access", "uma_authorization", "m:kaas:team-b@reader", "m:sl:team-b:dev@admin"]
OURS = ("mosk-proxy",)
BOTH = (*OURS, "envoy")
JUDGES = (*BOTH, "oauth2-proxy", "aiohttp")
ALL = (*JUDGES, "nginx", "kube-oidc-proxy")


class Way(StrEnum):
    """How a scenario is measured."""

    REQUESTS = "requests"
    NEW_CONNECTIONS = "new connections"
    TRANSFER = "transfer"
    WATCHES = "watches"
    SOAK = "soak"


@dataclass(frozen=True, slots=True)
class Transfer:
    """What is carried over each of so many connections, again and again."""

    kind: Kind
    path: str
    size: int
    connections: int


def one(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """One user asks one path."""
    return Workload([User(issuer.token("ann", granted(clusters[0])))], [[f"{clusters[0].prefix}{OBJECT}/sample"]])


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table. `workload` is asked anew for each round; `rate` 0 is as fast as the peer answers.

    `growth` names what grows between scenarios that are alike otherwise, and how large it is in this one.
    """

    name: str
    title: str
    clusters: tuple[Cluster, ...] = (PROD,)
    workload: Callable[[Issuer, Sequence[Cluster]], Workload] = one
    rate: float = 0.0
    fresh: bool = False
    beside_direct: bool = False
    way: Way = Way.REQUESTS
    peers: tuple[str, ...] = BOTH
    connections: int = 32
    status: int = 200
    split: bool = False
    transfer: Transfer | None = None
    growth: tuple[str, int] | None = None


def granted(*clusters: Cluster) -> list[str]:
    """The usual roles and those for these clusters."""
    return [*USUAL_ROLES, *(cluster.role for cluster in clusters)]


def hundred_users(issuer: Issuer, clusters: Sequence[Cluster]) -> list[User]:
    """Users with the same roles."""
    return [User(issuer.token(f"user-{number:03}", granted(clusters[0]))) for number in range(100)]


def many(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """100 users ask 1,000 paths in turn."""
    paths = [f"{clusters[0].prefix}{OBJECT}/sample-{number:04}" for number in range(1000)]
    return Workload(hundred_users(issuer, clusters), [paths])


def distinct(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """100 users in turn, and no path comes twice."""
    return Workload(hundred_users(issuer, clusters), [[f"{clusters[0].prefix}{OBJECT}/sample"]], distinct=True)


def of_roles(count: int, issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """A token of so many roles; the one that counts stands in the middle."""
    others = [Cluster(f"t-{number // 10:03}", f"c-{number % 10}").role for number in range(count - 1)]
    random.Random(1).shuffle(others)
    middle = (count + 1) // 2 if count > 1 else 0
    roles = [*others[:middle], clusters[0].role, *others[middle:]]
    return Workload([User(issuer.token("ann", roles))], [[f"{clusters[0].prefix}{OBJECT}/sample"]])


def of_clusters(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """Each of 100 users is at home in ten clusters, or in all where there are fewer, and asks them in turn."""
    total = len(clusters)
    homes = [[clusters[(10 * user + number) % total] for number in range(min(10, total))] for user in range(100)]
    users = [User(issuer.token(f"user-{number:03}", granted(*home)), number) for number, home in enumerate(homes)]
    return Workload(users, [[f"{cluster.prefix}{OBJECT}/sample" for cluster in home] for home in homes])


def of_headers(size: int, issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """One user asks one path with so many bytes of further header fields."""
    plain = one(issuer, clusters)
    return Workload(plain.users, plain.path_lists, fields=fields_of(size))


def never_seen(issuer: Issuer, clusters: Sequence[Cluster], count: int = 2000) -> Workload:
    """Each request brings a token that the peer meets for the first time."""
    users = [User(issuer.token(f"user-{number:05}", granted(clusters[0]))) for number in range(count)]
    return Workload(users, [[f"{clusters[0].prefix}{OBJECT}/sample"]], once=True)


def forged(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """A token signed by a key that is not the issuer's."""
    return one(Issuer(issuer.url), clusters)


def without_role(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """A good token that opens other doors."""
    return Workload([User(issuer.token("bob", USUAL_ROLES))], one(issuer, clusters).path_lists)


def roles(count: int) -> Scenario:
    """A scenario of `of_roles`; the largest has the short name."""
    name = "roles" if count == 1000 else f"roles-{count}"
    title = f"a token of {count:,} role{'s' * (count > 1)}"
    return Scenario(name, title, workload=partial(of_roles, count), growth=("roles in the token", count))


def clusters(count: int) -> Scenario:
    """A scenario of `of_clusters`; the largest has the short name."""
    name = "clusters" if count == 1000 else f"clusters-{count}"
    title = f"{count:,} cluster{'s' * (count > 1)}, 100 users in turn"
    return Scenario(name, title, DIRECTORY[:count], of_clusters, growth=("clusters", count))


def headers(kilobytes: int) -> Scenario:
    """A scenario of `of_headers`."""
    title = f"{kilobytes} KB of further header fields"
    workload = partial(of_headers, kilobytes << 10)
    return Scenario(f"headers-{kilobytes}k", title, workload=workload, growth=("KB of further header fields", kilobytes))


def transfer(name: str, title: str, carried: Transfer) -> Scenario:
    """A scenario in which bytes count."""
    return Scenario(name, title, (STREAMS,), way=Way.TRANSFER, peers=ALL, transfer=carried)


LIST = Transfer(Kind.DOWNLOAD, streams.list_path(streams.LIST_BYTES), streams.LIST_BYTES, 8)
DOWNLOAD = Transfer(Kind.DOWNLOAD, streams.log_path(streams.LARGE_BYTES), streams.LARGE_BYTES, 4)
UPLOAD = Transfer(Kind.UPLOAD, streams.upload_path(streams.LARGE_BYTES), streams.LARGE_BYTES, 4)
TUNNEL = Transfer(Kind.TUNNEL, streams.EXEC, 0, 4)
DIRECTORY = tuple(Cluster(f"t-{number // 10:03}", f"c-{number % 10}") for number in range(1000))
SCENARIOS = (
    Scenario("one", "one user, one path", peers=ALL),
    Scenario("many", "100 users, 1,000 paths in turn", workload=many, peers=ALL),
    Scenario("distinct", "100 users, each path new", workload=distinct, peers=JUDGES),
    *(roles(count) for count in (1, 10, 100, 1000)),
    *(clusters(count) for count in (1, 100, 1000)),
    *(headers(kilobytes) for kilobytes in (1, 8, 32)),
    Scenario("unseen", "never-seen tokens", workload=never_seen, fresh=True, peers=JUDGES),
    Scenario("refused-401", "a forged token, refused", workload=forged, status=401, peers=JUDGES),
    Scenario("refused-403", "a token without the role, refused", workload=without_role, status=403, peers=JUDGES),
    Scenario("connections", "a new connection for each request", way=Way.NEW_CONNECTIONS, peers=ALL),
    Scenario("latency", "500 requests/s, open loop", rate=500.0, beside_direct=True, peers=ALL),
    transfer("list", "lists of 1 MB", LIST),
    transfer("download", "downloads of 20 MB", DOWNLOAD),
    transfer("upload", "uploads of 20 MB", UPLOAD),
    transfer("exec", "exec tunnels, both ways", TUNNEL),
    Scenario("workers", "1 and 2 workers, 256 connections", peers=(*OURS, "mosk-proxy x2"), connections=256, split=True),
    Scenario("watches", "idle watches", (STREAMS, PROD), beside_direct=True, way=Way.WATCHES, peers=ALL),
    Scenario("soak", "mixed load for a long time", (STREAMS, PROD), way=Way.SOAK, peers=OURS),
)


def named(names: Sequence[str]) -> list[Scenario]:
    """Scenarios by name, in the table's order; raises KeyError naming one that does not exist."""
    known = {scenario.name for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return [scenario for scenario in SCENARIOS if scenario.name in names]

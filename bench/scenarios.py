"""What is measured: the scenarios, their clusters, users and requests. Pure but for signing tokens."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.identities import Issuer
from bench.site import Cluster
from bench.workload import User, Workload

PROD = Cluster("team-a", "prod")
OBJECT = "/api/v1/namespaces/app/configmaps"
# Roles that a token holds besides the one that counts here.
USUAL_ROLES = ["offline_access", "uma_authorization", "m:kaas:team-b@reader", "m:sl:team-b:dev@admin"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table. `workload` is asked anew for each round; `rate` 0 is as fast as the peer answers."""

    name: str
    title: str
    clusters: tuple[Cluster, ...]
    workload: Callable[[Issuer, Sequence[Cluster]], Workload]
    rate: float = 0.0
    fresh: bool = False
    beside_direct: bool = False


def granted(*clusters: Cluster) -> list[str]:
    """The usual roles and those for these clusters."""
    return [*USUAL_ROLES, *(cluster.role for cluster in clusters)]


def one(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """One user asks one path."""
    return Workload([User(issuer.token("ann", granted(clusters[0])))], [[f"{clusters[0].prefix}{OBJECT}/sample"]])


def many(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """100 users ask 1,000 paths in turn."""
    users = [User(issuer.token(f"user-{number:03}", granted(clusters[0]))) for number in range(100)]
    return Workload(users, [[f"{clusters[0].prefix}{OBJECT}/sample-{number:04}" for number in range(1000)]])


def many_roles(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """A token of 1,000 roles; the one that counts stands in the middle."""
    others = [Cluster(f"t-{number // 10:03}", f"c-{number % 10}").role for number in range(999)]
    random.Random(1).shuffle(others)
    return Workload(
        [User(issuer.token("ann", [*others[:500], clusters[0].role, *others[500:]]))], [[f"{clusters[0].prefix}{OBJECT}/sample"]]
    )


def many_clusters(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """Each user is at home in ten clusters and asks them in turn."""
    homes = [clusters[first : first + 10] for first in range(0, len(clusters), 10)]
    users = [User(issuer.token(f"user-{number:03}", granted(*home)), number) for number, home in enumerate(homes)]
    return Workload(users, [[f"{cluster.prefix}{OBJECT}/sample" for cluster in home] for home in homes])


def never_seen(issuer: Issuer, clusters: Sequence[Cluster]) -> Workload:
    """Each request brings a token that the peer meets for the first time."""
    users = [User(issuer.token(f"user-{number:05}", granted(clusters[0]))) for number in range(2000)]
    return Workload(users, [[f"{clusters[0].prefix}{OBJECT}/sample"]], once=True)


DIRECTORY = tuple(Cluster(f"t-{number // 10:03}", f"c-{number % 10}") for number in range(1000))
SCENARIOS = (
    Scenario("one", "one user, one path", (PROD,), one),
    Scenario("many", "100 users, 1,000 paths in turn", (PROD,), many),
    Scenario("roles", "a token of 1,000 roles", (PROD,), many_roles),
    Scenario("clusters", "1,000 clusters, 100 users in turn", DIRECTORY, many_clusters),
    Scenario("unseen", "never-seen tokens", (PROD,), never_seen, fresh=True),
    Scenario("latency", "500 requests/s, open loop", (PROD,), one, rate=500.0, beside_direct=True),
)


def named(names: Sequence[str]) -> list[Scenario]:
    """Scenarios by name, in the table's order; raises KeyError naming one that does not exist."""
    known = {scenario.name for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return [scenario for scenario in SCENARIOS if scenario.name in names]

"""Figures as their owners keep them, for the metrics to read."""

from dataclasses import dataclass, field

from proxy.operations.audit import AuditSink
from proxy.operations.metrics import Sources


@dataclass
class Durations:
    buckets: list[int]
    sum: float


@dataclass
class Edge:
    requests: dict = field(default_factory=lambda: {("kaas", "list", 200): 5, ("k8s", "get", 403): 2, ("sl", "post", 502): 1})
    durations: dict = field(default_factory=lambda: {"kaas": Durations([3, 1, 0, 1], 12.5), "sl": Durations([0, 0, 0, 0], 0.0)})
    decisions: dict = field(default_factory=lambda: {("kaas", "allow"): 5, ("k8s", "deny"): 2})
    malformed: dict = field(default_factory=lambda: {"host": 4, 'odd "cause"\n': 1})
    turned_away: dict = field(default_factory=lambda: {"descriptors": 6})
    in_flight: int = 3
    connections: int = 17
    streams: dict = field(default_factory=lambda: {"watch": 2, "tunnel": 1})
    bytes_in: int = 1000
    bytes_out: int = 123_456_789_012


@dataclass
class Pool:
    name: str
    idle: int = 1
    active: int = 2
    opened: int = 30
    failed: int = 4
    waiting: int = 5
    circuit_open: bool = False


@dataclass
class Authenticator:
    hits: int = 90
    misses: int = 10
    refused: dict = field(default_factory=lambda: {"expired": 3})


@dataclass
class Keys:
    issuer: str
    ready: bool
    age_seconds: float | None
    fetches: dict


@dataclass
class Discovery:
    clusters: int = 40
    skipped: int = 3
    age_seconds: float | None = 7.5
    failing_seconds: float = 90.0
    outcomes: dict = field(default_factory=lambda: {"listed": 2, "watched": 9})


def sources(**changes) -> Sources:
    given = {
        "version": "1.2.3",
        "edge": Edge(),
        "duration_bounds": (0.005, 0.1, 1),
        "audit": AuditSink(None),
        "authenticator": Authenticator,
        "key_sets": lambda: [
            Keys("https://idp/realms/iam", ready=True, age_seconds=12.5, fetches={"ok": 2, "failed": 1}),
            Keys("https://other", ready=False, age_seconds=None, fetches={}),
        ],
        "pools": lambda: [Pool("kaas"), Pool("k8s/team-a/prod", circuit_open=True)],
        "reloads": lambda: {"ok": 2, "refused": 1},
        "discovery": Discovery,
    }
    return Sources(**(given | changes))

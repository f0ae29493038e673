"""Counts and records a request: what the metrics and the audit line say of it."""

from typing import TYPE_CHECKING, Final

from proxy.edge.counters import Durations
from proxy.edge.events import AuditEvent, audit_line
from proxy.errors import Forbidden, RequestError
from proxy.forwarding.pool import Pool
from proxy.identity.principal import Identity
from proxy.policy.decision import Allowed
from proxy.routing.request_head import RequestHead, raw_path
from proxy.routing.target import Target

if TYPE_CHECKING:
    from proxy.edge.context import Edge

_CLIENT_GONE: Final = "the client ended the request"


class Record:
    """What is known of one request so far; the first field still None tells how far it got. `is_written`: it has audit lines."""

    __slots__ = (
        "allowed",
        "client",
        "error",
        "head",
        "identity",
        "is_written",
        "pool",
        "request_id",
        "started",
        "status",
        "target",
    )

    def __init__(self, request_id: bytes, head: RequestHead, client: str, started: float) -> None:
        self.request_id = request_id
        self.head = head
        self.client = client
        self.started = started
        self.target: Target | None = None
        self.identity: Identity | None = None
        self.allowed: Allowed | None = None
        self.pool: Pool | None = None
        self.error: RequestError | None = None
        self.status: int | None = None
        self.is_written = True

    def start(self, edge: "Edge") -> None:
        """Write the line that a long-running request begins with: its end may be hours away."""
        if edge.audit is not None:
            self._write(edge, "start", self._decision(), 0, 0, None)

    def end(self, edge: "Edge", bytes_in: int, bytes_out: int, *, is_stream: bool) -> None:
        """Count the request and write its line; how long a stream lasts says nothing of how fast answers come."""
        counters, target = edge.counters, self.target
        seconds = edge.loop.time() - self.started
        decision = self._decision()
        key = ("none", None, self.status, decision) if target is None else (target.kind, target.verb, self.status, decision)
        if is_stream:
            counters.finished_streams[key] += 1
        else:
            durations = counters.finished.get(key)
            if durations is None:
                durations = counters.finished[key] = Durations()
            durations.add(seconds)
        counters.bytes_in += bytes_in
        counters.bytes_out += bytes_out
        if self.is_written and edge.audit is not None:
            self._write(edge, "end", decision, bytes_in, bytes_out, seconds)

    def _decision(self) -> str:
        if self.error is None or self.allowed is not None:
            return "allow"
        return "deny" if isinstance(self.error, Forbidden) else "refused"

    def _reason(self, stage: str) -> str | None:
        if self.error is not None:
            return self.error.message
        return _CLIENT_GONE if self.status is None and stage == "end" else None

    def _target_name(self) -> str | None:
        """Word the target as the contract does; the proxy's own pages have none."""
        if self.pool is not None:
            return self.pool.name
        return None if self.target is None or self.target.kind == "own" else str(self.target)

    def _write(self, edge: "Edge", stage: str, decision: str, bytes_in: int, bytes_out: int, seconds: float | None) -> None:
        head, allowed, error, target, pool = self.head, self.allowed, self.error, self.target, self.pool
        granted_by = through = roles = surface = None
        if allowed is not None:
            granted_by, through, surface = allowed.granted_by, allowed.through, allowed.surface
            roles = None if granted_by is None else (granted_by,)
        elif isinstance(error, Forbidden):
            surface = error.surface

        line = audit_line(
            AuditEvent(
                edge.stamp(),
                stage,
                self.request_id.decode(),
                self.client,
                None if self.identity is None else self.identity.username,
                roles,
                granted_by,
                through,
                self._target_name() if pool is None else pool.name,
                None if target is None else target.verb,
                head.method,
                raw_path(head.target).decode("ascii", "backslashreplace"),
                surface,
                decision,
                self._reason(stage) if error is not None or self.status is None else None,
                None if pool is None else pool.address,
                self.status,
                bytes_in,
                bytes_out,
                None if seconds is None else int(seconds * 1_000_000) / 1000,
            )
        )
        if edge.audit is not None:
            edge.audit(line)

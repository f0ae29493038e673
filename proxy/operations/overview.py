"""What the admin listener shows: of one process, or of all workers (see `supervisor_overview`)."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

from proxy.operations.metrics import Metrics
from proxy.operations.probes import Check, Finding, examine


class Overview(Protocol):
    """Whoever can tell how the service stands."""

    async def live(self) -> list[Finding]:
        """Whether a restart would help."""

    async def ready(self) -> list[Finding]:
        """Whether it can serve now."""

    async def metrics(self, executor: Executor) -> bytes:
        """Return the metrics in the text format 0.0.4; what takes long is done by `executor`."""


class ProcessOverview:
    """How this process stands."""

    def __init__(self, checks_live: Sequence[Check], checks_ready: Sequence[Check], metrics: Metrics) -> None:
        self._checks_live = tuple(checks_live)
        self._checks_ready = tuple(checks_ready)
        self._metrics = metrics

    async def live(self) -> list[Finding]:
        """Ask every check for liveness."""
        return examine(self._checks_live)

    async def ready(self) -> list[Finding]:
        """Ask every check for readiness."""
        return examine(self._checks_ready)

    async def metrics(self, executor: Executor) -> bytes:
        """Return the figures of this process."""
        return await self._metrics.text(executor)

    async def packed_metrics(self, executor: Executor) -> bytes:
        """Return the figures of this process for its supervisor (`metric_totals.unpacked`)."""
        return await self._metrics.packed(executor)

"""Runs the reading of `Cluster` objects that the settings in force call for, and swaps in the site that follows from each change."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxy.discovery.settings import WatchSettings
from proxy.discovery.watch import ClusterWatch, Records, WatchState
from proxy.forwarding.tasks import TaskSet


@dataclass(frozen=True, slots=True)
class DiscoveryFigures:
    """What metrics tell: counts by outcome, clusters known and skipped, and the seconds since the API last said something."""

    outcomes: Counter[str]
    clusters: int
    skipped: int
    age_seconds: float | None
    failing_seconds: float


@dataclass(frozen=True, slots=True)
class _Running:
    watch: ClusterWatch
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class Discovering:
    """One watch at a time; `take` gets all records whenever one of them has changed."""

    def __init__(self, tasks: TaskSet, take: Callable[[Records], None]) -> None:
        self._tasks = tasks
        self._take = take
        self._outcomes: Counter[str] = Counter()
        self._running: _Running | None = None
        self._was_ready = False

    def follow(self, settings: WatchSettings | None) -> None:
        """Read as `settings` say, None: not at all. What is known stays in force until the first list of another reading."""
        running = self._running
        if running is not None and running.watch.settings == settings:
            return
        if running is not None:
            running.stop.set()
        self._running = None
        if settings is not None:
            self._running = _Running(ClusterWatch(settings, self._take_ready, self._outcomes))
            self._tasks.start(_run(self._running), "discover clusters")

    def check(self) -> str | None:
        """Tell why this process must not get traffic yet: never because of an API that is down after it was read."""
        state = self._state
        if state is None or self._was_ready:
            return None
        return f"Cluster objects not read yet: {state.last_error or 'reading'}"

    def note(self) -> str | None:
        """Tell how the reading stands."""
        state = self._state
        if state is None:
            return None
        known = f"{state.clusters} clusters known, {state.skipped} objects skipped"
        if state.failing_since is None:
            return known
        since = datetime.fromtimestamp(state.failing_since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"not read since {since}: {state.last_error}; {known}"

    def figures(self) -> DiscoveryFigures | None:
        """Return the figures for metrics, None while nothing is discovered."""
        state = self._state
        if state is None:
            return None
        failing = 0.0 if state.failing_since is None else max(0.0, time.time() - state.failing_since)
        return DiscoveryFigures(self._outcomes, state.clusters, state.skipped, state.age_seconds, failing)

    @property
    def _state(self) -> WatchState | None:
        return None if self._running is None else self._running.watch.state

    def _take_ready(self, records: Records) -> None:
        self._was_ready = True
        self._take(records)


async def _run(running: _Running) -> None:
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(running.watch.run(), name="watch Cluster objects")
        await running.stop.wait()
        watching.cancel()

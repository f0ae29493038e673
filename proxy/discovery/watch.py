"""Keeps the records of all clusters as the management API has them now.

Theory of operation. One coroutine lists everything, then watches from the version of that list on, and again from the last version it
was told (an event's or a bookmark's) whenever a watch ends. When that version is gone (410), all is listed again. Whatever fails is
tried again after a pause that doubles, with jitter; what is known stays as it was, for as long as it takes. The whole of a list
replaces what was known at once; a list that breaks off changes nothing. A line that is no event ends its watch and lists again, because
it may have been a deletion.

What is handed on are all records, and only when one of them has changed: the status of a `Cluster` changes every few seconds, where its
servers are hardly ever does. Changes of a watch are collected for a moment, so that a hundred of them are handed on once.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from proxy.directory.cluster_objects import ClusterRecord, Skipped, cluster_ref
from proxy.discovery.messages import Event, Expired, read_object, version_of
from proxy.discovery.objects import read_item, read_record
from proxy.discovery.reader import ClusterReader, Garbled, ReadError
from proxy.discovery.settings import WatchSettings
from proxy.discovery.telling import Once
from proxy.routing.target import ClusterRef

log = logging.getLogger("mosk_proxy.discovery")

Records: TypeAlias = Mapping[ClusterRef, ClusterRecord]


@dataclass(frozen=True, slots=True)
class WatchState:
    """How the reading stands: `ready` once a list was read; `age_seconds` is the time since the API last said something of its clusters.

    `failing_since` (seconds since the epoch) and `last_error` are None while all is well.
    """

    ready: bool
    clusters: int
    skipped: int
    age_seconds: float | None
    failing_since: float | None
    last_error: str | None


class ClusterWatch:
    """Follows the objects and hands all records to `publish`; `outcomes` counts lists and watches by how they ended."""

    def __init__(self, settings: WatchSettings, publish: Callable[[Records], None], outcomes: Counter[str]) -> None:
        self.settings = settings
        self.outcomes = outcomes
        self._rhythm = settings.rhythm
        self._publish = publish
        self._reader = ClusterReader(settings)
        self._known = _Known()
        self._version: str | None = None
        self._is_ready = False
        # Whether there is something that was not handed on, be it that there is nothing.
        self._is_owing = True
        self._heard_at: float | None = None
        self._failing_since: float | None = None
        self._last_error: str | None = None
        self._streak = 0
        self._next_batch: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"ClusterWatch({self.settings.url}, {len(self._known.records)} clusters, version {self._version})"

    @property
    def state(self) -> WatchState:
        heard_at = self._heard_at
        return WatchState(
            ready=self._is_ready,
            clusters=len(self._known.records),
            skipped=len(self._known.skipped),
            age_seconds=None if heard_at is None else time.monotonic() - heard_at,
            failing_since=self._failing_since,
            last_error=self._last_error,
        )

    async def run(self) -> None:
        """Follow for ever."""
        try:
            while True:
                await self._attempt()
                await asyncio.sleep(self._pause())
        finally:
            if self._next_batch is not None:
                self._next_batch.cancel()

    async def _attempt(self) -> None:
        try:
            if self._version is None:
                self._version = await self._list()
                self.outcomes["listed"] += 1
            await self._watch(self._version)
        except Expired:
            self._version = None
            self.outcomes["expired"] += 1
        except ReadError as error:
            self._note_failure(str(error))
        except Exception as error:  # noqa: BLE001 (discovery outlives whatever a server thinks of)
            self._version = None
            self._note_failure(f"{self.settings.url}: {error!r:.300}")
        else:
            self.outcomes["watched"] += 1

    async def _list(self) -> str:
        """Read all there is, in place of all that was known; returns its version."""
        found, version = _Known(self._known.told), ""
        try:
            async with (
                asyncio.timeout(self._rhythm.whole_list),
                self._reader.session() as session,
                aclosing(session.pages()) as pages,
            ):
                async for page in pages:
                    for item in page.items:
                        found.put(read_item(item, self.settings.bounds.object_bytes))
                        # Requests must not wait for a page of the largest objects.
                        await asyncio.sleep(0)
                    version = page.metadata.resource_version
                    if len(found.records) > self.settings.bounds.clusters:
                        raise ReadError(f"{self.settings.url}: more than {self.settings.bounds.clusters} clusters")
        except TimeoutError:
            raise ReadError(f"{self.settings.url}: the list did not end in time") from None
        before, self._known = self._known.records, found
        found.forget_others()
        self._note_success()
        self._is_owing = self._is_owing or found.records != before
        if self._is_owing:
            self._hand_on()
        self._is_ready = True
        return version

    async def _watch(self, version: str) -> None:
        began = time.monotonic()
        try:
            async with self._reader.session() as session, aclosing(session.events(version)) as events:
                async for event in events:
                    self._note_success()
                    if event is not None:
                        self._streak = 0
                        self._take(event)
        except Garbled:
            self._version = None
            raise
        finally:
            if time.monotonic() - began > self._rhythm.settled:
                self._streak = 0

    def _take(self, event: Event) -> None:
        document = read_object(event.object)
        if event.type in {"ADDED", "MODIFIED"}:
            has_changed = self._known.put(read_record(document))
        else:
            ref = cluster_ref(document) if event.type == "DELETED" else None
            has_changed = ref is not None and self._known.drop(ref)
        self._version = version_of(document) or self._version
        self._is_owing = self._is_owing or has_changed
        if has_changed and self._next_batch is None:
            self._next_batch = asyncio.get_running_loop().call_later(self._rhythm.batch, self._hand_on)

    def _hand_on(self) -> None:
        if self._next_batch is not None:
            self._next_batch.cancel()
            self._next_batch = None
        self._publish(dict(self._known.records))
        self._is_owing = False

    def _note_success(self) -> None:
        self._heard_at = time.monotonic()
        if self._failing_since is not None:
            log.warning("Cluster objects are read again from %s", self.settings.url)
        self._failing_since = self._last_error = None

    def _note_failure(self, error: str) -> None:
        self.outcomes["failed"] += 1
        if self._failing_since is None:
            self._failing_since = time.time()
        if error != self._last_error:
            log.warning("Cluster objects are not read, what is known stays in force: %s", error)
        self._last_error = error

    def _pause(self) -> float:
        """Return how long to wait before the next attempt: the longer the more of them came to nothing in a row."""
        self._streak += 1
        seconds = self._rhythm.first_retry * 2.0 ** min(self._streak - 1, 30)
        return min(self._rhythm.last_retry, seconds) * random.uniform(0.5, 1)  # noqa: S311 (spreads load, keeps no secret)


class _Known:
    """Records by cluster, and the objects that gave none; what is wrong with an object is told once."""

    def __init__(self, told: Once | None = None) -> None:
        self.records: dict[ClusterRef, ClusterRecord] = {}
        self.skipped: set[str] = set()
        self.told = told or Once(log)

    def put(self, found: ClusterRecord | Skipped) -> bool:
        """Take what an object says now in place of what it said; returns whether a record has changed."""
        subject = "a Cluster object" if found.ref is None else f"cluster {found.ref}"
        before = None if found.ref is None else self.records.get(found.ref)
        if isinstance(found, Skipped):
            self.told.tell(subject, f"skipped: {found.reason}", logging.WARNING if found.is_malformed else logging.INFO)
            if found.ref is not None:
                self.records.pop(found.ref, None)
            self.skipped.add(subject)
            return before is not None
        self._tell_left_out(subject, found)
        self.skipped.discard(subject)
        self.records[found.ref] = found
        return found != before

    def drop(self, ref: ClusterRef) -> bool:
        """Forget a cluster; returns whether it had a record."""
        subject = f"cluster {ref}"
        self.told.forget(subject)
        self.skipped.discard(subject)
        return self.records.pop(ref, None) is not None

    def forget_others(self) -> None:
        """Forget what was told of objects that are gone."""
        self.told.keep({f"cluster {ref}" for ref in self.records} | self.skipped)

    def _tell_left_out(self, subject: str, found: ClusterRecord) -> None:
        if found.left_out:
            self.told.tell(subject, f"left out: {'; '.join(found.left_out)}")
        else:
            self.told.forget(subject)

"""Objects in memory, one counter of resource versions, and the events that watches follow.

Stored documents are never changed in place: whoever writes hands over a new one.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import gone

EventKind = Literal["ADDED", "MODIFIED", "DELETED"]
ResourceKey = tuple[str, str]
ObjectKey = tuple[str, str]

_HISTORY = 5000
_FIRST_REVISION = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One change; `before` lets a selector see that an object left its selection."""

    revision: int
    kind: EventKind
    resource: ResourceKey
    document: Document
    before: Document | None


class Watch:
    """A queue of events of one resource, closed by `close` or when its reader is too slow."""

    def __init__(self, resource: ResourceKey, backlog: list[Event]) -> None:
        self.resource = resource
        self._events: deque[Event] = deque(backlog)
        self._news = asyncio.Event()
        self.closed = False

    def offer(self, event: Event) -> None:
        """Called by the store at each change of the resource."""
        if len(self._events) >= _HISTORY:
            self.close()
            return
        self._events.append(event)
        self._news.set()

    def close(self) -> None:
        """Let the reader end once it has read what is queued."""
        self.closed = True
        self._news.set()

    async def next(self) -> Event | None:
        """None when the watch is over."""
        while not self._events:
            if self.closed:
                return None
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()


class Store:
    """The objects of one API server."""

    def __init__(self) -> None:
        self.revision = _FIRST_REVISION
        self._objects: dict[ResourceKey, dict[ObjectKey, Document]] = {}
        self._history: deque[Event] = deque(maxlen=_HISTORY)
        self._watches: set[Watch] = set()

    def get(self, resource: ResourceKey, namespace: str | None, name: str) -> Document | None:
        """None when there is no such object; a cluster-scoped one has no namespace."""
        return self._objects.get(resource, {}).get((namespace or "", name))

    def list(self, resource: ResourceKey, namespace: str | None = None) -> list[Document]:
        """Sorted by namespace and name; all namespaces without one."""
        filed = self._objects.get(resource, {})
        return [filed[key] for key in sorted(filed) if namespace is None or key[0] == namespace]

    def everything(self) -> Iterator[tuple[ResourceKey, Document]]:
        """A snapshot of all objects."""
        rows = [(resource, document) for resource, filed in self._objects.items() for document in filed.values()]
        return iter(rows)

    def put(self, resource: ResourceKey, document: Document) -> Document:
        """Store a new object or a new state of one; returns it with its resourceVersion."""
        self.revision += 1
        metadata = {**document["metadata"], "resourceVersion": str(self.revision)}
        stored = {**document, "metadata": metadata}
        key = (metadata.get("namespace", ""), metadata["name"])
        filed = self._objects.setdefault(resource, {})
        before = filed.get(key)
        filed[key] = stored
        self._publish(Event(self.revision, "MODIFIED" if before else "ADDED", resource, stored, before))
        return stored

    def remove(self, resource: ResourceKey, namespace: str | None, name: str) -> Document:
        """The object as it was; raises KeyError when there is none."""
        before = self._objects[resource].pop((namespace or "", name))
        self.revision += 1
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.revision)}}
        self._publish(Event(self.revision, "DELETED", resource, last, before))
        return last

    def watch(self, resource: ResourceKey, since: int | None) -> Watch:
        """Events after a revision, or from now on; raises Refused (410) when the history no longer reaches back."""
        backlog: list[Event] = []
        if since is not None:
            self._check_reach(since)
            backlog = [event for event in self._history if event.revision > since and event.resource == resource]
        watch = Watch(resource, backlog)
        self._watches.add(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        """End a watch that nobody reads any more."""
        watch.close()
        self._watches.discard(watch)

    def close(self) -> None:
        """End all watches."""
        for watch in self._watches:
            watch.close()

    def _check_reach(self, since: int) -> None:
        forgotten = len(self._history) == _HISTORY and since < self._history[0].revision - 1
        if forgotten or since < _FIRST_REVISION:
            raise gone(f"too old resource version: {since} ({self.revision})")

    def _publish(self, event: Event) -> None:
        self._history.append(event)
        for watch in self._watches:
            if watch.resource == event.resource:
                watch.offer(event)

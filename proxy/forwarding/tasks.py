"""Owns the few coroutines that the byte path needs (dialling, waiting for a key set): named, kept, ended together."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("mosk_proxy.tasks")


class TaskSet:
    """A set of named tasks that must not fail; one that does is logged and spoils no other.

    A TaskGroup would end its siblings at the first failure: right for the parts of one piece of work, wrong for the requests of
    strangers to each other.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a coroutine under a name that reads well in a stack dump."""
        task = self._loop.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("task %s failed: %r", task.get_name(), failure)

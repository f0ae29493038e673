"""Audit lines on their way out of the byte path.

`put` appends to a list and returns: no lock, no system call, no task. One timer hands the list to a thread after FLUSH_SECONDS;
the thread writes it, with one write where the file allows it, and may wait for a slow reader or a full disk as long as it takes.
Meanwhile lines wait in a bounded queue. What happens when that is full is the operator's choice, `audit.when_full`:

- `drop`: the line is dropped and counted.
- `refuse`: `accepting` turns false and stays so while the queue is full. The edge asks it once, at the start of a request, before
  it judges, and answers 503 instead, for which it puts no line. The lines of requests in progress at that moment are still taken,
  into room kept for them: a request that was judged has its line. A reserve of two lines (start and end) for each of
  `limits.connections` always suffices, because a connection carries one request at a time; whatever exceeds it is dropped and
  counted all the same, so that no mistake elsewhere can use up the memory.
"""

import asyncio
import logging
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from proxy.operations.audit_file import AuditFile
from proxy.operations.audit_writer import WAIT_SECONDS, AuditWriter, Batch, Order

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.04
CLOSE_SECONDS = 5.0
_LOOK_SECONDS = 0.01
MOST_LINES = 50_000
MOST_BYTES = 32 << 20
RESERVE_LINES = 2 * 20_000  # for the default of limits.connections


class AuditSink:
    """Takes audit lines on the event loop: an async context manager that opens the file and, at the end, writes what waits.

    `path` is `-` for standard output, a file, or None: then lines are taken and forgotten, and `enabled` is false, so that a
    caller need not make them. `reserve_lines` is the room that `refuse` keeps for requests in progress. `shared` says that other processes (workers) write to the same place. Entering raises OSError when the file cannot be opened. Leaving takes CLOSE_SECONDS at most.
    """

    __slots__ = (
        "_batch", "_bytes_taken", "_drops", "_lines_taken", "_loop", "_most_bytes", "_most_lines", "_timer",
        "_utmost_lines", "_writer", "enabled",
    )  # fmt: skip

    def __init__(
        self,
        path: Path | Literal["-"] | None,
        *,
        when_full: Literal["drop", "refuse"] = "drop",
        shared: bool = False,
        most_lines: int = MOST_LINES,
        most_bytes: int = MOST_BYTES,
        reserve_lines: int = RESERVE_LINES,
    ) -> None:
        self.enabled = path is not None
        self._drops = when_full == "drop"
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._utmost_lines = 0 if self._drops else most_lines + reserve_lines
        self._writer = AuditWriter(AuditFile(path if isinstance(path, Path) else None, shared=shared))
        self._batch: Batch = []
        self._lines_taken = self._bytes_taken = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"AuditSink(written={self.written}, queued={self.queued}, dropped={self.dropped}, failed={self.failed})"

    async def __aenter__(self) -> Self:
        if self.enabled:
            self._writer.start()
            self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def put(self, line: bytes) -> bool:
        """Take one JSON text without line break; False when it was dropped. On the event loop only."""
        writer = self._writer
        if (
            self._lines_taken - writer.settled_lines >= self._most_lines
            or self._bytes_taken - writer.settled_bytes >= self._most_bytes
        ) and self._lines_taken - writer.settled_lines >= self._utmost_lines:
            writer.overflowed += 1
            return False
        if self._timer is None and not self._set_timer():
            return not self.enabled
        self._batch.append(line)
        self._lines_taken += 1
        self._bytes_taken += len(line)
        return True

    @property
    def accepting(self) -> bool:
        """Whether a request may be judged; false only while the queue is full and `when_full` is `refuse`."""
        return self._drops or (
            self._lines_taken - self._writer.settled_lines < self._most_lines
            and self._bytes_taken - self._writer.settled_bytes < self._most_bytes
        )

    def check(self) -> str | None:
        """Why requests are refused, for a readiness probe; None while they are not."""
        return None if self.accepting else f"{self.queued} audit lines wait to be written"

    @property
    def written(self) -> int:
        """Lines written whole."""
        return self._writer.written

    @property
    def dropped(self) -> int:
        """Lines lost: the queue was full, or the time to close was over."""
        return self._writer.overflowed + self._writer.abandoned

    @property
    def failed(self) -> int:
        """Attempts to write or to open that failed."""
        return self._writer.failures

    @property
    def queued(self) -> int:
        """Lines taken and not yet written."""
        return self._lines_taken - self._writer.settled_lines

    def reopen(self) -> None:
        """Open the file again after the lines taken so far, for log rotation; the old one stays in use when that fails."""
        if self._loop is not None:
            self._hand_over()
            self._writer.orders.put(Order.REOPEN)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits for at most `seconds`; what is left then is lost and counted. Lines put later are dropped."""
        if self._loop is None:
            return
        self._hand_over()
        loop, self._loop = self._loop, None
        give_up = loop.time() + seconds + 2 * WAIT_SECONDS
        self._writer.stop(seconds)
        while self._writer.is_running and loop.time() < give_up:  # noqa: ASYNC110  a thread that hangs sets no event
            await asyncio.sleep(_LOOK_SECONDS)
        if lost := self.queued + self._writer.abandoned:
            logger.error("audit: %d lines could not be written before the end and are lost", lost)

    def _set_timer(self) -> bool:
        if self._loop is None:
            self._writer.overflowed += self.enabled
            return False
        self._timer = self._loop.call_later(FLUSH_SECONDS, self._hand_over)
        return True

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            batch, self._batch = self._batch, []
            self._writer.orders.put(batch)

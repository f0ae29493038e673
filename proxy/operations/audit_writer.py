"""The thread that carries audit lines to their file.

It may wait as long as the file makes it wait; nobody waits for it. Each of its figures is changed by one thread only, so that the
event loop reads them without a lock.
"""

import enum
import logging
import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from proxy.operations.audit_file import AuditFile

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
REPORT_SECONDS = 10.0
WAIT_SECONDS = 0.25  # how soon a waiting writer notices that it shall end


class Order(enum.Enum):
    """What the writer is told between batches."""

    REOPEN = enum.auto()
    STOP = enum.auto()


Batch: TypeAlias = list[bytes]


class AuditWriter:
    """Writes batches in the order given. `settled_*` count lines that wait no longer: `written`, or `abandoned` at the end.

    `failures` counts attempts; a failed batch is tried again each RETRY_SECONDS, on a file opened anew, until it is written.
    `overflowed` belongs to the event loop; the writer reports it, because a log that blocks must not block the loop.
    """

    __slots__ = (
        "_closing", "_deadline", "_file", "_has_trouble", "_next_report", "_reported", "_thread",
        "abandoned", "failures", "orders", "overflowed", "settled_bytes", "settled_lines", "written",
    )  # fmt: skip

    def __init__(self, file: AuditFile) -> None:
        self.orders: queue.SimpleQueue[Batch | Order] = queue.SimpleQueue()
        self.settled_lines = self.settled_bytes = self.written = self.abandoned = self.failures = 0
        self.overflowed = self._reported = 0
        self._file = file
        self._closing = threading.Event()
        self._deadline = math.inf
        self._next_report = 0.0
        self._has_trouble = False
        # A daemon: a disk that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)

    def start(self) -> None:
        """Open the file and start the thread; raises OSError when the file cannot be opened."""
        self._file.open()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Let the thread write what waits for at most `seconds`, and end; `is_running` tells when it has."""
        self._deadline = time.monotonic() + seconds
        self._closing.set()
        self.orders.put(Order.STOP)

    @property
    def is_running(self) -> bool:
        """Whether the thread is still at work, or in a write that does not come back."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while (order := self.orders.get()) is not Order.STOP:
            if order is Order.REOPEN:
                self._reopen()
            else:
                for lines in joined(order, self._file.most_bytes):
                    self._write(lines)
                self._report_overflow()
        self._file.close()

    def _write(self, lines: bytes) -> None:
        done = 0
        while done < len(lines) and self._has_room():
            try:
                done = self._file.write(lines, done)
            except OSError as error:
                done = self._file.rewind(lines, done)
                if not self._shall_retry(error):
                    break
        if done == len(lines):
            self._report_recovery()
        self._settle(lines, self._file.rewind(lines, done))

    def _settle(self, lines: bytes, done: int) -> None:
        count = lines.count(b"\n")
        written = count if done == len(lines) else lines.count(b"\n", 0, done)
        self.written += written
        self.abandoned += count - written
        self.settled_bytes += len(lines) - count
        self.settled_lines += count

    def _has_room(self) -> bool:
        while not self._file.has_room_within(max(0.0, min(WAIT_SECONDS, self._seconds_left()))):
            self._report_overflow()
            if self._seconds_left() <= 0:
                return False
        return True

    def _seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def _shall_retry(self, error: OSError) -> bool:
        self._has_trouble |= self._report_failure("cannot write to", error, "its lines wait")
        self._report_overflow()
        if self._closing.wait(RETRY_SECONDS):
            return False
        self._reopen()
        return True

    def _reopen(self) -> None:
        try:
            self._file.open()
        except OSError as error:
            self._report_failure("cannot open", error, "what was open stays in use")

    def _report_failure(self, what: str, error: OSError, consequence: str) -> bool:
        self.failures += 1
        if not self._may_report():
            return False
        logger.error("audit: %s %s: %s; %s", what, self._file, error.strerror, consequence)
        return True

    def _report_recovery(self) -> None:
        if self._has_trouble:
            self._has_trouble = False
            logger.warning("audit: writing to %s again", self._file)

    def _report_overflow(self) -> None:
        if self._reported < self.overflowed and self._may_report():
            self._reported = self.overflowed
            logger.error("audit: the queue to %s is full; %d lines dropped since the start", self._file, self._reported)

    def _may_report(self) -> bool:
        now = time.monotonic()
        if now < self._next_report:
            return False
        self._next_report = now + REPORT_SECONDS
        return True


def joined(lines: Sequence[bytes], most_bytes: int | None) -> Iterator[bytes]:
    """Join lines, each ended by a line break, into as few pieces of at most `most_bytes` as keep every line whole."""
    first = size = 0
    for index, line in enumerate(lines if most_bytes is not None else ()):
        if size and most_bytes is not None and size + len(line) + 1 > most_bytes:
            yield b"\n".join(lines[first:index]) + b"\n"
            first, size = index, 0
        size += len(line) + 1
    yield b"\n".join(lines[first:]) + b"\n"

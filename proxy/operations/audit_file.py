"""Whole lines into standard output or a file, for one thread that may wait.

What the kernel promises, and what is made of it:

- A regular file opened for appending takes each write whole, beside other processes that append to it too. Only a full disk or a
  size limit cuts one short; the fragment is then taken back, so that the file ends with a whole line while it waits for room.
- A pipe, a socket or a terminal takes what it has room for. Waiting for room happens in `poll`, never in `write`, so that the thread
  can be told to end; standard output is therefore opened a second time, because O_NONBLOCK on the descriptor that was inherited would
  hold for every process that has it.
- Where other writers share the stream (several workers, or a log on the same pipe), as many whole lines at a time are written as fit
  into PIPE_BUF: those stay together, and poll promises room for them (pipe(7)). A longer line goes out alone. The same is done where
  standard output cannot be opened again (sockets; pipes of another user).
- What a stream has taken cannot be taken back. A line that an error broke off is ended with a line break, and written again.
"""

import contextlib
import errno
import os
import select
import stat
import sys
from pathlib import Path

_STANDARD_OUTPUT, _STANDARD_ERROR = 1, 2
# O_NONBLOCK: a named pipe that nobody reads is an error at start instead of a hang; regular files ignore it.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class AuditFile:
    """Standard output (`path` None), or the file at `path`, made with mode 0600 when it is not there.

    `shared` says that other processes write to the same place.
    """

    __slots__ = ("_descriptor", "_is_mid_line", "_is_regular", "_is_stream", "_path", "_shared", "most_bytes")

    def __init__(self, path: Path | None, *, shared: bool = False) -> None:
        self._path = path
        self._shared = shared
        self._descriptor = -1
        self._is_regular = self._is_stream = self._is_mid_line = False
        self.most_bytes: int | None = None
        """How long a write may be to stay whole; None for any length."""

    def __str__(self) -> str:
        return "standard output" if self._path is None else str(self._path)

    def open(self) -> None:
        """Open, or open again; what was open stays in use when that fails. Raises OSError."""
        descriptor = _own_standard_output() if self._path is None else os.open(self._path, _FLAGS | os.O_CREAT, 0o600)
        self.close()
        mode = os.fstat(descriptor).st_mode
        self._descriptor = descriptor
        self._is_regular = stat.S_ISREG(mode)
        self._is_stream = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
        shared = self._shared or _is_standard_error(descriptor) or os.get_blocking(descriptor)
        self.most_bytes = select.PIPE_BUF if self._is_stream and shared else None
        # A process that was killed in the middle of a write leaves a fragment behind. What a stream has of a line stays in it.
        if self._is_regular and self._path is not None:
            self._is_mid_line = _ends_mid_line(self._path)

    def close(self) -> None:
        """Close; harmless when nothing is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def has_room_within(self, seconds: float) -> bool:
        """Wait until a write will not block; always true for a file, whose disk cannot be asked."""
        if not self._is_stream:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))

    def write(self, lines: bytes, start: int) -> int:
        """Write `lines[start:]` as far as there is room; returns where it got to. Raises OSError when it will not get further."""
        try:
            if self._is_mid_line:
                os.write(self._descriptor, b"\n")
                self._is_mid_line = False
            end = start + os.write(self._descriptor, memoryview(lines)[start:])
        except BlockingIOError:  # another writer was quicker to take the room
            return start
        if end < len(lines) and self._is_regular:
            return self._take_back_fragment(lines, start, end)
        return end

    def rewind(self, lines: bytes, position: int) -> int:
        """Give up the line at `position`: returns its start, and ends what a stream already has of it before the next write."""
        start = lines.rfind(b"\n", 0, position) + 1
        self._is_mid_line = self._is_mid_line or start < position
        return start

    def _take_back_fragment(self, lines: bytes, start: int, end: int) -> int:
        whole = lines.rfind(b"\n", start, end) + 1 or start
        position = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        # Further on there are lines of another process already: too late to cut.
        if whole < end and position == os.fstat(self._descriptor).st_size:
            self._is_mid_line = True
            os.ftruncate(self._descriptor, position - (end - whole))
            os.lseek(self._descriptor, position - (end - whole), os.SEEK_SET)
            self._is_mid_line = False
        if whole == start:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole


def _own_standard_output() -> int:
    if sys.__stdout__ is None:  # it was closed at start; the number may be a client's connection by now
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
    # A regular file opened again would have an offset of its own: who inherits the same `> file` would write over our lines.
    if not stat.S_ISREG(os.fstat(_STANDARD_OUTPUT).st_mode):
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{_STANDARD_OUTPUT}", _FLAGS)
    return os.dup(_STANDARD_OUTPUT)


def _is_standard_error(descriptor: int) -> bool:
    try:
        return os.path.sameopenfile(descriptor, _STANDARD_ERROR)
    except OSError:  # standard error is closed
        return False


def _ends_mid_line(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:  # empty, or ours to write but not to read
        return False

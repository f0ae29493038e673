"""A terminal with a program in it, driven as a person would: keys in, what appears out."""

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

_SECONDS = 20


class Terminal:
    """The person's side of a pseudo-terminal."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self._process = process
        self._shown = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._descriptor, keys.encode())

    def shows(self, expected: str) -> str:
        """Wait until text that matches appears; returns what came before it, and forgets all that was shown."""
        deadline = time.monotonic() + _SECONDS
        while not (found := re.search(expected, self._shown, re.DOTALL)):
            left = deadline - time.monotonic()
            assert left > 0, f"no {expected!r} in {self._shown!r}"
            if select.select([self._descriptor], [], [], left)[0]:
                try:
                    self._shown += os.read(self._descriptor, 65536).decode()
                except OSError:
                    raise AssertionError(f"ended without {expected!r}: {self._shown!r}") from None
        before, self._shown = self._shown[: found.start()], self._shown[found.end() :]
        return before

    def resize(self, lines: int, columns: int) -> None:
        """Drag the window's corner."""
        _set_size(self._descriptor, lines, columns)
        self._process.send_signal(signal.SIGWINCH)  # the program is in no foreground group that the kernel would tell

    def exit_status(self) -> int:
        """Wait for the end of the program."""
        return self._process.wait(_SECONDS)


@contextlib.contextmanager
def terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Run a program whose input and output are one terminal of 41 lines and 131 columns."""
    ours, theirs = os.openpty()
    try:
        _set_size(theirs, 41, 131)
        process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        try:
            yield Terminal(ours, process)
        finally:
            process.terminate()
            process.wait(_SECONDS)
    finally:
        os.close(ours)
        os.close(theirs)


def _set_size(descriptor: int, lines: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

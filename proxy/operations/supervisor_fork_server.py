"""The process that makes workers.

Workers are forked and not started as new interpreters, for three reasons: they share one TLS context, so that a session ticket of one
worker resumes in any other (its keys cannot be read or set from Python); a replacement serves after some milliseconds instead of a
second of imports; and the memory of what is loaded is shared.

A fork copies the calling thread alone, and with it whatever locks the others held; an event loop is copied with descriptors that
both sides believe to be theirs. So the supervisor, which has an event loop and threads, never forks. Before it gets them it makes this
process, which never has either: it reads an order, forks or kills, and reaps. A worker's descriptor comes with its order, so that
no worker holds another's.

Who ends whom: the supervisor ends this process by the end of the stream. Workers see the end of theirs at the same moment and end in
order; those that are still there after END_SECONDS, or when this process is killed, get SIGKILL from the kernel (PR_SET_PDEATHSIG).
"""

import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, Protocol

from proxy.operations.supervisor_forks import NOTICE, ORDER, ForkNotice, ForkOrder

log = logging.getLogger("mosk_proxy.supervisor")

# Longer than an audit sink waits for its disk.
END_SECONDS: Final = 7.0
_PR_SET_PDEATHSIG: Final = 1


class Source(Protocol):
    """What workers are made from. All of it runs in the process without threads."""

    def prepare(self) -> None:
        """Called before each fork, so that the worker begins with what is true now."""

    def refresh(self) -> None:
        """Called when the other workers have taken over something new."""

    def run(self, slot: int, channel: socket.socket) -> int:
        """Be the worker of a slot; returns the exit status."""


@contextlib.contextmanager
def fork_server(source: Source, end_seconds: float = END_SECONDS) -> Iterator[socket.socket]:
    """Fork the process that forks workers; yields the stream to it, and waits for its end and that of all workers.

    To be entered before there is a thread or an event loop; raises RuntimeError when there is a thread. `end_seconds` is how long
    workers may take to end in order.
    """
    if threading.active_count() > 1:
        raise RuntimeError("a thread was started before the workers: a fork would copy its locks and not the thread")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            ours.close()
            _exit_with(_ForkServer(theirs, source, end_seconds).serve)
        theirs.close()
        try:
            yield ours
        finally:
            ours.close()
            os.waitpid(pid, 0)


class _ForkServer:
    def __init__(self, orders: socket.socket, source: Source, end_seconds: float) -> None:
        self._orders = orders
        self._source = source
        self._end_seconds = end_seconds
        self._children: set[int] = set()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)

    def serve(self) -> int:
        """Obey orders until their stream ends."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a terminal and a service manager send them to all; the supervisor decides
        signal.signal(signal.SIGCHLD, _do_nothing)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        # What is loaded by now stays: a collector that marks it would copy every page of it into each worker.
        gc.freeze()
        is_wanted = True
        while is_wanted:
            ready = self._wait()
            if self._orders.fileno() in ready:
                is_wanted = self._obey()
            self._reap()
        self._await_children()
        return 0

    def _wait(self, seconds: float | None = None) -> set[int]:
        poll = select.poll()
        for sock in (self._orders, self._wake):
            if sock.fileno() >= 0:
                poll.register(sock, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        return ready

    def _obey(self) -> bool:
        try:
            frame, descriptors, _, _ = socket.recv_fds(self._orders, ORDER.size, 1)
        except ConnectionResetError:  # the supervisor was killed with notices unread
            frame, descriptors = b"", []
        if len(frame) < ORDER.size:
            self._orders.close()
            return False
        order, number = ORDER.unpack(frame)
        match ForkOrder(order):
            case ForkOrder.FORK:
                with socket.socket(fileno=descriptors[0]) as channel:
                    self._fork(number, channel)
            case ForkOrder.KILL if number in self._children:
                os.kill(number, signal.SIGKILL)
            case ForkOrder.KILL:
                pass  # it has ended meanwhile, and its number may be another's
            case ForkOrder.REFRESH:
                self._source.refresh()
        return True

    def _fork(self, slot: int, channel: socket.socket) -> None:
        self._source.prepare()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(ForkNotice.NOT_FORKED, slot, error.errno or 0)
            return
        if pid == 0:
            _exit_with(lambda: self._be_worker(parent, slot, channel))
        self._children.add(pid)
        self._tell(ForkNotice.FORKED, slot, pid)

    def _be_worker(self, parent: int, slot: int, channel: socket.socket) -> int:
        _end_with(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for sock in (self._orders, self._wake, self._waker):
            sock.close()
        return self._source.run(slot, channel)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._children.discard(pid)
                self._tell(ForkNotice.ENDED, pid, os.waitstatus_to_exitcode(status))

    def _await_children(self) -> None:
        deadline = time.monotonic() + self._end_seconds
        while self._children and (left := deadline - time.monotonic()) > 0:
            self._wait(left)
            self._reap()

    def _tell(self, notice: ForkNotice, number: int, value: int) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more: the next read says so
            self._orders.sendall(NOTICE.pack(notice, number, value))


def _exit_with(main: Callable[[], int]) -> NoReturn:
    """Leave a forked process with the status of `main`, whatever happens: the frames above belong to its parent."""
    status = 1
    try:
        status = main()
    except BaseException:
        log.exception("the process broke")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _do_nothing(_number: int, _frame: object) -> None:
    """Let SIGCHLD reach the wake-up descriptor, for which Python wants a handler."""

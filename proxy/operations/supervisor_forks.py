"""The supervisor's way to the process that makes workers (`supervisor_fork_server`), and the frames that go to and fro."""

import asyncio
import contextlib
import enum
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from proxy.operations.supervisor_rules import worded_end

# Of one size: a stream cuts nothing there, and what comes with a descriptor is never joined to what follows (unix(7)).
ORDER: Final = struct.Struct("!Bi")
NOTICE: Final = struct.Struct("!Bii")
_LOST: Final = "ended with the process that makes workers"


class ForkOrder(enum.IntEnum):
    """With the slot for FORK, which brings a descriptor; with the process for KILL."""

    FORK = 1
    KILL = 2
    REFRESH = 3


class ForkNotice(enum.IntEnum):
    """With slot and process for FORKED, slot and errno for NOT_FORKED, process and exit code for ENDED."""

    FORKED = 1
    NOT_FORKED = 2
    ENDED = 3


@dataclass(eq=False, slots=True)
class Child:
    """A worker's process: `pid` once it was forked, `ended` with how it ended in words."""

    slot: int
    ended: "asyncio.Future[str]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    pid: int | None = None


class Forks:
    """The supervisor's end of the stream to the process that forks. `lost` is called when that has ended."""

    def __init__(self, orders: socket.socket, lost: Callable[[], None]) -> None:
        self._orders = orders
        self._lost = lost
        self._starting: dict[int, Child] = {}
        self._running: dict[int, Child] = {}
        self._buffer = b""
        self._is_lost = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what becomes of processes."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._orders, self._read)
        try:
            yield
        finally:
            loop.remove_reader(self._orders)

    def start(self, slot: int, channel: socket.socket) -> Child:
        """Have a worker made for `slot`, which has none; it gets `channel`."""
        child = Child(slot)
        if self._is_lost:
            child.ended.set_result(_LOST)
        else:
            self._starting[slot] = child
            self._order(ForkOrder.FORK, slot, channel)
        return child

    def kill(self, child: Child) -> None:
        """End a process at once; harmless when it has ended."""
        if child.pid is not None:
            self._order(ForkOrder.KILL, child.pid)

    def refresh(self) -> None:
        """Let workers to come begin with what the others have taken over."""
        self._order(ForkOrder.REFRESH, 0)

    def _order(self, order: ForkOrder, number: int, channel: socket.socket | None = None) -> None:
        frame = ORDER.pack(order, number)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `lost` follows
            socket.send_fds(self._orders, [frame], [] if channel is None else [channel.fileno()])

    def _read(self) -> None:
        try:
            data = self._orders.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._end()
            return
        self._buffer += data
        while len(self._buffer) >= NOTICE.size:
            notice = NOTICE.unpack_from(self._buffer)
            self._buffer = self._buffer[NOTICE.size :]
            self._hear(*notice)

    def _hear(self, notice: int, number: int, value: int) -> None:
        match ForkNotice(notice):
            case ForkNotice.FORKED:
                child = self._running[value] = self._starting.pop(number)
                child.pid = value
            case ForkNotice.NOT_FORKED:
                self._starting.pop(number).ended.set_result(f"could not be made: {os.strerror(value)}")
            case ForkNotice.ENDED:
                self._running.pop(number).ended.set_result(worded_end(value))

    def _end(self) -> None:
        self._is_lost = True
        asyncio.get_running_loop().remove_reader(self._orders)
        for child in (*self._starting.values(), *self._running.values()):
            child.ended.set_result(_LOST)
        self._starting.clear()
        self._running.clear()
        self._lost()

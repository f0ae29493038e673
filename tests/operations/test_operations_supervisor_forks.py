"""The supervisor's end of the stream to the process that forks, which is played by the test."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from proxy.operations.supervisor_forks import NOTICE, ORDER, ForkNotice, ForkOrder, Forks


class Played:
    """The other end."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        self.sock.settimeout(5)
        self.losses = 0
        self.ours = ours
        self.forks = Forks(ours, self._lose)

    def _lose(self) -> None:
        self.losses += 1

    def order(self) -> tuple[ForkOrder, int, list[int]]:
        frame, descriptors, _, _ = socket.recv_fds(self.sock, ORDER.size, 1)
        order, number = ORDER.unpack(frame)
        return ForkOrder(order), number, descriptors

    def tell(self, *notices: tuple[ForkNotice, int, int], cut: int = 0) -> None:
        data = b"".join(NOTICE.pack(*notice) for notice in notices)
        for piece in (data[:cut], data[cut:]):
            self.sock.sendall(piece)


@pytest.fixture
async def played() -> Iterator[Played]:  # type: ignore[misc]
    other = Played()
    with other.ours, other.sock, other.forks.listening():
        yield other


async def test_a_worker_is_ordered_with_its_channel_and_followed_to_its_end(played):
    channel, its_end = socket.socketpair()
    with channel, its_end:
        child = played.forks.start(3, its_end)
        order, slot, (descriptor,) = played.order()
    assert (order, slot, child.pid) == (ForkOrder.FORK, 3, None)
    os.close(descriptor)
    played.forks.kill(child)  # it is not there yet
    played.tell((ForkNotice.FORKED, 3, 77), cut=4)
    await asyncio.sleep(0.01)
    assert child.pid == 77
    played.forks.kill(child)
    assert played.order() == (ForkOrder.KILL, 77, [])
    played.tell((ForkNotice.ENDED, 77, -signal.SIGKILL))
    assert await asyncio.wait_for(child.ended, 5) == "was ended by SIGKILL"


async def test_a_fork_that_fails_is_the_end_of_the_worker(played):
    child = played.forks.start(1, played.sock)
    played.tell((ForkNotice.NOT_FORKED, 1, errno.EAGAIN))
    assert await asyncio.wait_for(child.ended, 5) == "could not be made: Resource temporarily unavailable"
    os.close(played.order()[2][0])


async def test_what_others_have_taken_over_is_told(played):
    played.forks.refresh()
    assert played.order() == (ForkOrder.REFRESH, 0, [])


@pytest.mark.parametrize("is_reset", [False, True])
async def test_when_it_has_ended_so_have_all_workers_and_those_to_come(played, is_reset):
    starting, running = played.forks.start(1, played.ours), played.forks.start(2, played.ours)
    played.tell((ForkNotice.FORKED, 2, 77))
    if not is_reset:  # what is not read when the socket closes turns its end into a reset
        for _ in range(2):
            os.close(played.order()[2][0])
    played.sock.close()
    words = {await asyncio.wait_for(child.ended, 5) for child in (starting, running)}
    assert words == {"ended with the process that makes workers"}
    assert played.losses == 1
    later = played.forks.start(3, played.ours)
    assert await asyncio.wait_for(later.ended, 5) in words
    played.forks.refresh()  # into the void

"""Keeps a worker in each slot: starts it, listens to its heartbeat, replaces it, and passes on what the operator orders.

A slot has a listening socket of its own that the supervisor keeps for ever. While a slot has no worker, or a hung one, the kernel goes
on to take connections for it; they wait for the next worker instead of being refused. When the supervisor stops, a slot whose worker
has ended is closed, so that new connections go to those that still drain.

What prevents a slot's first worker from serving prevents the start of all: one line and a status. From then on no slot is given up.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.operations.supervisor_channel import Order, Reloaded, Serving
from proxy.operations.supervisor_forks import Child, Forks
from proxy.operations.supervisor_rules import BackOff, Pace, Silence
from proxy.operations.supervisor_worker import News, Worker

log = logging.getLogger("mosk_proxy.supervisor")


class SupervisorError(RuntimeError):
    """Why there are no workers, in one line: the first one of a slot could not serve, or the fork server has ended."""


@dataclass(eq=False, slots=True)
class Slot:
    """A place for a worker: its number from 1, the socket it listens on, and the process that has it now."""

    number: int
    listener: socket.socket
    worker: Worker | None = None
    restarts: int = 0
    has_served: bool = False

    @property
    def serving(self) -> Worker | None:
        """The worker that can be asked, None while there is none."""
        return self.worker if self.worker is not None and self.worker.serves else None


class Supervisor:
    """Keeps the workers of `listeners`, one for each; `orders` leads to the fork server. `started` is called when all serve."""

    def __init__(
        self, listeners: Sequence[socket.socket], orders: socket.socket, started: Callable[[], None], pace: Pace
    ) -> None:
        self.slots = tuple(Slot(number, listener) for number, listener in enumerate(listeners, 1))
        self._started = started
        self._pace = pace
        self._forks = Forks(orders, self._lose_forks)
        self._stop = asyncio.Event()
        self._failure: str | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether no worker is replaced any more."""
        return self._stop.is_set()

    async def run(self) -> None:
        """Keep all slots until `stop`, and until every worker has ended; raises SupervisorError."""
        try:
            with self._forks.listening():
                async with asyncio.TaskGroup() as group:
                    for slot in self.slots:
                        group.create_task(self._keep(slot), name=f"worker {slot.number}")
        finally:
            for worker in self._workers():
                await worker.hang_up()
        if self._failure is not None:
            raise SupervisorError(self._failure)

    def stop(self) -> None:
        """Let all workers drain; a second call ends them now."""
        self._order(Order.HURRY if self._stop.is_set() else Order.DRAIN)
        self._stop.set()

    def reload(self) -> None:
        """Let all workers read everything again."""
        self._order(Order.RELOAD)

    async def _keep(self, slot: Slot) -> None:
        back_off = BackOff(self._pace)
        while not self._stop.is_set():
            worker, end = await self._employ(slot)
            if self._failure is not None:
                return  # the one line is told by whoever started us
            if self._stop.is_set():
                log.info("worker %d %s", slot.number, end)
            elif not slot.has_served:
                self._give_up(f"worker {slot.number}: {worker.failure or end}")
            else:
                slot.restarts += 1
                delay = back_off.delay(worker.served_seconds)
                log.error("worker %d %s; another one follows in %.1f s", slot.number, _reasoned(end, worker.failure), delay)
                await self._pause(delay)
        # All copies of the descriptor listen no more; what waits in the queue is reset.
        slot.listener.shutdown(socket.SHUT_RDWR)

    async def _employ(self, slot: Slot) -> tuple[Worker, str]:
        """Start a worker and attend to it until it has ended; returns it, and how it ended."""
        worker = slot.worker = Worker(lambda news: self._hear(slot, news))
        with await worker.open() as its_end:
            child = self._forks.start(slot.number, its_end)
        if self._stop.is_set():  # it was told to the others only
            worker.order(Order.HURRY)
        end = await self._attend(slot, worker, child)
        await worker.last_words()
        slot.worker = None
        return worker, f"(process {child.pid}) {end}"

    async def _attend(self, slot: Slot, worker: Worker, child: Child) -> str:
        silence = Silence(self._pace)
        while True:
            await asyncio.wait((child.ended,), timeout=self._pace.beat_seconds)
            if child.ended.done():
                return child.ended.result()
            if silence.is_too_long(worker.heard, serves=worker.serves):
                log.error("worker %d (process %s) is silent: killed", slot.number, child.pid)
                self._forks.kill(child)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _hear(self, slot: Slot, news: News) -> None:
        match news:
            case Serving() if slot.has_served:
                log.info("worker %d serves again", slot.number)
            case Serving():
                slot.has_served = True
                if all(other.has_served for other in self.slots):
                    self._started()
            case Reloaded():
                self._forks.refresh()

    def _give_up(self, reason: str) -> None:
        if self._failure is None:
            self._failure = reason
        self._stop.set()
        self._order(Order.HURRY)

    def _lose_forks(self) -> None:
        self._give_up("the process that makes workers has ended")

    def _workers(self) -> list[Worker]:
        return [slot.worker for slot in self.slots if slot.worker is not None]

    def _order(self, order: Order) -> None:
        for worker in self._workers():
            worker.order(order)


def _reasoned(end: str, failure: str | None) -> str:
    return end if failure is None else f"{end}: {failure}"

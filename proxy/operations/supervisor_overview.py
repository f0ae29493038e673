"""How all workers stand: each is asked over its channel, and none can hold up the answer."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from proxy.operations.metric_totals import Totals, packed, unpacked
from proxy.operations.metrics import exposition, own_process
from proxy.operations.probes import Finding
from proxy.operations.supervisor import Slot, Supervisor
from proxy.operations.supervisor_channel import Subject

_SUPERVISOR: Final = "supervisor"
_findings: Final = msgspec.msgpack.Decoder(list[Finding])


@dataclass(frozen=True, slots=True)
class _Reply:
    """What a slot's worker said: `worker` names this very process, None when there was none to ask; `body` is None without an answer."""

    slot: int
    restarts: int
    worker: str | None
    body: bytes | None


class WorkersOverview:
    """Probes and metrics of `supervisor` and its workers; `answer_seconds` is how long one may take to answer."""

    def __init__(self, supervisor: Supervisor, answer_seconds: float) -> None:
        self._supervisor = supervisor
        self._answer_seconds = answer_seconds
        self._totals = Totals()
        # Answers must be added up in the order in which they were given.
        self._turn = asyncio.Lock()

    async def live(self) -> list[Finding]:
        """Tell that the supervisor works: a worker that does not is replaced, and a restart would end the others' streams."""
        return [Finding("ping"), *(Finding(f"worker-{slot.number}", note=_state(slot)) for slot in self._supervisor.slots)]

    async def ready(self) -> list[Finding]:
        """Ask every worker; the service is ready when all are."""
        draining = Finding("draining", "shutting down" if self._supervisor.is_stopping else None)
        return [draining, *(finding for reply in await self._ask(Subject.READY) for finding in self._findings(reply))]

    async def metrics(self, executor: Executor) -> bytes:
        """Return the sums over all workers."""
        async with self._turn:
            replies = await self._ask(Subject.METRICS)
            return await asyncio.get_running_loop().run_in_executor(executor, self._add_up, replies)

    async def _ask(self, subject: Subject) -> list[_Reply]:
        return await asyncio.gather(*(self._ask_one(slot, subject) for slot in self._supervisor.slots))

    async def _ask_one(self, slot: Slot, subject: Subject) -> _Reply:
        worker, restarts = slot.serving, slot.restarts
        if worker is None:
            return _Reply(slot.number, restarts, None, None)
        body = await worker.ask(subject, self._answer_seconds)
        return _Reply(slot.number, restarts, f"{slot.number}/{restarts}", body)

    def _findings(self, reply: _Reply) -> Iterator[Finding]:
        name = f"worker-{reply.slot}"
        if reply.worker is None:
            yield Finding(name, "does not serve yet")
        elif reply.body is None:
            yield Finding(name, f"no answer within {self._answer_seconds:g} s")
        else:
            for finding in _findings.decode(reply.body):
                yield Finding(f"{name}/{finding.name}", finding.reason, finding.note)

    def _add_up(self, replies: Sequence[_Reply]) -> bytes:
        told = {reply.worker: unpacked(reply.body) for reply in replies if reply.worker is not None and reply.body is not None}
        told[_SUPERVISOR] = unpacked(packed(own_process()))
        missing = [reply.worker for reply in replies if reply.worker is not None and reply.body is None]
        return exposition([*self._totals.add_up(told, missing), *_workers(replies)])


def _state(slot: Slot) -> str:
    state = "serving" if slot.serving is not None else "not serving"
    return f"{state}, restarts: {slot.restarts}"


def _workers(replies: Sequence[_Reply]) -> Iterator[Metric]:
    up = GaugeMetricFamily("mosk_proxy_worker_up", "1 when the worker has answered this scrape.", labels=("worker",))
    restarts = CounterMetricFamily("mosk_proxy_worker_restarts", "How often the worker was replaced.", labels=("worker",))
    for reply in replies:
        up.add_metric((str(reply.slot),), reply.body is not None)
        restarts.add_metric((str(reply.slot),), reply.restarts)
    yield up
    yield restarts

"""How all workers stand; each is the other end of a channel."""

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import msgspec
import pytest
from prometheus_client.core import CounterMetricFamily

from proxy.operations.metric_totals import packed
from proxy.operations.probes import Finding
from proxy.operations.supervisor import Supervisor
from proxy.operations.supervisor_channel import Answer, Channel, Message, Question, Serving, Subject
from proxy.operations.supervisor_overview import WorkersOverview
from proxy.operations.supervisor_rules import USUAL_PACE
from proxy.operations.supervisor_worker import Worker


class Answering:
    """A worker's end that answers each question, or none."""

    def __init__(self, total: float | None, *findings: Finding) -> None:
        self.total = total
        self._findings = list(findings)
        self.channel = Channel(self._receive)

    def _receive(self, message: Message) -> None:
        assert isinstance(message, Question)
        if self.total is None:
            return
        counted = CounterMetricFamily("mosk_proxy_requests", "Requests.", labels=())
        counted.add_metric((), self.total)
        body = packed([counted]) if message.subject is Subject.METRICS else msgspec.msgpack.encode(self._findings)
        self.channel.send(Answer(message.number, body))


@asynccontextmanager
async def overview(*workers: Answering | None) -> AsyncIterator[tuple[WorkersOverview, Supervisor]]:
    with socket.socket() as unused:
        supervisor = Supervisor([unused] * len(workers), unused, lambda: None, USUAL_PACE)
        for slot, answering in zip(supervisor.slots, workers, strict=True):
            if answering is not None:
                slot.worker = Worker(lambda _: None)
                await answering.channel.open(await slot.worker.open())
                answering.channel.send(Serving())
        async with asyncio.timeout(5):
            while sum(slot.serving is not None for slot in supervisor.slots) < sum(worker is not None for worker in workers):
                await asyncio.sleep(0.001)
        yield WorkersOverview(supervisor, 0.05), supervisor
        for slot in supervisor.slots:
            if slot.worker is not None:
                await slot.worker.hang_up()


FINE = Finding("issuers", None, "noted")


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ((1, FINE), Finding("worker-2/issuers", None, "noted")),
        ((1, Finding("audit", "full")), Finding("worker-2/audit", "full")),
        ((None,), Finding("worker-2", "no answer within 0.05 s")),
        (None, Finding("worker-2", "does not serve yet")),
    ],
    ids=["ready", "not ready", "silent", "absent"],
)
async def test_every_worker_is_asked_whether_it_is_ready(answer, finding):
    async with overview(Answering(1, FINE), Answering(*answer) if answer else None) as (workers, supervisor):
        assert await workers.ready() == [Finding("draining"), Finding("worker-1/issuers", None, "noted"), finding]
        supervisor.stop()
        assert (await workers.ready())[0] == Finding("draining", "shutting down")


async def test_it_is_alive_whatever_its_workers_do():
    async with overview(Answering(None), None) as (workers, supervisor):
        supervisor.slots[1].restarts = 3
        assert await workers.live() == [
            Finding("ping"),
            Finding("worker-1", None, "serving, restarts: 0"),
            Finding("worker-2", None, "not serving, restarts: 3"),
        ]


async def scraped(workers: WorkersOverview) -> dict[str, float]:
    with ThreadPoolExecutor(1) as executor:
        lines = (await workers.metrics(executor)).decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


async def test_figures_are_added_up_and_who_does_not_answer_is_named():
    silent = Answering(4)
    async with overview(Answering(3), silent, None) as (workers, supervisor):
        samples = await scraped(workers)
        assert samples["mosk_proxy_requests_total"] == 7
        assert samples["process_max_fds"] > 0
        silent.total = None
        supervisor.slots[2].restarts = 2
        samples = await scraped(workers)
        assert samples["mosk_proxy_requests_total"] == 7
        named = {name.partition("{")[0] + name[-3:-2]: value for name, value in samples.items() if "worker=" in name}
    assert named == {
        "mosk_proxy_worker_up1": 1,
        "mosk_proxy_worker_up2": 0,
        "mosk_proxy_worker_up3": 0,
        "mosk_proxy_worker_restarts_total1": 0,
        "mosk_proxy_worker_restarts_total2": 0,
        "mosk_proxy_worker_restarts_total3": 2,
    }


async def test_a_successor_that_has_counted_less_adds_to_what_its_predecessor_counted():
    one = Answering(10)
    async with overview(one) as (workers, supervisor):
        await scraped(workers)
        one.total = 4
        supervisor.slots[0].restarts = 1
        assert (await scraped(workers))["mosk_proxy_requests_total"] == 14
        one.total = 12
        supervisor.slots[0].restarts = 2
        assert (await scraped(workers))["mosk_proxy_requests_total"] == 26

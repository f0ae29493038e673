"""A worker as its supervisor sees it; the other end of its channel is the test's."""

import asyncio

from proxy.operations.supervisor_channel import (
    Answer,
    Beat,
    Channel,
    Failed,
    Message,
    Order,
    Ordered,
    Question,
    Reloaded,
    Serving,
    Subject,
)
from proxy.operations.supervisor_worker import News, Worker


class Process:
    """The other end."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.channel = Channel(self.heard.put_nowait)
        self.news: list[News] = []
        self.worker = Worker(self.news.append)

    async def open(self) -> None:
        await self.channel.open(await self.worker.open())


async def process() -> Process:
    made = Process()
    await made.open()
    return made


async def test_what_it_says_is_counted_and_what_others_must_know_is_spread():
    other = await process()
    worker = other.worker
    assert (worker.serves, worker.served_seconds, worker.heard) == (False, 0, 0)
    for message in (Beat(), Serving(), Reloaded(), Failed("no")):
        other.channel.send(message)
    await other.channel.close()
    await asyncio.wait_for(worker.last_words(), 5)
    assert (worker.serves, worker.heard, worker.failure, other.news) == (True, 4, "no", [Serving(), Reloaded()])
    assert worker.served_seconds > 0


async def test_orders_arrive():
    other = await process()
    other.worker.order(Order.DRAIN)
    assert await other.heard.get() == Ordered(Order.DRAIN)
    await other.worker.hang_up()
    await asyncio.wait_for(other.channel.lost, 5)


async def test_answers_find_their_questions_in_any_order():
    other = await process()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(other.worker.ask(subject, 5)) for subject in (Subject.READY, Subject.METRICS)]
        questions = [await other.heard.get(), await other.heard.get()]
        for question in reversed(questions):
            assert isinstance(question, Question)
            other.channel.send(Answer(question.number, question.subject.value.encode()))
    assert [task.result() for task in asked] == [b"ready", b"metrics"]
    await other.worker.hang_up()


async def test_an_answer_that_is_late_is_taken_for_no_other_question():
    other = await process()
    assert await other.worker.ask(Subject.READY, 0.02) is None
    late = await other.heard.get()
    assert isinstance(late, Question)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(other.worker.ask(Subject.READY, 5))
        question = await other.heard.get()
        assert isinstance(question, Question)
        for number in (late.number, question.number, question.number):
            other.channel.send(Answer(number, str(number).encode()))
    assert asked.result() == str(question.number).encode()
    await other.worker.hang_up()


async def test_nobody_waits_for_a_process_that_is_gone():
    other = await process()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        asked = group.create_task(other.worker.ask(Subject.METRICS, 60))
        await other.heard.get()
        await other.channel.close()
    assert asked.result() is None
    assert await other.worker.ask(Subject.METRICS, 60) is None

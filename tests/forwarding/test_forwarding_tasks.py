"""The few tasks of the byte path: each with a name, none spoils another, all end together."""

import asyncio
import logging

import pytest

from proxy.forwarding.tasks import TaskSet


async def test_a_task_that_fails_is_told_and_spoils_no_other(caplog: pytest.LogCaptureFixture) -> None:
    tasks, done = TaskSet(asyncio.get_running_loop()), asyncio.Event()

    async def fail() -> None:
        raise LookupError("nothing there")

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    tasks.start(fail(), "a task that fails")
    tasks.start(work(), "a task that works")
    assert len(tasks) == 2
    await asyncio.wait_for(done.wait(), 1)
    await asyncio.sleep(0)
    assert len(tasks) == 0
    assert caplog.record_tuples == [
        ("mosk_proxy.tasks", logging.ERROR, "task a task that fails failed: LookupError('nothing there')")
    ]


async def test_closing_ends_what_still_runs_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tasks, ended = TaskSet(asyncio.get_running_loop()), []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    for name in ("one", "two"):
        tasks.start(wait(name), name)
    await asyncio.sleep(0)
    assert {task.get_name() for task in asyncio.all_tasks()} >= {"one", "two"}
    await tasks.close()
    assert sorted(ended) == ["one", "two"]
    assert len(tasks) == 0
    assert caplog.messages == []

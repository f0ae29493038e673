"""The audit sink against real files, pipes and full devices: the loop never waits, and every line is whole or absent."""

import asyncio
import json
import logging
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.operations.audit import FLUSH_SECONDS, AuditSink

ROOT = Path(__file__).parents[2]
PADDING = "x" * 500


def line(number: int) -> bytes:
    return json.dumps({"n": number, "padding": PADDING}).encode()


def numbers(text: bytes) -> list[int]:
    assert text == b"" or text.endswith(b"\n")
    return [json.loads(each)["n"] for each in text.splitlines()]


async def until(condition, seconds=5.0):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.01)


class Reader:
    """The other end of a named pipe; reads nothing until it is told to."""

    def __init__(self, path: Path):
        os.mkfifo(path)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.text = b""

    def drain(self):
        while True:
            try:
                piece = os.read(self.descriptor, 65536)
            except BlockingIOError:
                return
            if not piece:
                return
            self.text += piece

    def close(self):
        os.close(self.descriptor)


@pytest.fixture
def pipe(tmp_path):
    reader = Reader(tmp_path / "pipe")
    yield reader
    reader.close()


async def test_lines_arrive_once_in_order_and_soon(tmp_path):
    path = tmp_path / "audit.log"
    async with AuditSink(path) as sink:
        for number in range(1000):
            assert sink.put(line(number))
        assert path.read_bytes() == b""  # nothing is written in the byte path
        started = time.monotonic()
        await until(lambda: sink.written == 1000)
        assert time.monotonic() - started < FLUSH_SECONDS + 2
        assert numbers(path.read_bytes()) == list(range(1000))
        assert sink.put(line(1000))
    assert numbers(path.read_bytes()) == list(range(1001))
    assert (sink.written, sink.dropped, sink.failed, sink.queued) == (1001, 0, 0, 0)
    assert repr(sink) == "AuditSink(written=1001, queued=0, dropped=0, failed=0)"


async def test_a_new_file_is_for_its_owner_alone_and_an_old_one_is_appended_to(tmp_path):
    new, old = tmp_path / "new.log", tmp_path / "old.log"
    old.write_bytes(line(0) + b"\n")
    old.chmod(0o640)
    for path in (new, old):
        async with AuditSink(path) as sink:
            sink.put(line(1))
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert numbers(old.read_bytes()) == [0, 1]


async def test_a_missing_directory_is_an_error_at_start_that_names_the_file(tmp_path):
    path = tmp_path / "missing" / "audit.log"
    with pytest.raises(FileNotFoundError) as raised:
        async with AuditSink(path):
            pass
    assert raised.value.filename == str(path)


async def test_without_a_path_lines_are_forgotten():
    async with AuditSink(None, most_lines=1) as sink:
        assert not sink.enabled
        assert [sink.put(line(number)) for number in range(3)] == [True] * 3
        sink.reopen()
        assert (sink.written, sink.dropped, sink.queued, sink.accepting) == (0, 0, 0, True)
    assert sink.put(line(3))


async def test_a_pipe_that_nobody_reads_costs_lines_but_no_time(tmp_path, pipe, caplog):
    caplog.set_level(logging.WARNING)
    async with AuditSink(tmp_path / "pipe", most_lines=400) as sink:
        taken, slowest = [], 0.0
        for number in range(2000):
            started = time.perf_counter()
            if sink.put(line(number)):
                taken.append(number)
            if number % 100 == 0:
                await asyncio.sleep(0.005)
                slowest = max(slowest, time.perf_counter() - started)
        assert slowest < 2  # the loop went on
        assert sink.accepting
        assert sink.check() is None
        assert sink.dropped == 2000 - len(taken) > 1000
        assert sink.queued <= 400
        await until(lambda: len(caplog.messages) == 1, 1)

        async def read():
            pipe.drain()
            await asyncio.sleep(0.005)
            return sink.queued

        while await read():
            pass
        assert sink.put(line(9999))  # it recovers alone
        await until(lambda: sink.queued == 0)
        pipe.drain()
    assert numbers(pipe.text) == [*taken, 9999]
    assert [message for message in caplog.messages if "lines dropped" in message] == caplog.messages
    assert len(caplog.messages) == 1


async def test_the_queue_is_bounded_in_bytes_too(tmp_path, pipe):
    async with AuditSink(tmp_path / "pipe", most_bytes=4 * 1024 * 1024) as sink:
        large = b'{"padding":"' + b"y" * 1024 * 1024 + b'"}'
        assert [sink.put(large) for _ in range(6)] == [True, True, True, True, False, False]
        assert sink.dropped == 2
        while sink.queued:
            pipe.drain()
            await asyncio.sleep(0.001)
    pipe.drain()
    assert pipe.text == (large + b"\n") * 4


async def test_when_full_refuses_requests_the_lines_of_judged_requests_are_all_kept(tmp_path, pipe):
    async with AuditSink(tmp_path / "pipe", when_full="refuse", most_lines=400) as sink:
        judged = 0
        while sink.accepting:
            sink.put(line(judged))
            judged += 1
            await asyncio.sleep(0)
        assert sink.check() == f"{sink.queued} audit lines wait to be written"
        in_progress = range(judged, judged + 200)  # were judged before, end now
        assert all(sink.put(line(number)) for number in in_progress)
        assert sink.queued >= 600 - 200
        while sink.queued:
            pipe.drain()
            await asyncio.sleep(0.002)
        assert sink.accepting
        assert sink.check() is None
    pipe.drain()
    assert numbers(pipe.text) == list(range(judged + 200))
    assert sink.dropped == 0


async def test_even_refusing_bounds_the_memory(tmp_path, pipe):
    async with AuditSink(tmp_path / "pipe", when_full="refuse", most_lines=2, reserve_lines=3) as sink:
        taken = [(sink.put(line(number)), sink.accepting) for number in range(7)]
        assert taken == [(True, True), (True, False), (True, False), (True, False), (True, False), (False, False), (False, False)]
        assert (sink.queued, sink.dropped) == (5, 2)
        while sink.queued:
            pipe.drain()
            await asyncio.sleep(0.002)
    pipe.drain()
    assert numbers(pipe.text) == list(range(5))


async def test_bytes_make_it_refuse_too(tmp_path, pipe):
    async with AuditSink(tmp_path / "pipe", when_full="refuse", most_bytes=1000) as sink:
        sink.put(line(0))
        assert sink.accepting
        sink.put(line(1))
        assert not sink.accepting
        assert sink.put(line(2))


async def test_a_full_device_keeps_lines_waiting_and_recovers_alone(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    path = tmp_path / "audit.log"
    path.symlink_to("/dev/full")
    async with AuditSink(path, most_lines=3) as sink:
        assert [sink.put(line(number)) for number in range(5)] == [True, True, True, False, False]
        await until(lambda: sink.failed == 1)
        assert (sink.written, sink.queued, sink.dropped) == (0, 3, 2)
        path.unlink()
        await until(lambda: sink.written == 3)
        assert sink.put(line(5))
    assert numbers(path.read_bytes()) == [0, 1, 2, 5]
    assert caplog.messages[0] == f"audit: cannot write to {path}: No space left on device; its lines wait"
    assert caplog.messages[-1] == f"audit: writing to {path} again"
    assert not any(record.exc_info for record in caplog.records)


async def test_a_reader_that_goes_away_and_comes_back_finds_whole_lines(tmp_path, pipe):
    async with AuditSink(tmp_path / "pipe") as sink:
        sink.put(line(0))
        await until(lambda: sink.written == 1)
        pipe.drain()
        pipe.close()
        sink.put(line(1))
        await until(lambda: sink.failed >= 1)
        assert sink.queued == 1
        pipe.descriptor = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        await until(lambda: sink.written == 2)
        pipe.drain()
    assert numbers(pipe.text) == [0, 1]


async def test_reopening_parts_the_lines_taken_before_from_those_after(tmp_path):
    path, rotated = tmp_path / "audit.log", tmp_path / "audit.log.1"
    async with AuditSink(path) as sink:
        sink.put(line(0))
        path.rename(rotated)
        sink.put(line(1))
        sink.reopen()
        sink.put(line(2))
    assert numbers(rotated.read_bytes()) == [0, 1]
    assert numbers(path.read_bytes()) == [2]
    assert sink.failed == 0


async def test_a_file_that_cannot_be_opened_again_leaves_the_old_one_in_use(tmp_path, caplog):
    folder, moved = tmp_path / "logs", tmp_path / "moved"
    folder.mkdir()
    async with AuditSink(folder / "audit.log") as sink:
        folder.rename(moved)
        sink.reopen()
        sink.put(line(0))
    assert numbers((moved / "audit.log").read_bytes()) == [0]
    assert sink.failed == 1
    assert caplog.messages[0].startswith(f"audit: cannot open {folder / 'audit.log'}: No such file or directory; what was open")


async def test_closing_writes_what_a_slow_reader_takes_in_time(tmp_path, pipe):
    sink = AuditSink(tmp_path / "pipe")
    await sink.__aenter__()
    for number in range(1000):
        sink.put(line(number))
    async with asyncio.TaskGroup() as group:
        closing = group.create_task(sink.close())
        while not closing.done():
            pipe.drain()
            await asyncio.sleep(0.001)
    pipe.drain()
    assert numbers(pipe.text) == list(range(1000))
    assert sink.dropped == 0


async def test_closing_gives_up_in_time_and_counts_what_is_lost(tmp_path, pipe, caplog):
    sink = AuditSink(tmp_path / "pipe", when_full="refuse")
    await sink.__aenter__()
    for number in range(1000):
        sink.put(line(number))
    started = time.monotonic()
    await sink.close(0.2)
    assert time.monotonic() - started < 3
    assert 0 < sink.written < 1000
    assert sink.dropped == 1000 - sink.written
    assert sink.queued == 0
    assert f"audit: {sink.dropped} lines could not be written before the end and are lost" in caplog.messages
    lost = sink.dropped
    assert not sink.put(line(1000))  # too late, even where requests are refused
    assert sink.dropped == lost + 1
    await sink.close()
    pipe.drain()
    assert [json.loads(each)["n"] for each in pipe.text.splitlines()[: sink.written]] == list(range(sink.written))


ON_STANDARD_OUTPUT = """
import asyncio, os, sys
from proxy.operations.audit import AuditSink

async def main():
    async with AuditSink("-") as sink:
        for number in range(3000):
            sink.put(b'{"n": %d, "padding": "' % number + b"x" * 500 + b'"}')
    print(os.get_blocking(1), sink, file=sys.stderr)

asyncio.run(main())
"""


@pytest.mark.parametrize("same_pipe", [False, True], ids=["a pipe of its own", "the pipe of standard error too"])
def test_standard_output_stays_as_it_was_inherited(same_pipe):
    ended = subprocess.run(
        [sys.executable, "-c", ON_STANDARD_OUTPUT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if same_pipe else subprocess.PIPE,
        timeout=20,
        check=True,
        cwd=ROOT,
    )
    lines = (ended.stdout if same_pipe else ended.stdout + ended.stderr).splitlines()
    assert lines[-1] == b"True AuditSink(written=3000, queued=0, dropped=0, failed=0)"
    assert [json.loads(each)["n"] for each in lines[:-1]] == list(range(3000))


def test_a_file_as_standard_output_is_shared_with_whoever_inherits_it(tmp_path):
    path = tmp_path / "file"
    program = ["/bin/sh", "-c", f'exec > {path}; echo before; "$0" "$@"; echo after', sys.executable, "-c", ON_STANDARD_OUTPUT]
    subprocess.run(program, stderr=subprocess.PIPE, timeout=20, check=True, cwd=ROOT)
    before, *lines, after = path.read_bytes().splitlines()
    assert (before, after) == (b"before", b"after")
    assert [json.loads(each)["n"] for each in lines] == list(range(3000))


def test_a_closed_standard_output_is_an_error_at_start_and_not_whatever_has_its_number_now():
    program = ["/bin/sh", "-c", 'exec "$0" "$@" >&-', sys.executable, "-c", ON_STANDARD_OUTPUT]
    ended = subprocess.run(program, stderr=subprocess.PIPE, text=True, timeout=20, check=False, cwd=ROOT)
    assert ended.stderr.endswith("OSError: [Errno 9] Bad file descriptor: 'standard output'\n")

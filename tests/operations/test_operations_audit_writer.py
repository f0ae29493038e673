"""How lines become writes, and what the writer says about trouble."""

import logging
import os
import select
import time

import pytest

from proxy.operations.audit_file import AuditFile
from proxy.operations.audit_writer import AuditWriter, Order, joined


@pytest.mark.parametrize(
    ("lines", "most_bytes", "pieces"),
    [
        ([b"a", b"bb"], None, [b"a\nbb\n"]),
        ([b"a", b"bb"], 5, [b"a\nbb\n"]),
        ([b"a", b"bb"], 4, [b"a\n", b"bb\n"]),
        ([b"a", b"longer than that", b"b", b"c"], 4, [b"a\n", b"longer than that\n", b"b\nc\n"]),
        ([b"longer than that"], 4, [b"longer than that\n"]),
        ([b"", b""], 1, [b"\n", b"\n"]),
    ],
)
def test_lines_are_joined_into_as_few_pieces_as_stay_whole(lines, most_bytes, pieces):
    assert list(joined(lines, most_bytes)) == pieces


def wait_for(condition):
    give_up = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def start(request):
    def start(path) -> AuditWriter:
        writer = AuditWriter(AuditFile(path))
        writer.start()
        request.addfinalizer(lambda: (writer.stop(0), wait_for(lambda: not writer.is_running)))
        return writer

    return start


def test_it_settles_each_line_and_ends_when_it_is_told(tmp_path, start):
    writer = start(tmp_path / "file")
    writer.orders.put([b"one", b"two"])
    writer.orders.put([b"three"])
    writer.stop(5)
    wait_for(lambda: not writer.is_running)
    assert (tmp_path / "file").read_bytes() == b"one\ntwo\nthree\n"
    assert (writer.settled_lines, writer.settled_bytes, writer.written) == (3, 11, 3)
    assert (writer.abandoned, writer.failures) == (0, 0)


def test_a_broken_file_is_tried_once_more_at_the_end_and_then_given_up(start, tmp_path):
    path = tmp_path / "file"
    path.symlink_to("/dev/full")
    writer = start(path)
    writer.orders.put([b"one", b"two"])
    writer.orders.put([b"three"])
    started = time.monotonic()
    writer.stop(30)
    wait_for(lambda: not writer.is_running)
    assert time.monotonic() - started < 5
    assert (writer.written, writer.abandoned, writer.settled_lines) == (0, 3, 3)
    assert writer.failures == 2


def test_trouble_is_told_once_in_a_while_and_its_end_once(start, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "file"
    path.symlink_to("/dev/full")
    writer = start(path)
    writer.orders.put([b"one"])
    wait_for(lambda: writer.failures == 1)
    path.unlink()
    wait_for(lambda: writer.written == 1)
    folder.rename(tmp_path / "moved")
    for _ in range(3):
        writer.orders.put(Order.REOPEN)
    writer.orders.put([b"two"])
    wait_for(lambda: writer.written == 2)
    assert writer.failures == 4
    assert caplog.messages == [
        f"audit: cannot write to {path}: No space left on device; its lines wait",
        f"audit: writing to {path} again",
    ]


def test_lines_dropped_by_the_loop_are_told_by_the_writer_even_while_it_waits(start, tmp_path, caplog):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = start(tmp_path / "pipe")
    writer.orders.put([b"x" * 200_000])
    writer.overflowed = 7
    wait_for(lambda: caplog.messages)
    assert caplog.messages == [f"audit: the queue to {tmp_path / 'pipe'} is full; 7 lines dropped since the start"]
    os.close(reader)


def test_a_line_given_up_half_way_is_ended_before_the_next(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    file = AuditFile(tmp_path / "pipe")
    file.open()
    writer = AuditWriter(file)
    writer.stop(0)
    writer._write(b"x" * 200_000 + b"\n")
    assert os.read(reader, 200_000) == b"x" * 65536
    writer._write(b"next\n")
    assert os.read(reader, 200_000) == b"\nnext\n"
    assert (writer.written, writer.abandoned) == (1, 1)
    os.close(reader)


def test_a_line_that_a_lost_reader_broke_off_comes_whole_to_the_next(start, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = start(path)
    line = b"x" * 100_000
    writer.orders.put([line])
    wait_for(lambda: select.select([reader], [], [], 0)[0])
    os.close(reader)
    wait_for(lambda: writer.failures)
    reader = os.open(path, os.O_RDONLY)
    received = b""
    while not received.endswith(line + b"\n"):
        received += os.read(reader, 65536)
    assert received == b"x" * 65536 + b"\n" + line + b"\n"
    wait_for(lambda: writer.written == 1)
    os.close(reader)

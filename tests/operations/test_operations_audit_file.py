"""What reaches a file, a pipe and a full disk: whole lines only, whoever else writes there."""

import errno
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from proxy.operations.audit_file import AuditFile
from proxy.operations.audit_writer import joined

ROOT = Path(__file__).parents[2]
LINES = b"first line\nsecond line\nthird line\n"


@pytest.fixture
def pipe(tmp_path):
    """A named pipe and the descriptor of its reader."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def opened(path, *, shared=False) -> AuditFile:
    file = AuditFile(path, shared=shared)
    file.open()
    return file


def test_it_is_named_as_an_operator_knows_it(tmp_path):
    assert str(AuditFile(None)) == "standard output"
    assert str(AuditFile(tmp_path / "a")) == f"{tmp_path}/a"


def test_how_long_a_write_may_be(tmp_path, pipe):
    path, _ = pipe
    assert opened(tmp_path / "file", shared=True).most_bytes is None
    assert opened(path).most_bytes is None
    assert opened(path, shared=True).most_bytes == select.PIPE_BUF
    assert opened(Path("/dev/null"), shared=True).most_bytes is None


TELL_HOW_LONG = (
    "import sys; from proxy.operations.audit_file import AuditFile; f = AuditFile(None); f.open(); sys.exit(f.most_bytes == 4096)"
)


def test_standard_output_is_shared_when_something_else_writes_there_or_it_cannot_be_opened_again(tmp_path):
    program = [sys.executable, "-c", TELL_HOW_LONG]
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "file").open("wb") as file:
        for output, error, is_shared in (
            (subprocess.PIPE, subprocess.PIPE, 0),
            (subprocess.PIPE, subprocess.STDOUT, 1),
            (ours, subprocess.PIPE, 1),
            (file, subprocess.STDOUT, 0),  # appended to whole at any length
        ):
            ended = subprocess.run(program, stdout=output, stderr=error, timeout=20, check=False, cwd=ROOT)
            assert ended.returncode == is_shared, ended


def test_opening_again_leaves_no_descriptor_behind(tmp_path):
    file = opened(tmp_path / "file")
    lowest_free = os.dup(0)
    os.close(lowest_free)
    file.open()
    file.open()
    assert os.dup(0) == lowest_free
    os.close(lowest_free)


def test_a_pipe_that_nobody_reads_is_an_error_at_start_and_not_a_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device or address"):
        opened(tmp_path / "pipe")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", LINES), (b"a\n", b"a\n" + LINES), (b'a\n{"half": "li', b'a\n{"half": "li\n' + LINES)],
    ids=["empty", "whole lines", "a fragment of a killed process"],
)
def test_the_first_line_begins_a_line_of_its_own(tmp_path, before, after):
    path = tmp_path / "file"
    path.write_bytes(before)
    file = opened(path)
    assert file.write(LINES, 0) == len(LINES)
    assert path.read_bytes() == after
    file.close()
    file.close()


def test_a_full_device_takes_nothing(tmp_path):
    file = opened(Path("/dev/full"))
    assert file.has_room_within(0)
    with pytest.raises(OSError, match="No space left on device"):
        file.write(LINES, 0)
    assert file.rewind(LINES, 0) == 0


UNDER_A_SIZE_LIMIT = """
import os, resource, sys
from pathlib import Path
from proxy.operations.audit_file import AuditFile

path, limit, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
lines = b"first line\\nsecond line\\nthird line\\n"
file = AuditFile(path if kind == "path" else None)
file.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
done = 0
try:
    while done < len(lines):
        done = file.write(lines, done)
except OSError as error:
    print(done, error.errno, path.read_bytes(), file=sys.stderr)
    done = file.rewind(lines, done)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
while done < len(lines):
    done = file.write(lines, done)
"""


@pytest.mark.parametrize("kind", ["path", "standard output"])
@pytest.mark.parametrize(
    ("limit", "kept"), [(5, b""), (11, b"first line\n"), (15, b"first line\n"), (33, b"first line\nsecond line\n")]
)
def test_a_write_cut_short_is_taken_back_to_a_whole_line_and_goes_on_there(tmp_path, limit, kept, kind):
    path = tmp_path / "file"
    with path.open("wb") as output:
        ended = subprocess.run(
            [sys.executable, "-c", UNDER_A_SIZE_LIMIT, str(path), str(limit), kind],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
            check=True,
            cwd=ROOT,
        )
    done, number, content = re.fullmatch(r"(\d+) (\d+) (b'.*')\n", ended.stderr).groups()
    assert int(done) == len(kept)
    assert int(number) in (errno.EFBIG, errno.ENOSPC)
    assert content == repr(kept)
    assert path.read_bytes() == LINES


def test_what_another_process_has_appended_behind_a_fragment_is_not_cut(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first line\nsec" + b"theirs\n")
    file = opened(path)
    os.lseek(file._descriptor, len(b"first line\nsec"), os.SEEK_SET)
    assert file._take_back_fragment(LINES, 0, 14) == 11
    assert path.read_bytes() == b"first line\nsectheirs\n"


def test_a_full_pipe_is_waited_for_and_never_blocks_in_a_write(pipe):
    path, reader = pipe
    file = opened(path)
    line = b"z" * 100_000 + b"\n"
    lines = line * 3
    done, received = 0, b""
    while file.has_room_within(0.01):
        done = file.write(lines, done)
    assert 0 < done < len(lines)
    while len(received) < len(lines):
        received += os.read(reader, 65536)
        if done < len(lines) and file.has_room_within(0):
            done = file.write(lines, done)
    assert received == lines


def test_room_that_another_writer_took_is_waited_for_again(pipe):
    path, _ = pipe
    quick, slow = opened(path, shared=True), opened(path, shared=True)
    assert slow.has_room_within(0)
    while quick.has_room_within(0):
        quick.write(b"z" * 4095 + b"\n", 0)
    assert slow.write(LINES, 0) == 0
    slow.rewind(LINES, 3)
    assert slow.write(LINES, 0) == 0
    assert not slow.has_room_within(0)


def test_a_line_broken_off_in_a_stream_is_ended_and_written_again(pipe):
    path, reader = pipe
    file = opened(path)
    lines = b"short\n" + b"z" * 100_000 + b"\n"
    broken_off = file.write(lines, 0)
    assert 6 < broken_off < len(lines)
    done = file.rewind(lines, broken_off)
    assert done == 6
    received = b""
    while done < len(lines) or select.select([reader], [], [], 0)[0]:
        received += os.read(reader, 65536)
        if done < len(lines) and file.has_room_within(0):
            done = file.write(lines, done)
    assert received == lines[:broken_off] + b"\n" + lines[6:]


def test_a_pipe_opened_again_still_has_the_fragment(pipe):
    path, reader = pipe
    file = opened(path)
    lines = b"z" * 100_000 + b"\n"
    broken_off = file.write(lines, 0)
    file.rewind(lines, broken_off)
    file.open()
    assert os.read(reader, 100_000) == lines[:broken_off]
    file.write(LINES, 0)
    assert os.read(reader, 100_000) == b"\n" + LINES


def test_a_reader_that_is_gone_is_an_error_and_no_wait(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = opened(path)
    os.close(reader)
    assert file.has_room_within(5)
    with pytest.raises(BrokenPipeError):
        file.write(LINES, 0)


WRITERS, BATCHES = 4, 150


def work(path: Path, writer: int) -> None:
    """Write as a worker does: with an open file of its own, and lines of very different length."""
    file = opened(path, shared=True)
    for number in range(BATCHES):
        batch = [json.dumps({"writer": writer, "pad": "p" * ((number * 7 + part * 300) % 900)}).encode() for part in range(4)]
        for lines in joined(batch, file.most_bytes):
            done = 0
            while done < len(lines):
                if file.has_room_within(1):
                    done = file.write(lines, done)
    file.close()


@pytest.fixture
def start_writers():
    threads = []

    def start(path):
        threads.extend(threading.Thread(target=work, args=(path, writer)) for writer in range(WRITERS))
        for thread in threads:
            thread.start()
        return threads

    yield start
    for thread in threads:
        thread.join()


def assert_whole(text: bytes) -> None:
    assert [json.loads(line)["writer"] for line in text.splitlines()].count(0) == BATCHES * 4
    assert text.count(b"\n") == WRITERS * BATCHES * 4


def test_several_writers_to_one_file_keep_their_lines_whole(tmp_path, start_writers):
    path = tmp_path / "file"
    for thread in start_writers(path):
        thread.join()
    assert_whole(path.read_bytes())


def test_several_writers_to_one_pipe_keep_their_lines_whole(pipe, start_writers):
    path, reader = pipe
    threads = start_writers(path)
    pieces = []
    while any(thread.is_alive() for thread in threads) or pieces[-1]:
        if select.select([reader], [], [], 0.02)[0]:
            pieces.append(os.read(reader, 3000))
    assert_whole(b"".join(pieces))

"""The process that makes workers: its orders come from the test's program, byte for byte."""

from operations_forking import outcome

BEGINNING = """
import contextlib, os, signal, socket, sys, time
from pathlib import Path
from proxy.operations.supervisor_fork_server import fork_server
from proxy.operations.supervisor_forks import NOTICE, ORDER, ForkNotice, ForkOrder

class Source:
    prepared = refreshed = 0

    def prepare(self):
        self.prepared += 1

    def refresh(self):
        self.refreshed += 1

    def run(self, slot, channel):
        if slot == 1:  # tells what was done before it was made
            return 10 * self.refreshed + self.prepared
        if slot == 2:  # ends with its channel
            channel.recv(1)
            return 0
        if slot == 3:
            raise LookupError("on purpose")
        channel.send(b".")
        time.sleep(60)

class Orders:
    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(10)

    def order(self, order, number=0):
        self.sock.sendall(ORDER.pack(order, number))

    def fork(self, slot):
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.sock, [ORDER.pack(ForkOrder.FORK, slot)], [theirs.fileno()])
        notice, told, pid = self.notice()
        assert (notice, told) == (ForkNotice.FORKED, slot)
        return pid, ours

    def notice(self):
        kind, number, value = NOTICE.unpack(self.sock.recv(NOTICE.size, socket.MSG_WAITALL))
        return ForkNotice(kind), number, value

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

def is_gone(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True
"""


def test_each_worker_is_made_from_what_is_true_then_and_its_end_is_told():
    lines, _ = outcome(
        BEGINNING
        + """
with fork_server(Source()) as sock:
    orders = Orders(sock)
    pid, _ = orders.fork(1)
    print(orders.notice() == (ForkNotice.ENDED, pid, 1))
    orders.order(ForkOrder.REFRESH)
    pid, _ = orders.fork(1)
    print(orders.notice() == (ForkNotice.ENDED, pid, 12))
"""
    )
    assert lines == ["True", "True"]


def test_it_does_not_fork_where_there_are_threads():
    lines, _ = outcome(
        BEGINNING
        + """
import threading
end = threading.Event()
threading.Thread(target=end.wait).start()
try:
    with fork_server(Source()):
        pass
except RuntimeError as error:
    print(error)
end.set()
"""
    )
    assert lines == ["a thread was started before the workers: a fork would copy its locks and not the thread"]


def test_a_worker_that_breaks_takes_nobody_along():
    lines, errors = outcome(
        BEGINNING
        + """
with fork_server(Source()) as sock:
    orders = Orders(sock)
    pid, _ = orders.fork(3)
    print(orders.notice() == (ForkNotice.ENDED, pid, 1))
    pid, _ = orders.fork(1)
    print(orders.notice() == (ForkNotice.ENDED, pid, 2))
"""
    )
    assert lines == ["True", "True"]
    assert "LookupError: on purpose" in errors


def test_it_kills_its_own_and_nobody_else():
    lines, _ = outcome(
        BEGINNING
        + """
with fork_server(Source()) as sock:
    orders = Orders(sock)
    pid, _ = orders.fork(4)
    orders.order(ForkOrder.KILL, os.getpid())
    orders.order(ForkOrder.KILL, pid)
    print(orders.notice() == (ForkNotice.ENDED, pid, -signal.SIGKILL))
    orders.order(ForkOrder.KILL, pid)
    print(orders.fork(1)[0] > 0)
"""
    )
    assert lines == ["True", "True"]


def test_no_worker_holds_the_channel_of_another():
    lines, _ = outcome(
        BEGINNING
        + """
with fork_server(Source(), 0.1) as sock:
    orders = Orders(sock)
    first, channel = orders.fork(2)
    orders.fork(4)
    channel.close()
    print(orders.notice() == (ForkNotice.ENDED, first, 0))
"""
    )
    assert lines == ["True"]


def test_signals_to_the_whole_group_are_for_the_supervisor_to_hear():
    lines, _ = outcome(
        BEGINNING
        + """
with fork_server(Source()) as sock:
    orders = Orders(sock)
    worker, channel = orders.fork(2)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(parent(worker), number)
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(worker, number)
    channel.close()
    print(orders.notice() == (ForkNotice.ENDED, worker, 0))
    worker, channel = orders.fork(4)
    channel.recv(1)
    os.kill(worker, signal.SIGTERM)
    print(orders.notice() == (ForkNotice.ENDED, worker, -signal.SIGTERM))
"""
    )
    assert lines == ["True", "True"]


def test_the_end_of_the_stream_is_the_end_of_all_in_order_or_by_force():
    lines, _ = outcome(
        BEGINNING
        + """
began = time.monotonic()
with fork_server(Source(), 0.3) as sock:
    orders = Orders(sock)
    willing, channel = orders.fork(2)
    stubborn, _ = orders.fork(4)
    channel.close()
print(is_gone(willing), is_gone(stubborn) or time.sleep(0.1) or is_gone(stubborn))
print(0.25 < time.monotonic() - began < 5)
began = time.monotonic()
with fork_server(Source(), 60) as sock:
    orders = Orders(sock)
    willing, channel = orders.fork(2)
    channel.close()
print(is_gone(willing), time.monotonic() - began < 5)
"""
    )
    assert lines == ["True True", "True", "True True"]


def test_whoever_kills_it_kills_its_workers():
    lines, _ = outcome(
        BEGINNING
        + """
with fork_server(Source()) as sock:
    orders = Orders(sock)
    worker, _ = orders.fork(4)
    os.kill(parent(worker), signal.SIGKILL)
    print(sock.recv(1))
    deadline = time.monotonic() + 5
    while not is_gone(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    print(is_gone(worker))
"""
    )
    assert lines == ["b''", "True"]

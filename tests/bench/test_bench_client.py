"""The load client and the upstream, over real sockets."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bench import cpu
from bench.client import Outcome, Plan
from bench.processes import ROOT, Unusable, run_client, started_client
from bench.processes import answer_of as outcome_of
from bench.upstream import answer_of, body_of
from bench.workload import User, Workload

ASKED = Workload([User("t0"), User("t1")], [["/api/v1/a", "/api/v1/b"]])


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[int, int]]:
    """Process id and port of an upstream."""
    process = subprocess.Popen([sys.executable, "-m", "bench.upstream"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def plan(port: int, asked: Workload = ASKED, **changes: object) -> Plan:
    usual = Plan(port, body_of(1024).decode(), ASKED, asked, connections=4, seconds=10, warm_up_seconds=0, most=100)
    return msgspec.structs.replace(usual, **changes)


def test_the_closed_loop_counts_good_answers_and_their_cpu_time(upstream: tuple[int, int]) -> None:
    pid, port = upstream
    outcome = run_client(plan(port, pids=[pid]), "direct")
    assert outcome.answers == 100
    assert 0 < outcome.cpu_ns < outcome.seconds * 1e9
    assert outcome.resident_kb > 1000
    assert outcome.latencies_ns == []


def test_the_closed_loop_ends_after_its_time(upstream: tuple[int, int]) -> None:
    outcome = run_client(plan(upstream[1], seconds=0.1, most=10_000_000), "direct")
    assert outcome.answers > 100
    assert outcome.seconds < 5


def test_each_token_is_used_once(upstream: tuple[int, int]) -> None:
    once = Workload([User(f"t{number}") for number in range(10)], [["/api/v1/a"]], once=True)
    assert run_client(plan(upstream[1], once), "direct").answers == 10


def test_the_open_loop_keeps_its_rate(upstream: tuple[int, int]) -> None:
    outcome = run_client(plan(upstream[1], rate=200.0, seconds=0.25), "direct")
    assert outcome.answers == 50
    assert len(outcome.latencies_ns) == 50
    assert outcome.seconds >= 0.24


def test_open_loop_requests_wait_for_a_free_connection(upstream: tuple[int, int]) -> None:
    outcome = run_client(plan(upstream[1], rate=10_000_000.0, seconds=0.00002, connections=1), "direct")
    assert outcome.answers == len(outcome.latencies_ns) == 200
    assert max(outcome.latencies_ns) > 10 * min(outcome.latencies_ns), "the last waited for those before it"


def test_a_wrong_answer_ends_the_measurement(upstream: tuple[int, int]) -> None:
    not_rewritten = Workload([User("t")], [["/k8s/a/b/api/v1/a"]])
    with pytest.raises(Unusable, match=r"direct: not 200: .* 400 "):
        run_client(plan(upstream[1], not_rewritten), "direct")


def test_an_unexpected_body_ends_the_measurement(upstream: tuple[int, int]) -> None:
    with pytest.raises(Unusable, match="not the expected body"):
        run_client(plan(upstream[1], body=body_of(1025).decode()), "direct")


def test_each_request_may_have_a_connection_of_its_own(upstream: tuple[int, int]) -> None:
    pid, port = upstream
    outcome = outcome_of(started_client("bench.new_connections"), plan(port, pids=[pid], most=50), "direct", Outcome)
    assert outcome.answers >= 50
    assert outcome.cpu_ns > 0
    assert connections_ended(port) >= 50, "the side that closes first keeps a trace of each connection"


def connections_ended(port: int) -> int:
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(f"0100007F:{port:04X}" in line and line.split()[3] == "06" for line in lines)  # TCP_TIME_WAIT


def test_a_wrong_answer_on_a_new_connection_ends_the_measurement(upstream: tuple[int, int]) -> None:
    with pytest.raises(Unusable, match="not the expected body"):
        outcome_of(started_client("bench.new_connections"), plan(upstream[1], body="other"), "direct", Outcome)


def test_refusals_are_answers_where_they_are_expected(upstream: tuple[int, int]) -> None:
    not_rewritten = Workload([User("")], [["/k8s/a/b/api/v1/a"]])
    asked = plan(upstream[1], not_rewritten, warm_up=not_rewritten, status=400)
    assert run_client(asked, "direct").answers == 100
    with pytest.raises(Unusable, match="not 400"):
        run_client(msgspec.structs.replace(asked, measured=ASKED), "direct")


def test_connections_are_counted_for_the_process_that_holds_them(upstream: tuple[int, int]) -> None:
    pid, port = upstream
    assert run_client(plan(port, pids=[pid], split=True), "direct").split == [4]


def test_open_loop_requests_tell_when_they_were_due(upstream: tuple[int, int]) -> None:
    before = time.perf_counter_ns()
    outcome = run_client(plan(upstream[1], rate=200.0, seconds=0.1), "direct")
    assert len(outcome.due_ns) == len(outcome.latencies_ns) == 20
    assert before < min(outcome.due_ns), "the clock is that of all processes"
    assert max(outcome.due_ns) < time.perf_counter_ns()


@pytest.mark.parametrize("size", [200, 1024, 65536])
def test_bodies_have_the_size_asked_for(size: int) -> None:
    body = body_of(size)
    assert len(body) == size
    assert f"\r\nContent-Length: {size}\r\n\r\n".encode() + body in answer_of(body)


def test_the_cpu_clock_of_another_process_counts_all_its_threads() -> None:
    """Two threads that hash (without the interpreter's lock) for a while; the ended thread's time stays in the sum."""
    work = "import hashlib,threading as t\nw=lambda: hashlib.pbkdf2_hmac('sha256', b'', b'', 100000)\nx=t.Thread(target=w);x.start();w();x.join();print(flush=True);input()"
    process = subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        used = cpu.read([process.pid])
        assert used.total_ns == pytest.approx((used.user_ticks + used.system_ticks) / cpu.TICKS * 1e9, abs=3e7)
        time.sleep(0.05)
        assert (cpu.read([process.pid]) - used).total_ns < 2e7
    finally:
        process.communicate(b"\n")


def test_a_process_tree_holds_children() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert process.pid in cpu.tree(os.getpid())
    finally:
        process.communicate(b"\n")


def test_pinning_is_inherited_and_ends() -> None:
    before = os.sched_getaffinity(0)
    with cpu.pinned(cpu.PROXY_CORE):
        said = subprocess.run(
            [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"], capture_output=True, text=True, check=True
        )
    assert said.stdout.strip() == str({cpu.core(cpu.PROXY_CORE)})
    assert os.sched_getaffinity(0) == before


def test_kernel_texts_are_read() -> None:
    assert cpu.stat_fields("7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12")[11:13] == ["11", "12"]
    assert cpu.status_kb("Name:\tx\nVmRSS:\t  2048 kB\n") == 2048


def test_an_outcome_survives_the_pipe() -> None:
    outcome = Outcome(1, 0.5, 2, 0.25, 3, [4])
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome

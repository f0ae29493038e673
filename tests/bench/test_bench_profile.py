"""Counts are read from what the tools write."""

import pytest
from typer.testing import CliRunner

from bench.counts import costs, difference, own, strace_counts, within
from bench.profile import app

CALLGRIND = """\
version: 1
events: Ir
ob=(1) /usr/lib/libpython3.11.so
fl=(1) ceval.c
fn=(1) _PyEval_EvalFrameDefault
16 400
+2 100
cob=(2) /lib/libc.so.6
cfi=(2) malloc.c
cfn=(2) malloc
calls=3 20
* 9000
fn=(3) PyDict_GetItem
7 11
ob=(2)
fn=(2)
20 90
fn=(1)
-1 5
totals: 606
"""

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000300          30        10           sendto
 40.00    0.000200          20        12         2 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.000500                    22         2 total
"""


def test_own_cost_counts_and_the_cost_of_calls_does_not() -> None:
    assert costs(CALLGRIND.splitlines()) == {
        "libpython3.11.so _PyEval_EvalFrameDefault": 500,
        "libpython3.11.so PyDict_GetItem": 11,
        "libc.so.6 malloc": 90,
        "libc.so.6 _PyEval_EvalFrameDefault": 5,
    }


def test_strace_rows_with_and_without_errors() -> None:
    assert strace_counts(STRACE.splitlines()) == {"sendto": 10, "recvfrom": 12}


def test_start_up_cancels_out() -> None:
    short, long = {"import": 70, "send": 200}, {"import": 70, "send": 1000, "new": 400}
    assert difference(short, long, 400) == {"import": 0, "send": 2, "new": 1}


STACKS = [
    "_bootstrap (threading.py:1);wait (audit.py:1) 90",
    "main (m.py:1);run (asyncio/runners.py:1);read (a.py:10);parse (a.py:20) 3",
    "main (m.py:1);run (asyncio/runners.py:1);read (a.py:11) 5",
    "main (m.py:1);run (asyncio/runners.py:1);read (a.py:10);parse (a.py:21);parse (a.py:20) 2",
]


def test_samples_by_line_count_the_innermost() -> None:
    assert own(STACKS) == {"parse (a.py:20)": 50, "read (a.py:11)": 50}


def test_samples_by_function_count_a_recursion_once() -> None:
    assert within(STACKS) == {"run in asyncio/runners.py": 100, "read in a.py": 100, "parse in a.py": 50}


@pytest.mark.parametrize("scenario", ["download", "refused-403", "watches"])
def test_only_requests_that_are_let_through_can_be_profiled(scenario: str) -> None:
    outcome = CliRunner().invoke(app, ["calls", "--scenario", scenario])
    assert outcome.exit_code == 1
    assert outcome.output == f"bench: {scenario} is not made of GETs that are let through\n"

"""Probes: the words of the Kubernetes API server."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.operations.probes import Answer, Check, answer, descriptors

ROOT = Path(__file__).parents[2]


def fine() -> None:
    return None


def broken() -> str:
    raise RuntimeError("the token was abc")


ISSUERS = Check("issuers", fine)
NOTED = Check("discovery", fine, lambda: "not read\nsince noon")
DRAINING = Check("draining", lambda: "the proxy is shutting down")


@pytest.mark.parametrize(
    ("checks", "verbose", "expected"),
    [
        ([], False, Answer(200, "ok")),
        ([ISSUERS], False, Answer(200, "ok")),
        ([], True, Answer(200, "readyz check passed\n")),
        ([ISSUERS], True, Answer(200, "[+]issuers ok\nreadyz check passed\n")),
        (
            [ISSUERS, DRAINING],
            True,
            Answer(503, "[+]issuers ok\n[-]draining failed: the proxy is shutting down\nreadyz check failed\n"),
        ),
        ([NOTED], False, Answer(200, "ok")),
        ([NOTED], True, Answer(200, "[+]discovery ok: not read since noon\nreadyz check passed\n")),
        ([Check("a", lambda: "bad", NOTED.note)], True, Answer(503, "[-]a failed: bad\nreadyz check failed\n")),
        ([Check("a", fine, broken)], True, Answer(200, "[+]a ok: the check itself broke\nreadyz check passed\n")),
        (
            [DRAINING, ISSUERS],
            False,
            Answer(503, "[-]draining failed: the proxy is shutting down\n[+]issuers ok\nreadyz check failed\n"),
        ),
        ([Check("a", lambda: "")], False, Answer(503, "[-]a failed: \nreadyz check failed\n")),
        ([Check("a", lambda: "two\r\n[+]lines ok")], False, Answer(503, "[-]a failed: two [+]lines ok\nreadyz check failed\n")),
        (
            [Check("a", broken), ISSUERS],
            False,
            Answer(503, "[-]a failed: the check itself broke\n[+]issuers ok\nreadyz check failed\n"),
        ),
    ],
)
def test_the_answer_names_each_check(checks, verbose, expected):
    assert answer("readyz", checks, verbose=verbose) == expected


def test_a_check_that_breaks_is_logged(caplog):
    answer("livez", [Check("a", broken)], verbose=False)
    assert caplog.messages == ["probe a broke"]


def test_enough_descriptors_are_left_here():
    assert descriptors(spare=1) is None
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert descriptors(spare=most) == f"fewer than {most} of {most} file descriptors are left"


WITH_FEW_DESCRIPTORS = """
import os, resource
from proxy.operations.probes import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
taken, told = [], []
try:
    while True:
        told.append(descriptors(50))
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    told.append(descriptors(50))
used = taken[0]
assert told == [None] * (150 - used) + ["fewer than 50 of 200 file descriptors are left"] * 50 + \\
    ["all 200 file descriptors are in use"] * 2, (used, told)
for descriptor in taken:
    os.close(descriptor)
assert descriptors(50) is None
"""


def test_the_last_descriptors_are_told_before_they_are_gone():
    subprocess.run([sys.executable, "-c", WITH_FEW_DESCRIPTORS], check=True, timeout=20, cwd=ROOT)

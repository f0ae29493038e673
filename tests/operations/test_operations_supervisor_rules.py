"""Silence, delays and words."""

import signal

import pytest

from proxy.operations.supervisor_rules import BackOff, Pace, Silence, worded_end

PACE = Pace(silent_looks=3, starting_looks=5, first_delay_seconds=0.5, longest_delay_seconds=3, stable_seconds=10)


@pytest.mark.parametrize(
    ("heard", "serves", "verdicts"),
    [
        ([0, 0, 0, 0], True, "..x."),
        ([0, 0, 0, 0, 0, 0], False, "....x."),
        ([1, 2, 3, 4, 5], True, "....."),
        ([7, 7, 7, 8, 8, 8, 8], True, "......x"),
        ([7, 9, 9, 9, 9, 10, 10, 10, 10], True, "....x...x"),
    ],
)
def test_silence_is_counted_in_looks_that_found_nothing_new(heard, serves, verdicts):
    silence = Silence(PACE)
    assert "".join(".x"[silence.is_too_long(count, serves=serves)] for count in heard) == verdicts


def test_a_worker_that_begins_to_serve_has_said_so():
    silence = Silence(PACE)
    looks = [silence.is_too_long(0, serves=False) for _ in range(4)] + [silence.is_too_long(1, serves=True) for _ in range(3)]
    assert looks == [False] * 7
    assert silence.is_too_long(1, serves=True)


@pytest.mark.parametrize(
    ("served", "delays"),
    [
        ([0, 0, 0, 0, 0], [0.5, 1, 2, 3, 3]),
        ([20, 20, 20], [0.5, 0.5, 0.5]),
        ([0, 9.9, 10, 0], [0.5, 1, 0.5, 1]),
    ],
)
def test_the_delay_doubles_with_each_worker_that_ends_soon(served, delays):
    back_off = BackOff(PACE)
    assert [back_off.delay(seconds) for seconds in served] == delays


def test_a_slot_that_fails_for_days_waits_no_longer_than_the_longest_delay():
    back_off = BackOff(PACE)
    assert {back_off.delay(0) for _ in range(5000)} == {0.5, 1, 2, 3}


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-(signal.SIGRTMIN + 1), f"was ended by signal {signal.SIGRTMIN + 1}"),
    ],
)
def test_an_end_is_worded(exit_code, words):
    assert worded_end(exit_code) == words

"""Each thing is told once."""

import logging

import pytest

from proxy.discovery.telling import Once

log = logging.getLogger("once")


def test_only_what_is_new_is_told(caplog: pytest.LogCaptureFixture):
    once = Once(log)
    for subject, text in [("a", "bad"), ("a", "bad"), ("b", "bad"), ("a", "worse"), ("a", "bad")]:
        once.tell(subject, text)
    assert caplog.messages == ["a: bad", "b: bad", "a: worse", "a: bad"]


def test_what_is_over_may_be_told_again(caplog: pytest.LogCaptureFixture):
    once = Once(log)
    once.tell("a", "bad")
    once.tell("b", "bad")
    once.forget("a")
    once.keep({"a"})
    once.tell("a", "bad")
    once.tell("b", "bad")
    assert caplog.messages == ["a: bad", "b: bad", "a: bad", "b: bad"]


def test_memory_is_bounded(caplog: pytest.LogCaptureFixture):
    once = Once(log, most=2)
    for subject in "abcab":
        once.tell(subject, "bad")
    assert len(once._told) <= 2


def test_the_level_is_the_tellers(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "once")
    Once(log).tell("a", "fine", logging.INFO)
    assert [record.levelno for record in caplog.records] == [logging.INFO]

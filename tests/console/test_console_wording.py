"""Moments, spans and names as people read them."""

import pytest

from proxy.console.wording import application_name, machine_moment, shown_moment, span, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ann", "ann"),
        ("Änn 李", "Änn 李"),
        ("a\u202eb", "a\\u202eb"),
        ("a\nb\x00", "a\\nb\\x00"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 min"),
        (3599, "59 min"),
        (5400, "1 h 30 min"),
        (86400, "1 d 0 h"),
        (100_000, "1 d 3 h"),
        (float("inf"), "a very long time"),
        (float("nan"), "a very long time"),
    ],
)
def test_spans(seconds, words):
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("moment", "shown"), [(0, "1970-01-01"), (-1, "1970-01-01"), (1_800_000_000, "2027-01-15"), (float("inf"), "9999-12-31")]
)
def test_moments(moment, shown):
    assert shown_moment(moment).startswith(shown)
    assert machine_moment(moment).startswith(f"{shown}T")


def test_applications_are_called_by_their_names():
    assert application_name("opensearch-dashboards") == "OpenSearch Dashboards"
    assert application_name("own-thing") == "own-thing"

import pytest

from proxy.settings.problems import Problem, SettingsError, join_key


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("clusters[2].api.ca_file", "not found"), "c.yaml: clusters[2].api.ca_file: not found"),
        (Problem("", "not found"), "c.yaml: not found"),
        (Problem(":12", "duplicate"), "c.yaml:12: duplicate"),
        (Problem("a\nb\x1b[2J\ud800", "unknown key"), "c.yaml: a\\nb\\x1b[2J\\ud800: unknown key"),
        (Problem("é", "unknown key"), "c.yaml: é: unknown key"),
    ],
)
def test_a_problem_is_one_line_that_moves_no_cursor(problem, line):
    assert problem.shown("c.yaml") == line


def test_problems_are_pairs():
    error = SettingsError([Problem("a", "b"), Problem("c", "d")])
    assert error.problems == [("a", "b"), ("c", "d")]
    assert str(error) == "configuration: a: b; configuration: c: d"


def test_keys_are_joined():
    assert join_key("", "a") == "a"
    assert join_key("a[0]", "b") == "a[0].b"

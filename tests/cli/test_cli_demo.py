"""The options of `mosk-proxy demo`."""

import pytest

from proxy.cli.main import run


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--port", "65536"], ["more"]])
def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(["demo", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--help"]) == 0
    assert "mosk-proxy demo\n" in capsys.readouterr().out

import pytest

from proxy.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "Invalid value for --cluster, --all: give one of them"),
        (("--all", "--cluster", "kaas"), "Invalid value for --cluster, --all: give one of them"),
        (("--cluster", "kaas", "--prune"), "Invalid value for --prune: needs --all, which alone knows what is gone"),
    ],
)
def test_wrong_usage_is_one_line(capsys, arguments, line):
    assert main(["kubeconfig", "https://entry.example", *arguments]) == 2
    assert capsys.readouterr().err == f"mosk-proxy: {line} (see mosk-proxy kubeconfig --help)\n"

"""How commands are found, and how failures are told: one line each, never a traceback."""

import subprocess
import sys

import pytest

from proxy import __version__
from proxy.__main__ import main
from proxy.cli.main import _causes


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_the_help_lists_the_commands(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith("Usage: mosk-proxy [OPTIONS] COMMAND")
    assert "\n  check  " in out or "\n  check    " in out
    assert "Example: mosk-proxy demo" in out


@pytest.mark.parametrize("command", ["serve", "check"])
def test_every_commands_help_has_an_example(capsys, command):
    status, out, err = run(capsys, command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: mosk-proxy {command} [OPTIONS]")
    assert f"Example:\n    mosk-proxy {command} --config " in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("check",), "mosk-proxy: Missing option '--config'. (see mosk-proxy check --help)"),
        (
            ("check", "--confg", "x"),
            "mosk-proxy: No such option: --confg (Possible options: --config) (see mosk-proxy check --help)",
        ),
        (("check", "--config", "a", "b"), "mosk-proxy: Got unexpected extra argument(s) (b) (see mosk-proxy check --help)"),
        (("chek",), "mosk-proxy: No such command 'chek'. Did you mean 'check'? (see mosk-proxy --help)"),
        (("--nonsense",), "mosk-proxy: No such option: --nonsense (see mosk-proxy --help)"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(capsys, arguments, line):
    assert run(capsys, *arguments) == (2, "", line + "\n")


def test_the_version_is_told(capsys):
    assert run(capsys, "--version") == (0, f"mosk-proxy {__version__}\n", "")


def test_the_help_waits_for_no_settings_model_and_no_network_library():
    program = (
        "import sys; from proxy.__main__ import main; main(['--help']); "
        "print([name for name in ('pydantic', 'aiohttp', 'ruamel', 'cryptography', 'proxy.app') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "[]"


def test_python_m_proxy_is_the_same_program(tmp_path):
    command = [sys.executable, "-m", "proxy", "check", "--config", str(tmp_path / "absent.yaml")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (1, "", f"{tmp_path}/absent.yaml: not found\n")


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (OSError(98, "Address already in use"), ["[Errno 98] Address already in use"]),
        (FileNotFoundError(2, "No such file or directory", "tls.crt"), ["tls.crt: No such file or directory"]),
        (ImportError("uvloop is missing"), ["uvloop is missing"]),
        (ImportError(), ["ImportError"]),
        (ExceptionGroup("both", [OSError("a"), ExceptionGroup("inner", [OSError("b")])]), ["a", "b"]),
    ],
)
def test_a_failure_is_told_by_its_causes(error, lines):
    assert list(_causes(error)) == lines

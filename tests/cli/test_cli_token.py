import pytest

from proxy.__main__ import main


@pytest.mark.parametrize("command", ["login", "token", "logout", "kubeconfig"])
def test_the_help_of_the_user_s_commands_has_an_example(capsys, command):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert f"Example:\n    mosk-proxy {command} " in printed.out


@pytest.mark.parametrize("arguments", [("a", "b"), ("--nonsense",), ("https://entry.example", "--nonsense")])
def test_a_wrong_call_is_one_line(capsys, arguments):
    assert main(["token", *arguments]) == 2
    assert capsys.readouterr().err.endswith("(see mosk-proxy token --help)\n")

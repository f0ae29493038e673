from proxy.__main__ import main


def test_a_wrong_call_is_one_line(capsys):
    assert main(["logout", "https://entry.example", "https://other.example"]) == 2
    line = "mosk-proxy: Got unexpected extra argument(s) (https://other.example) (see mosk-proxy logout --help)\n"
    assert capsys.readouterr().err == line

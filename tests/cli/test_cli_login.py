from proxy.__main__ import main


def test_a_wrong_call_is_one_line(capsys):
    assert main(["login", "https://entry.example", "--issuer"]) == 2
    assert capsys.readouterr().err == "mosk-proxy: Option '--issuer' requires an argument. (see mosk-proxy --help)\n"

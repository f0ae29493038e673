import pytest

from proxy.cli.checking import load_or_complain, report, warn

TEXT = "public_url: https://localhost\nissuers: [{issuer: 'https://k.example'}]\n"


def test_settings_are_returned_in_silence(tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text(TEXT)
    settings = load_or_complain(file)
    assert settings is not None
    assert settings.public_url == "https://localhost"
    assert capsys.readouterr() == ("", "")


def test_problems_are_told_and_nothing_is_returned(tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text("public_url: x\nissuers: []\n")
    assert load_or_complain(file) is None
    assert capsys.readouterr() == (
        "",
        f"{file}: public_url: must begin with https:// or http://\n{file}: issuers: must name at least one\n",
    )


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("listen: {address: 127.0.0.1}", ""),
        (
            "",
            "{file}: listen.tls: warning: absent: tokens arrive in plain text; let nobody but a TLS balancer reach this address\n",
        ),
    ],
)
def test_warnings_are_told_with_their_path(tmp_path, capsys, more, line):
    file = tmp_path / "c.yaml"
    file.write_text(TEXT + more)
    settings = load_or_complain(file)
    assert settings is not None
    warn(file, settings)
    assert capsys.readouterr() == ("", line.replace("{file}", str(file)))


@pytest.mark.parametrize(("allowed", "told"), [("[10.0.0.0/8, .example]", "10.0.0.0/8, .example"), ("[]", "no network")])
def test_the_summary_tells_where_clusters_are_discovered(tmp_path, capsys, allowed, told):
    file = tmp_path / "c.yaml"
    discovery = f"{{enabled: true, credential: {{kind: none}}, cluster_credential: {{kind: none}}, allowed_hosts: {allowed}}}"
    file.write_text(f"{TEXT}management: {{url: 'https://10.0.0.10'}}\ndiscovery: {discovery}\n")
    assert report(file, online=False) == 0
    assert f"  discovery: Cluster objects of https://10.0.0.10:443, servers in {told}\n" in capsys.readouterr().out

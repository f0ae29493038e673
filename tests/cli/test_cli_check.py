"""Transcripts of `check`: what is printed where, and the exit status."""

import shutil
from pathlib import Path

import pytest

from proxy.__main__ import main
from proxy.demo.certificates import CertificateAuthority
from proxy.policy.permissions import shipped_permissions_text

GOOD = """
public_url: https://localhost
issuers: [{issuer: "https://keycloak.example"}, {issuer: "https://other.example"}]
listen: {tls: {certificate_file: tls.crt, key_file: tls.key}}
management: {url: "https://10.0.0.10"}
clusters:
- namespace: team-a
  name: prod
  api: {url: "https://10.0.1.10", credential: {kind: impersonate, token_file: proxy.token}}
  stacklight: {grafana: {url: "http://10.0.1.20"}, prometheus: {url: "http://10.0.1.21"}}
"""


@pytest.fixture(scope="session")
def material(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    authority = CertificateAuthority(folder)
    authority.issue("tls")
    (folder / "proxy.token").write_text("own.token")
    return folder


@pytest.fixture
def config(tmp_path, material) -> Path:
    return Path(shutil.copytree(material, tmp_path / "etc")) / "mosk-proxy.yaml"


def check(config: Path, capsys, *options: str) -> tuple[int, list[str], list[str]]:
    status = main(["check", "--config", str(config), *options])
    printed = capsys.readouterr()
    return status, printed.out.splitlines(), printed.err.splitlines()


def test_a_good_file_is_ok_and_summed_up(config, capsys):
    config.write_text(GOOD)
    assert check(config, capsys) == (
        0,
        [
            f"{config}: ok",
            "  entry: https://localhost, listening on 0.0.0.0 port 8443, TLS",
            "  issuers: https://keycloak.example, https://other.example",
            "  targets: management API, 1 child cluster APIs, 2 StackLight applications",
        ],
        [],
    )


def test_warnings_are_part_of_the_summary(config, capsys):
    config.write_text("public_url: https://localhost\nissuers: [{issuer: 'https://k.example'}]\n")
    assert check(config, capsys) == (
        0,
        [
            f"{config}: ok",
            "  entry: https://localhost, listening on 0.0.0.0 port 8443, plain HTTP",
            "  issuers: https://k.example",
            "  targets: no management API, 0 child cluster APIs, 0 StackLight applications",
            "  warning: listen.tls: absent: tokens arrive in plain text; let nobody but a TLS balancer reach this address",
        ],
        [],
    )


def test_all_problems_go_to_standard_error_one_a_line(config, capsys):
    config.write_text(
        GOOD.replace("proxy.token", "absent").replace("tls.key", "tls.crt") + "port: 1\npolicy: {permissions_file: table.yaml}\n"
    )
    (config.parent / "table.yaml").write_text(shipped_permissions_text().replace("version: 1", "version: 3"))
    assert check(config, capsys) == (
        1,
        [],
        [
            f"{config}: listen.tls.key_file: holds no PEM private key",
            f"{config}: clusters[0].api.credential.token_file: not found",
            f"{config}: port: unknown key",
            f"{config}: policy.permissions_file: table.yaml: version: 3 is not known; use 1",
        ],
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("public_url: [\n", "{config}:2: expected the node content, but found '<stream end>'"),
        ("a: 1\na: 2\n", '{config}:2: found duplicate key "a"'),
        ("", "{config}: must be a mapping of keys such as public_url"),
    ],
)
def test_broken_yaml_is_told_with_its_line(config, capsys, text, line):
    config.write_text(text)
    assert check(config, capsys) == (1, [], [line.replace("{config}", str(config))])


def test_a_missing_file_is_one_line(config, capsys):
    assert check(config, capsys) == (1, [], [f"{config}: not found"])

"""What `explain` judges with: the shipped table or another, with a configuration or without, one question or many."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cli.explaining import Questions, answer_batch
from proxy.policy.roles import RoleSet

READER = RoleSet.from_strings(["m:kaas:a@reader"])
WRITER = RoleSet.from_strings(["m:kaas@writer"])

CONFIGURATION = """
public_url: https://entry.example:8443
hosts: [other.example]
ui_domain: ui.example
issuers: [{issuer: https://keycloak.example/auth/realms/iam}]
management:
  url: https://10.0.0.10
  cluster: default/kaas-mgmt
  credential: {kind: pass_token, audience: kaas}
policy: {system_namespaces: [kaas, extra]}
"""
TABLE = """
version: 1
surfaces: [{name: releases}]
unbound: [releases]
grants: {management_cluster: {"m:kaas@management-admin": rw}, releases: {"m:kaas:<ns>@reader": rw}}
"""


@pytest.fixture
def configuration(tmp_path):
    file = tmp_path / "mosk-proxy.yaml"
    file.write_text(CONFIGURATION)
    return file


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "permissions.yaml"
    file.write_text(TABLE)
    return file


def test_without_a_configuration_every_cluster_of_default_is_the_management_cluster():
    questions = Questions.load(None, None)
    assert questions.answer(WRITER, "GET", "/k8s/default/anything/api").status == 403
    assert questions.answer(WRITER, "GET", "/k8s/a/anything/api").status == 200
    assert questions.answer(WRITER, "GET", "https://anything.example:1/k8s/a/anything/api").status == 200


def test_a_configuration_brings_management_cluster_and_system_namespaces(configuration):
    questions = Questions.load(configuration, None)
    assert questions.answer(WRITER, "GET", "/k8s/default/kaas-mgmt/api").status == 403
    assert questions.answer(WRITER, "GET", "/k8s/default/another/api").status == 200
    assert questions.answer(WRITER, "GET", "/k8s/extra/another/api").status == 403
    assert questions.answer(WRITER, "GET", "/k8s/kube-system/another/api").status == 200


@pytest.mark.parametrize(
    ("url", "target", "status"),
    [
        ("/sl/a/prod/grafana/", "sl/a/prod/grafana", 200),
        ("https://entry.example/sl/a/prod/grafana/", "sl/a/prod/grafana", 200),
        ("HTTPS://Other.example:1/sl/a/prod/grafana/", "sl/a/prod/grafana", 200),
        ("https://grafana.prod.a.ui.example/d/x", "sl/a/prod/grafana", 200),
        ("https://foreign.example/sl/a/prod/grafana/", None, 404),
        ("https://foreign.example/../x", None, 400),
        ("https://entry.example./", None, 404),
        ("https://user@entry.example/", None, 400),
        ("https://ui.example/", None, 404),
        ("kaas", None, 400),
        ("", None, 400),
    ],
)
def test_a_configuration_says_which_hosts_are_ours(configuration, url, target, status):
    explanation = Questions.load(configuration, None).answer(WRITER, "GET", url)
    assert (explanation.target, explanation.status) == (target, status)


def test_another_table_can_be_named(configuration, table, tmp_path):
    url = "/kaas/api/v1/nodes"
    assert Questions.load(None, None).answer(READER, "GET", url).status == 403
    assert Questions.load(None, table).answer(READER, "GET", url).surface == "releases"
    assert Questions.load(configuration, table).answer(READER, "GET", url).status == 200
    naming = tmp_path / "naming.yaml"
    naming.write_text(CONFIGURATION.replace("policy: {", "policy: {permissions_file: permissions.yaml, "))
    assert Questions.load(naming, None).answer(READER, "GET", url).status == 200


def test_what_is_wrong_with_a_table_is_told_one_problem_a_line(tmp_path, capsys):
    file = tmp_path / "table.yaml"
    file.write_text(TABLE.replace("version: 1", "version: 2").replace("releases}", "nowhere}"))
    assert Questions.load(None, file) is None
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[1] for line in err.splitlines()] == ["version", "surfaces[0].name"]
    file.write_bytes(b"\xff")
    assert Questions.load(None, file) is None
    assert capsys.readouterr().err == f"{file}: is not UTF-8\n"


def test_what_is_wrong_with_a_configuration_is_told_one_problem_a_line(tmp_path, capsys):
    file = tmp_path / "mosk-proxy.yaml"
    file.write_text("public_url: x\nunheard: 1\n")
    assert Questions.load(file, None) is None
    assert len(capsys.readouterr().err.splitlines()) >= 3


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b'{"roles": ["m:kaas:a@reader"], "method": "GET", "url": "/kaas/api"}', 200),
        (b' {"url": "/kaas/api", "method": "GET", "roles": ["m:kaas:a@reader"], "more": 1}\r\n', 200),
        (b'{"roles": [1, null, ["m:kaas@writer"], "m:kaas:a@reader"], "method": "GET", "url": "/kaas/api"}', 200),
        (b'{"roles": ["\\ud800", "m:kaas:a@reader"], "method": "GET", "url": "/kaas/api"}', 200),
        (b'{"roles": null, "method": "GET", "url": "/kaas/api"}', 403),
        (b'{"method": "GET", "url": "/kaas/api"}', 403),
        (b'{"roles": [], "method": "GET", "url": "/\\ud800"}', 400),
        (b'{"roles": [], "method": "\\udfff", "url": "/"}', 400),
        (b"", 400),
        (b"\n", 400),
        (b"nonsense", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"x"', 400),
        (b'{"roles": "m:kaas@writer", "method": "GET", "url": "/kaas/api"}', 400),
        (b'{"roles": {}, "method": "GET", "url": "/"}', 400),
        (b'{"roles": [], "method": 1, "url": "/"}', 400),
        (b'{"roles": [], "method": "GET", "url": null}', 400),
        (b'{"roles": [], "method": "GET"}', 400),
        (b'{"roles": [], "method": "GET", "url": "/"} x', 400),
        (b'{"roles": [], "method": "GET", "url": "/', 400),
        (b'\xff{"roles": [], "method": "GET", "url": "/"}', 400),
        (b"[" * 100_000, 400),
        (b'{"roles": [1' + b"0" * 5000 + b'], "method": "GET", "url": "/"}', 400),
    ],
)
def test_a_line_of_a_batch_has_an_answer_whatever_it_is(line, status):
    explanation = Questions.load(None, None).answer_line(line)
    assert explanation.status == status
    assert explanation.allowed == (status == 200)


QUESTIONS = Questions.load(None, None)


@given(st.lists(st.text()), st.text(), st.text().map("/".__add__) | st.text())
def test_explaining_is_total(roles, method, url):
    assert QUESTIONS.answer(RoleSet.from_strings(roles), method, url).status in {200, 400, 403, 404}


@given(st.binary(max_size=60))
def test_a_batch_is_total(line):
    assert QUESTIONS.answer_line(line).status in {200, 400, 403, 404}


def test_a_batch_file_is_answered_in_order(tmp_path, capfdbinary):
    file = tmp_path / "questions"
    urls = ["/", "/nowhere", "/kaas/api", "/../x"]
    file.write_text("\n".join(json.dumps({"roles": [], "method": "GET", "url": url}) for url in urls))
    assert answer_batch(QUESTIONS, file) == 0
    answers = [json.loads(line) for line in io.BytesIO(capfdbinary.readouterr().out)]
    assert [answer["status"] for answer in answers] == [200, 404, 403, 400]

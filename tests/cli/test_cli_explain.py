"""`mosk-proxy explain` as it is called."""

import json
import os
import subprocess
import sys

import pytest

from proxy.__main__ import main

WRITER = ["--role", "m:kaas:a@writer", "--role", "offline_access"]
KEYS = ["allowed", "target", "verb", "surface", "granted_by", "through", "would_grant", "status", "reason"]


def explain(capsys, *arguments):
    status = main(["explain", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_yes_is_exit_status_0(capsys):
    status, out, err = explain(capsys, *WRITER, "GET", "/k8s/a/prod/api/v1/pods")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "allowed (200): m:kaas:a@writer includes m:k8s:a:prod@cluster-admin, which may list on cluster_api",
        "  target       k8s/a/prod",
        "  surface      cluster_api, list",
        "  granted by   m:kaas:a@writer",
        "  through      m:k8s:a:prod@cluster-admin",
    ]


def test_no_is_exit_status_1_and_says_which_roles_would(capsys):
    status, out, err = explain(capsys, *WRITER, "POST", "/k8s/b/prod/api/v1/namespaces/x/pods")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith(
        'denied (403): These roles cannot create resource "pods" in API group "" in the namespace "x" of cluster "b/prod"; '
    )
    assert lines[3:] == [
        "  would grant  m:k8s:b:prod@cluster-admin",
        "  would grant  m:kaas:b@member",
        "  would grant  m:kaas:b@operator",
        "  would grant  m:kaas:b@writer",
        "  would grant  m:kaas@writer",
    ]


def test_json_has_exactly_the_keys_of_the_contract(capsys):
    status, out, _ = explain(capsys, "--json", *WRITER, "GET", "/sl/a/prod/grafana/?x")
    answer = json.loads(out)
    assert status == 0
    assert list(answer) == KEYS
    assert answer == {
        "allowed": True,
        "target": "sl/a/prod/grafana",
        "verb": "get",
        "surface": "stacklight",
        "granted_by": "m:kaas:a@writer",
        "through": ["m:k8s:a:prod@cluster-admin", "m:sl:a:prod@stacklight-admin"],
        "would_grant": [],
        "status": 200,
        "reason": answer["reason"],
    }


@pytest.mark.parametrize(
    ("method", "url", "code", "status"),
    [
        ("GET", "/", 0, 200),
        ("GET", "https://anything.example/console/me", 0, 200),
        ("GET", "/kaas/api", 1, 403),
        ("GET", "/nowhere", 1, 404),
        ("GET", "/k8s/a", 1, 404),
        ("GET", "/kaas/api/v1/namespaces/A", 1, 400),
        ("get", "/kaas/api", 1, 400),
        ("FOO", "/", 1, 400),
        ("", "", 1, 400),
        ("GET", "", 1, 400),
        ("GET", "kaas/api", 1, 400),
        ("GET", "/caf\u00e9", 1, 400),
        ("GET", "/\udc80", 1, 400),
        ("\udcff", "/", 1, 400),
        ("GET", "/\x00", 1, 400),
    ],
)
def test_any_method_and_url_has_an_answer(capsys, method, url, code, status):
    found, out, err = explain(capsys, "--json", method, url)
    assert (found, json.loads(out)["status"], err) == (code, status, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "both are needed"),
        (["GET"], "both are needed"),
        (["GET", "/", "more"], "more"),
        (["--unknown", "GET", "/"], "--unknown"),
        (["--batch", "/nowhere/at/all"], "/nowhere/at/all is not a file"),
        (["--batch", "/"], "/ is not a file"),
        (["--batch", "-", "GET", "/"], "from its lines"),
        (["--batch", "-", "--role", "m:kaas@writer"], "from its lines"),
        (["--permissions", "/nowhere/at/all", "GET", "/"], "--permissions"),
        (["--config", "/nowhere/at/all", "GET", "/"], "--config"),
    ],
)
def test_wrong_usage_is_exit_status_2_and_one_line(capsys, arguments, complaint):
    status, out, err = explain(capsys, *arguments)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert complaint in err


def test_the_help_has_an_example(capsys):
    status, out, _ = explain(capsys, "--help")
    assert status == 0
    assert "mosk-proxy explain --role m:kaas:team-a@reader GET /kaas/api/v1/namespaces/team-a/secrets" in out


def run(lines, *arguments):
    environment = {**os.environ, "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, "-m", "proxy", "explain", *arguments],
        input=lines,
        capture_output=True,
        timeout=20,
        check=False,
        env=environment,
    )


def test_a_batch_on_standard_input_is_answered_line_by_line_in_order():
    ended = run(
        b'{"roles": ["m:kaas@reader"], "method": "GET", "url": "/kaas/api"}\nnonsense\n{"roles": [], "method": "GET", "url": "/"}',
        "--batch",
        "-",
    )
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert [answer["status"] for answer in answers] == [200, 400, 200]
    assert all(list(answer) == KEYS for answer in answers)

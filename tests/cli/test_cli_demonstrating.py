"""`mosk-proxy demo`: what it prints, when it ends, and what it leaves behind."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from proxy.cli.demonstrating import _users_table
from proxy.cli.main import INTERRUPTED, run
from proxy.demo.loopback import listening_socket, port_of
from proxy.demo.people import PEOPLE

ROOT = Path(__file__).resolve().parents[2]


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "proxy", "demo", "--port", "0", *arguments],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder), "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(running: subprocess.Popen[str], beginning: str) -> str:
    assert running.stdout is not None
    lines: list[str] = []
    for line in running.stdout:
        lines.append(line)
        if line.startswith(beginning):
            break
    return "".join(lines)


def test_tour_ends_with_zero_when_the_proxy_keeps_the_policy(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["demo", "--tour"])
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.endswith("280 answers, none not as expected\n"), printed.out
    assert status == 0
    assert re.search(r"^team-a-reader +200 403 200 403 403 200 403 403 200 403 403 403 403 403$", printed.out, re.MULTILINE)
    assert "\x1b" not in printed.out


def test_demonstration_says_when_it_is_ready_and_cleans_up_after_an_interrupt(tmp_path: Path) -> None:
    with started(tmp_path) as running:
        printed = read_until(running, "ready: ")
        (folder,) = tmp_path.iterdir()
        running.send_signal(signal.SIGINT)
        rest, complaints = running.communicate(timeout=15)
    assert (running.returncode, rest, complaints) == (0, "", "")
    url = re.search(r"^ready: (https://127\.0\.0\.1:\d+)/", printed, re.MULTILINE)
    assert url is not None
    assert f"portal        {url[1]}/\n" in printed
    assert f"  export KUBECONFIG={folder}/kubeconfig\n" in printed
    assert re.search(r"^team-a-and-b-reader +m:kaas:team-a@reader +reads both projects", printed, re.MULTILINE)
    assert "kubectl --context team-a-reader@kaas -n team-a get secrets" in printed
    assert "280 answers, none not as expected" in printed
    assert list(tmp_path.iterdir()) == []


def test_demonstration_cleans_up_when_ended_before_it_is_ready(tmp_path: Path) -> None:
    with started(tmp_path) as running:
        read_until(running, "portal")
        running.send_signal(signal.SIGTERM)
        rest, complaints = running.communicate(timeout=15)
    assert (running.returncode, complaints) == (0, "")
    assert "ready: " not in rest
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("is_wide", "width"), [(False, 80), (True, 120)])
def test_every_user_is_shown_whole_with_roles_and_rights(is_wide: bool, width: int) -> None:
    text = io.StringIO()
    Console(file=text, width=width).print(_users_table(is_wide=is_wide))
    for person in PEOPLE:
        assert all(said in text.getvalue() for said in (person.username, *person.roles, person.can))


def test_interrupted_tour_is_no_success(tmp_path: Path) -> None:
    with started(tmp_path, "--tour") as running:
        while not any(tmp_path.iterdir()):
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=15) == ("", "")
    assert running.returncode == INTERRUPTED
    assert list(tmp_path.iterdir()) == []


def test_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with listening_socket() as taken:
        port = port_of(taken)
        assert run(["demo", "--port", str(port)]) == 1
    told = f"mosk-proxy: 127.0.0.1:{port}: Address already in use; choose another with --port, 0 for a free one\n"
    assert tuple(capsys.readouterr()) == ("", told)

"""`serve` as an operator starts it: a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.__main__ import main

KEY_SET = {"keys": [{"kty": "RSA", "kid": "a", "e": "AQAB", "n": "w" + "A" * 341}]}
TEXT = """
public_url: https://localhost
issuers: [{issuer: "https://keycloak.example", jwks_file: keys.json}]
listen: {address: 127.0.0.1, port: 0}
admin: {port: 0}
audit: {path: null}
"""


@pytest.fixture
def config(tmp_path) -> Path:
    (tmp_path / "keys.json").write_text(json.dumps(KEY_SET))
    file = tmp_path / "mosk-proxy.yaml"
    file.write_text(TEXT)
    return file


def start(config: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "proxy", "serve", "--config", str(config)], stderr=subprocess.PIPE, text=True)


def catches(pid: int, wanted: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(mask >> (wanted - 1) & 1)


def test_problems_prevent_the_start_and_are_told_one_a_line(config, capsys):
    config.write_text(TEXT + "workers: 0\nhost: []\n")
    assert main(["serve", "--config", str(config)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{config}: workers: must be greater than or equal to 1",
        f"{config}: host: unknown key: did you mean hosts?",
    ]


def test_it_warns_serves_and_ends_with_status_0_when_told_to(config):
    config.write_text(TEXT + "trusted_proxies: [0.0.0.0/0]\ntimeouts: {drain_seconds: 1}\n")
    process = start(config)
    assert process.stderr is not None
    with process:
        try:
            lines = []
            while not any("serving on" in line for line in lines):
                lines.append(process.stderr.readline())
                assert lines[-1], lines
            assert lines[0] == (
                f"{config}: trusted_proxies[0]: warning: everybody is believed to be a proxy: any client can claim any address\n"
            )
            while not catches(process.pid, signal.SIGTERM):
                time.sleep(0.01)
            # One worker needs no supervisor.
            assert Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text() == ""
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()


def test_a_port_in_use_is_one_line_and_status_1(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config.write_text(TEXT.replace("port: 0}\nadmin", f"port: {port}}}\nadmin"))
        process = start(config)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert "ddress already in use" in line

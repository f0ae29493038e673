import os
import subprocess
import sys

import pytest

from proxy.client.browser import has_browser


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_no_browser_is_started_in_the_terminal(environment, platform, there):
    assert has_browser(environment, platform) is there


def test_a_browser_is_opened_and_not_waited_for(tmp_path):
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >{tmp_path}/opened.new; mv {tmp_path}/opened.new {tmp_path}/opened; exec sleep 5\n')
    script.chmod(0o700)
    program = (
        "import pathlib, sys, time; from proxy.client.browser import open_browser; open_browser('https://i/auth?a=1&b=2')\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)"
    )
    command = [sys.executable, "-c", program, tmp_path / "opened"]
    subprocess.run(command, env={**os.environ, "BROWSER": str(script)}, check=True, timeout=4, stdout=subprocess.DEVNULL)
    assert (tmp_path / "opened").read_text() == "https://i/auth?a=1&b=2\n"

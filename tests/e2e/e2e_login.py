"""A user with a machine of their own: the commands of mosk-proxy there, and a browser that fills in the issuer's forms."""

import contextlib
import html
import json
import os
import re
import shlex
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

from e2e_kubectl import Outcome

PROGRAM = Path(sys.executable).with_name("mosk-proxy")
_SECONDS = 60
_FORM = re.compile(r"<form[^>]*>.*?</form>", re.DOTALL)
_ACTION = re.compile(r'<form[^>]*\baction="([^"]*)"')
_HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*>')
_ATTRIBUTE = re.compile(r'\b(name|value)="([^"]*)"')


class Browser:
    """Keeps cookies, follows redirects, and fills in the first form of a page."""

    def __init__(self, ca: Path) -> None:
        https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca))
        self._opener = urllib.request.build_opener(https, urllib.request.HTTPCookieProcessor())
        self.url, self.page = "", ""

    def open(self, url: str, form: dict[str, str] | None = None) -> None:
        """Go to a page, or submit to it."""
        with self._opener.open(url, None if form is None else urlencode(form).encode(), timeout=_SECONDS) as answer:
            self.url, self.page = answer.url, answer.read().decode()

    def submit(self, **values: str) -> None:
        """Submit the first form with these values beside its hidden ones."""
        form = _FORM.search(self.page)
        assert form, self.page
        action = _ACTION.search(form[0])
        hidden = [dict(_ATTRIBUTE.findall(found)) for found in _HIDDEN.findall(form[0])]
        own = {field["name"]: html.unescape(field.get("value", "")) for field in hidden}
        self.open(urljoin(self.url, html.unescape(action[1])) if action else self.url, own | values)


@dataclass(frozen=True)
class Machine:
    """A user's home folder; `entry` is where they sign in, `issuer` who knows them."""

    home: Path
    entry: str
    issuer: str
    ca: Path

    @property
    def kubeconfig(self) -> Path:
        return self.home / ".kube" / "config"

    @property
    def label(self) -> str:
        return self.entry.removeprefix("https://").replace(":", "-")

    @property
    def kept(self) -> Path:
        """The file with the tokens."""
        return self.home / ".local" / "state" / "mosk-proxy" / f"{self.label}.json"

    def context(self, name: str) -> str:
        return f"mosk-{self.label}-{name}"

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "dumb"}

    def run(self, *command: str | Path) -> Outcome:
        """Run any program there."""
        ended = subprocess.run(command, env=self.environment(), capture_output=True, check=False, timeout=_SECONDS, text=True)
        return Outcome(ended.returncode, ended.stdout, ended.stderr)

    def ours(self, *arguments: str) -> Outcome:
        """Run mosk-proxy there."""
        return self.run(PROGRAM, *arguments)

    @contextlib.contextmanager
    def signing_in(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run `login` up to where it waits for the user; at the end it has ended by itself or is ended."""
        command = [PROGRAM, "login", self.entry, "--issuer", self.issuer, "--ca-file", self.ca, "--no-browser", *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=self.environment(), stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def token(self) -> str:
        """Return the token that kubectl gets."""
        printed = self.ours("token", self.entry)
        assert (printed.status, printed.err) == (0, ""), printed
        token: str = json.loads(printed.out)["status"]["token"]
        return token

    def age_token(self, lasts: int = -5) -> None:
        """Let the kept token end in so many seconds, as far as this machine knows."""
        document: dict[str, Any] = json.loads(self.kept.read_text())
        document["tokens"] |= {"issued_at": int(time.time()) - 300, "expires_at": int(time.time()) + lasts}
        self.kept.write_text(json.dumps(document))


def shown_address(process: subprocess.Popen[str]) -> str:
    """Return the address that `login` prints."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("  http"):
            return line.strip()
    raise AssertionError(process.stderr.read() if process.stderr else "")


def proposed(output: str) -> list[str]:
    """Return the command that `login` proposes in the end."""
    return shlex.split(output.rpartition("\ntry: ")[2].strip())

"""The whole way of a user with a browser: from nothing to a kubeconfig, against an issuer and an entry that are not ours."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from aiohttp import web
from client_command import Commands
from client_issuer import Issuer, serving
from ruamel.yaml import YAML

from proxy.cli.logging_in import Wishes, _prepared, _Screen
from proxy.client.device import Invitation
from proxy.client.entry import Entry
from proxy.client.logins import Login
from proxy.demo.certificates import CertificateAuthority

BROWSER = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[2], sys.argv[1])"


@dataclass
class Api:
    """An entry whose management API has the clusters `names` of project team-a."""

    names: list[str] = field(default_factory=lambda: ["prod"])
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("Bearer ey")
        return web.json_response({"items": [{"metadata": {"namespace": "team-a", "name": name}} for name in self.names]})


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{BROWSER}" {tmp_path}/page "$1"\n')
    browser.chmod(0o700)
    return Commands(tmp_path, {"BROWSER": str(browser)})


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[tuple[Api, Path]]:
    authority = CertificateAuthority(tmp_path)
    with serving(Api(), authority.issue("entry").ssl_context()) as api:
        api.url = api.url.removesuffix("/realm")
        yield api, authority.file


def test_from_nothing_to_a_kubeconfig_and_out_again(commands, entry):
    api, ca_file = entry
    with serving(Issuer()) as issuer:
        status, out, err = commands.run("login", api.url, "--issuer", issuer.url, "--ca-file", ca_file, "--scope", "email")
        assert (status, err) == (0, "")
        label = re.sub(r"^https://|:", "-", api.url).lstrip("-")
        assert f"  {issuer.url}/auth?response_type=code&client_id=kaas&" in out
        assert f"signed in to {api.url} as ann; the tokens are in a file in {commands.logins.folder}\n" in out
        assert f"try: kubectl --context mosk-{label}-team-a-prod get pods -A\n" in out
        assert "You are ann." in (commands.home / "page").read_text()
        kept = commands.logins.load(Entry.parse(api.url))
        assert (kept.scopes, kept.place, kept.client_id) == (("openid", "profile", "email"), "file", "kaas")
        assert kept.authority == ca_file.read_text()
        assert kept.tokens.refresh_token in issuer.refresh_tokens
        config = YAML(typ="safe").load(commands.kubeconfig)
        assert [context["name"] for context in config["contexts"]] == [f"mosk-{label}-team-a-prod", f"mosk-{label}-kaas"]
        assert config["users"][0]["user"]["exec"]["args"][-2:] == ["token", api.url]

        secrets = (kept.tokens.id_token, kept.tokens.refresh_token)
        assert not any(secret in text for secret in secrets for text in (out, commands.kubeconfig.read_text()))

        assert commands.run("logout") == (0, f"signed out of {api.url}; the session at the issuer is ended\n", "")
        assert issuer.refresh_tokens == set()
        assert commands.run("token")[0] == 1


def wishes(**changes: object) -> Wishes:
    nothing = dict.fromkeys(("url", "issuer", "client_id", "scopes", "ca_file", "redirect_uri"))
    return Wishes(**{**nothing, "by_device": False, "opens_browser": False, "writes_kubeconfig": False, **changes})


def test_an_issuer_must_be_named_once():
    with pytest.raises(typer.BadParameter, match=r"^needed at the first sign-in to https://entry\.example$"):
        _prepared(Entry.parse("https://entry.example"), None, wishes())


def test_what_was_said_once_is_remembered_and_what_is_said_anew_counts():
    entry = Entry.parse("https://entry.example")
    first = _prepared(entry, None, wishes(issuer="https://i"))
    assert first == Login(entry, "https://i", "kaas", ("openid", "profile"), None, "file", None)
    known = Login(entry, "https://i", "k8s", ("openid", "x"), "PEM", "keyring", None)
    assert _prepared(entry, known, wishes()) == Login(entry, "https://i", "k8s", ("openid", "x"), "PEM", "file", None)
    changed = _prepared(entry, known, wishes(issuer="https://j", client_id="sl", scopes=("openid", "y")))
    assert (changed.issuer, changed.client_id, changed.scopes) == ("https://j", "sl", ("openid", "profile", "y"))


@pytest.mark.parametrize(
    ("in_url", "said"), [(True, "and check that it shows the code AB-CD"), (False, "and enter the code AB-CD")]
)
def test_another_machine_is_invited(capsys, in_url, said):
    screen = _Screen(opens_browser=False)
    screen.show_invitation(Invitation("https://i/device", "AB-CD", in_url))
    screen.close()
    printed = capsys.readouterr()
    assert said in printed.out
    assert "\n  https://i/device\n" in printed.out
    assert printed.err == ""

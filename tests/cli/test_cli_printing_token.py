import json
import time
from pathlib import Path

import pytest
from client_command import Commands
from client_issuer import ENTRY

from proxy.client.logins import Login, Tokens


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def login(lasts: int, **changes: object) -> Login:
    now = int(time.time())
    tokens = Tokens("the.id.token", "r1", "f150d839", now - 300, now + lasts)
    return Login(
        ENTRY,
        **{
            "issuer": "http://127.0.0.1:9/realm",
            "client_id": "kaas",
            "scopes": ("openid",),
            "authority": None,
            "place": "file",
            "tokens": tokens,
        }
        | changes,
    )


def test_a_kept_token_is_printed_and_little_is_imported_for_it(commands):
    commands.signed_in(login(200))
    slow = [
        "typer",
        "rich",
        "aiohttp",
        "pydantic",
        "ruamel",
        "cryptography",
        "msgspec",
        "ssl",
        "asyncio",
        "keyring",
        "subprocess",
        "proxy.policy",
    ]
    program = f"import sys; from proxy.__main__ import main; status = main(sys.argv[1:]); print([x for x in {slow} if x in sys.modules], status)"
    status, out, err = commands.run("token", ENTRY.url, program=("-c", program))
    assert (status, err) == (0, "")
    credential, imported = out.splitlines()
    assert json.loads(credential)["status"]["token"] == "the.id.token"
    assert imported == "[] 0"


def test_who_is_not_signed_in_is_told_and_nothing_is_opened(commands):
    commands.environment["BROWSER"] = "false"
    for arguments in (("token", ENTRY.url), ("token",)):
        status, out, err = commands.run(*arguments)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("mosk-proxy: not signed in ")
        assert "run: mosk-proxy login https://" in err


def test_a_broken_file_or_url_is_one_line(commands):
    commands.signed_in(login(200))
    file = commands.logins.folder / "entry.example.json"
    file.chmod(0o644)
    assert commands.run("token", ENTRY.url) == (
        1,
        "",
        f"mosk-proxy: {file}: mode 0644 opens it to others; run: chmod 600 {file}\n",
    )
    file.unlink()
    file.symlink_to("elsewhere")
    assert commands.run("token", ENTRY.url) == (1, "", f"mosk-proxy: {file}: Too many levels of symbolic links\n")
    assert commands.run("token", "http://x")[0] == 1


def test_an_issuer_that_is_away_is_one_line(commands):
    commands.signed_in(login(-10))
    status, out, err = commands.run("token", ENTRY.url)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("mosk-proxy: http://127.0.0.1:9/realm/.well-known/openid-configuration: ")

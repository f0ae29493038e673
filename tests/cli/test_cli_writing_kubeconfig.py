import time
from pathlib import Path

import pytest
from aiohttp import web
from client_issuer import ENTRY, Issuer, serving
from ruamel.yaml import YAML

from proxy.cli.writing_kubeconfig import Selection, write_kubeconfig
from proxy.client.entry import Entry
from proxy.client.errors import ClientError
from proxy.client.logins import Login, Tokens
from proxy.client.user import User
from proxy.demo.certificates import CertificateAuthority


class Api:
    """An entry whose management API has clusters, by project."""

    def __init__(self, **clusters: list[str]) -> None:
        self.url, self.clusters = "", clusters

    async def handle(self, request: web.Request) -> web.Response:
        project = request.path.split("/")[-2]
        if project not in self.clusters:
            return web.json_response({"message": "no"}, status=503)
        items = [{"metadata": {"namespace": project, "name": name}} for name in self.clusters[project]]
        return web.json_response({"items": items})


@pytest.fixture
def write(tmp_path: Path):
    """Write contexts for a user with these roles into tmp_path/config."""

    def run(*roles: str, entry: Entry = ENTRY, authority: str | None = None, **selection) -> int:
        now = int(time.time())
        token = Issuer(url="https://i").mint(iam_roles=list(roles))
        tokens = Tokens(token, "r1", "f150d839", now, now + 300)
        user = User({"KUBECONFIG": str(tmp_path / "config")}, tmp_path)
        user.logins.save(Login(entry, "https://i", "kaas", ("openid",), authority, "file", tokens))
        return write_kubeconfig(user, entry.url, Selection(**{"every": False} | selection))

    return run


def contexts(tmp_path: Path) -> list[str]:
    return [context["name"] for context in YAML(typ="safe").load(tmp_path / "config")["contexts"]]


def test_named_targets_are_written_as_named(write, tmp_path, capsys):
    assert write("m:k8s:team-a:prod@cluster-admin", clusters=("team-a/prod", "kaas", "team-b/dev")) == 0
    assert contexts(tmp_path) == ["mosk-entry.example-team-a-prod", "mosk-entry.example-kaas", "mosk-entry.example-team-b-dev"]
    printed = capsys.readouterr()
    assert printed.err == "mosk-proxy: your roles do not reach team-b/dev, by the permissions that are shipped\n"
    assert printed.out.startswith(f"{tmp_path}/config: written\n  mosk-entry.example-team-a-prod\n")
    assert write("m:k8s:team-a:prod@cluster-admin", clusters=("kaas",)) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/config: nothing to change\n  mosk-entry.example-kaas\ntry: kubectl --context mosk-entry.example-kaas get namespaces\n"
    )


def test_everything_is_what_the_roles_reach_and_what_is_gone_is_pruned(write, tmp_path, capsys):
    authority = CertificateAuthority(tmp_path)
    roles = ("m:kaas:team-a@writer", "m:kaas:team-b@member", "m:k8s:team-c:named@cluster-admin")
    with serving(Api(), authority.issue("entry").ssl_context()) as api:
        entry = Entry.parse(api.url.removesuffix("/realm"))
        user, pem = f"mosk-{entry.label}", authority.file.read_text()
        api.clusters = {"team-a": ["prod", "old"], "team-b": ["dev"]}
        assert write(*roles, entry=entry, authority=pem, every=True) == 0
        expected = [f"{user}-{name}" for name in ("team-a-old", "team-a-prod", "team-b-dev", "team-c-named", "kaas")]
        assert contexts(tmp_path) == expected

        api.clusters = {"team-a": ["prod"], "team-b": []}
        assert write(*roles[:2], entry=entry, authority=pem, every=True) == 0
        assert contexts(tmp_path) == expected

        # What cannot be listed is not said to be gone.
        del api.clusters["team-b"]
        capsys.readouterr()
        assert write(*roles[:2], entry=entry, authority=pem, every=True, prunes=True) == 1
        printed = capsys.readouterr()
        assert printed.err.startswith("mosk-proxy: the clusters of team-b could not be listed: ")
        assert printed.err.endswith("/namespaces/team-b/clusters?limit=250: answered 503: no\n")
        assert f"  {user}-team-a-old (removed)\n  {user}-team-c-named (removed)\n" in printed.out
        assert contexts(tmp_path) == [f"{user}-{name}" for name in ("team-a-prod", "team-b-dev", "kaas")]


def test_who_reaches_nothing_is_told(write, tmp_path, capsys):
    assert write("m:sl:team-a:prod@admin", every=True) == 0
    assert "your roles reach no Kubernetes API here; mosk-proxy explain says which would" in capsys.readouterr().out


def test_the_plugin_and_the_authority_can_be_chosen(write, tmp_path):
    file = CertificateAuthority(tmp_path).file
    assert write("m:kaas@reader", clusters=("kaas",), plugin="kubelogin", ca_file=file) == 0
    config = YAML(typ="safe").load(tmp_path / "config")
    assert config["users"][0]["user"]["exec"]["args"][:2] == ["oidc-login", "get-token"]
    assert config["clusters"][0]["cluster"]["certificate-authority-data"].startswith("LS0tLS1CRUdJTi")


def test_a_wrong_name_is_told_before_anything_is_written(write, tmp_path):
    with pytest.raises(ClientError, match="give a cluster as NAMESPACE/NAME"):
        write("m:kaas@reader", clusters=("kaas", "prod"))
    assert not (tmp_path / "config").exists()

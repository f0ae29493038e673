import base64

import pytest

from proxy.client.kubeconfig_user import exec_plugin, own_command


def program(folder, name, mode=0o755):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(mode)
    return str(folder / name)


def test_the_program_is_named_by_its_absolute_path(tmp_path):
    called, beside, found = (program(tmp_path / name, "mosk-proxy") for name in ("called", "beside", "path"))
    interpreter = str(tmp_path / "beside" / "python3")
    path = str(tmp_path / "path")
    assert own_command(called, interpreter, path) == (called,)
    assert own_command("/x/proxy/__main__.py", interpreter, path) == (beside,)
    assert own_command("/x/proxy/__main__.py", "/nowhere/python3", path) == (found,)
    assert own_command("mosk-proxy", "/nowhere/python3", "") == ("/nowhere/python3", "-m", "proxy")


def test_what_cannot_be_run_is_not_named(tmp_path):
    called = program(tmp_path / "called", "mosk-proxy", 0o644)
    assert own_command(called, "/nowhere/python3", None)[0] != called


def test_our_own_plugin(make_login):
    assert exec_plugin(make_login(), "mosk-proxy", ("/opt/python", "-m", "proxy")) == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "/opt/python",
        "args": ["-m", "proxy", "token", "https://entry.example"],
        "installHint": "mosk-proxy is a Python program: pip install mosk-proxy",
        "interactiveMode": "Never",
        "provideClusterInfo": False,
    }


@pytest.mark.parametrize("authority", [None, "-----BEGIN CERTIFICATE-----\n"])
def test_kubelogin_is_told_whom_to_ask(make_login, authority):
    login = make_login(issuer="https://i/realms/iam", client_id="k8s", scopes=("openid", "profile", "email"), authority=authority)
    encoded = [f"--certificate-authority-data={base64.b64encode(authority.encode()).decode()}"] if authority else []
    assert exec_plugin(login, "kubelogin") == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "kubectl",
        "args": [
            "oidc-login",
            "get-token",
            "--oidc-issuer-url=https://i/realms/iam",
            "--oidc-client-id=k8s",
            "--oidc-extra-scope=profile",
            "--oidc-extra-scope=email",
            *encoded,
        ],
        "installHint": "kubectl krew install oidc-login",
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
    }

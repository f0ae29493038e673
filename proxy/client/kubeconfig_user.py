"""How kubectl gets a token: the exec plugin of a kubeconfig's user (client.authentication.k8s.io/v1)."""

import base64
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from proxy.client.logins import Login

Plugin: TypeAlias = Literal["mosk-proxy", "kubelogin"]

_API_VERSION: Final = "client.authentication.k8s.io/v1"
_PROGRAM: Final = "mosk-proxy"
_STANDARD_SCOPE: Final = "openid"  # kubelogin adds it itself


def own_command(program: str, interpreter: str, search: str | None) -> tuple[str, ...]:
    """Return the absolute command line of this program; `program` is how it was called, `search` the PATH."""
    beside = Path(interpreter).parent / _PROGRAM
    for candidate in (Path(program).absolute(), beside):
        if candidate.name == _PROGRAM and os.access(candidate, os.X_OK) and candidate.is_file():
            return (str(candidate),)
    found = shutil.which(_PROGRAM, path=search)
    return (str(Path(found).absolute()),) if found is not None else (interpreter, "-m", "proxy")


def exec_plugin(login: Login, plugin: Plugin, command: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the `exec` of a user; `command` is how this program is called, as it was found when None."""
    if plugin == "kubelogin":
        return _stanza(
            ["kubectl", "oidc-login", "get-token", *_kubelogin_arguments(login)], "kubectl krew install oidc-login", "IfAvailable"
        )
    own = own_command(sys.argv[0], sys.executable, os.environ.get("PATH")) if command is None else tuple(command)
    # A browser is opened by `login` alone: kubectl runs its plugin many times at once.
    return _stanza([*own, "token", login.entry.url], f"{_PROGRAM} is a Python program: pip install {_PROGRAM}", "Never")


def _stanza(command: Sequence[str], hint: str, interactive: str) -> dict[str, Any]:
    return {
        "apiVersion": _API_VERSION,
        "command": command[0],
        "args": list(command[1:]),
        "installHint": hint,
        "interactiveMode": interactive,
        "provideClusterInfo": False,
    }


def _kubelogin_arguments(login: Login) -> list[str]:
    # kubelogin: docs/usage.md. It speaks to the issuer alone.
    arguments = [f"--oidc-issuer-url={login.issuer}", f"--oidc-client-id={login.client_id}"]
    arguments += [f"--oidc-extra-scope={scope}" for scope in login.scopes if scope != _STANDARD_SCOPE]
    if login.authority is not None:
        arguments.append(f"--certificate-authority-data={base64.b64encode(login.authority.encode()).decode()}")
    return arguments

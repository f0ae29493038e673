"""Kubeconfigs to download: for what a visitor's roles reach, through this proxy, without a secret in them.

The names are those that `mosk-proxy kubeconfig` gives, so that both describe the same contexts.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from proxy.console.visit import SiteFacts, TokenSource
from proxy.errors import Malformed
from proxy.routing.target import ClusterRef

Plugin: TypeAlias = Literal["mosk-proxy", "kubelogin"]

_TLS_PORT: Final = 443
_STANDARD_SCOPE: Final = "openid"  # kubelogin adds it itself


@dataclass(frozen=True, slots=True)
class _Exec:
    """The exec plugin of a user (client.authentication.k8s.io/v1)."""

    command: str
    arguments: Sequence[str]
    hint: str
    interactive: str


def entry_label(public_url: str) -> str:
    """Return how names in kubeconfigs call the entry: its host, and its port where it is not 443."""
    parts = urlsplit(public_url)
    host = (parts.hostname or "").replace(":", "-")
    return host if parts.port in {None, _TLS_PORT} else f"{host}-{parts.port}"


def document(facts: SiteFacts, targets: Sequence[ClusterRef | None], plugin: Plugin) -> str:
    """Return a kubeconfig; None in `targets` is the management API. Raises Malformed for a plugin that cannot work here."""
    names = _names(entry_label(facts.public_url), targets)
    return "\n".join((*_head(facts), *_sections(facts, targets, names), *_user(facts, plugin))) + "\n"


def _head(facts: SiteFacts) -> Iterator[str]:
    if facts.tokens is not None:
        yield f"# Sign in once: mosk-proxy login {facts.public_url} --issuer {facts.tokens.issuer} --client-id {facts.tokens.client_id}"
    yield from ("apiVersion: v1", "kind: Config", "preferences: {}")


def _names(label: str, targets: Iterable[ClusterRef | None]) -> list[str]:
    names: list[str] = []
    for target in targets:
        name = f"mosk-{label}-{'kaas' if target is None else f'{target.namespace}-{target.name}'}"
        # Cluster `b-c` of project `a` and cluster `c` of project `a-b` would be called the same.
        names.append(f"{name}-{hashlib.sha256(str(target).encode()).hexdigest()[:6]}" if name in names else name)
    return names


def _sections(facts: SiteFacts, targets: Sequence[ClusterRef | None], names: Sequence[str]) -> Iterator[str]:
    # Each text is written as JSON writes it: a double-quoted scalar, to whichever version of YAML the reader speaks.
    yield f"current-context: {json.dumps(names[0] if names else '')}"
    yield "clusters:" if names else "clusters: []"
    for target, name in zip(targets, names, strict=True):
        server = f"{facts.public_url}/kaas" if target is None else f"{facts.public_url}/k8s/{target}"
        yield from (f"- name: {json.dumps(name)}", "  cluster:", f"    server: {json.dumps(server)}")
        if facts.public_ca is not None:
            yield f"    certificate-authority-data: {_base64(facts.public_ca)}"
    user = json.dumps(f"mosk-{entry_label(facts.public_url)}")
    yield "contexts:" if names else "contexts: []"
    for name in names:
        yield from (f"- name: {json.dumps(name)}", "  context:", f"    cluster: {json.dumps(name)}", f"    user: {user}")


def _user(facts: SiteFacts, plugin: Plugin) -> Iterator[str]:
    called = _kubelogin(facts.tokens) if plugin == "kubelogin" else _own(facts.public_url)
    yield from ("users:", f"- name: {json.dumps(f'mosk-{entry_label(facts.public_url)}')}", "  user:", "    exec:")
    yield "      apiVersion: client.authentication.k8s.io/v1"
    yield f"      command: {called.command}"
    yield "      args:"
    yield from (f"      - {json.dumps(argument)}" for argument in called.arguments)
    yield f"      installHint: {json.dumps(called.hint)}"
    yield f"      interactiveMode: {called.interactive}"
    yield "      provideClusterInfo: false"


def _own(public_url: str) -> _Exec:
    # A browser is opened by `login` alone: kubectl runs its plugin many times at once.
    return _Exec("mosk-proxy", ["token", public_url], "mosk-proxy is a Python program: pip install mosk-proxy", "Never")


def _kubelogin(tokens: TokenSource | None) -> _Exec:
    if tokens is None:
        raise Malformed("This installation names no client for kubelogin; use the plugin mosk-proxy")
    arguments = ["oidc-login", "get-token", f"--oidc-issuer-url={tokens.issuer}", f"--oidc-client-id={tokens.client_id}"]
    arguments += [f"--oidc-extra-scope={scope}" for scope in tokens.scopes if scope != _STANDARD_SCOPE]
    if tokens.authority is not None:
        arguments.append(f"--certificate-authority-data={_base64(tokens.authority)}")
    return _Exec("kubectl", arguments, "kubectl krew install oidc-login", "IfAvailable")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

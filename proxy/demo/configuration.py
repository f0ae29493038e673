"""The configuration file of the demonstration's proxy: an ordinary one, as `mosk-proxy serve` reads it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.demo.loopback import ADDRESS
from proxy.demo.provider.clients import PROXY_CLIENT_ID
from proxy.demo.scenery import MANAGEMENT_CLUSTER, ChildCluster


@dataclass(frozen=True, slots=True)
class Server:
    """A Kubernetes API: its URL, and the file with the token that the proxy shows there."""

    url: str
    token_file: str


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a child cluster's Kubernetes API and applications are."""

    cluster: ChildCluster
    api: Server
    grafana_url: str
    prometheus_url: str
    alertmanager_url: str


def configuration(
    proxy_port: int, admin_port: int, issuer: str, sessions: Path, management: Server, stacks: Iterable[Stack]
) -> dict[str, Any]:
    """The document; file names in it are relative to the file itself, but for `sessions`, the database of sessions."""
    return {
        "public_url": f"https://{ADDRESS}:{proxy_port}",
        "hosts": ["localhost"],
        "public_ca_file": "ca.crt",
        "listen": {
            "address": ADDRESS,
            "port": proxy_port,
            "tls": {"certificate_file": "proxy.crt", "key_file": "proxy.key"},
        },
        "admin": {"address": ADDRESS, "port": admin_port},
        "issuers": [{"issuer": issuer, "ca_file": "ca.crt"}],
        "sign_in": {"issuer": issuer, "client_id": PROXY_CLIENT_ID, "client_secret_file": "sign-in.secret"},
        "sessions": {"store": f"sqlite://{sessions}"},
        "management": _kubernetes(management) | {"cluster": MANAGEMENT_CLUSTER},
        "clusters": [_cluster(stack) for stack in stacks],
        "audit": {"path": "audit.log"},
    }


def _kubernetes(server: Server) -> dict[str, Any]:
    credential = {"kind": "impersonate", "token_file": server.token_file}
    return {"url": server.url, "ca_file": "ca.crt", "credential": credential}


def _cluster(stack: Stack) -> dict[str, Any]:
    webauth = {"kind": "identity_headers", "user_header": "X-WEBAUTH-USER", "role_header": "X-WEBAUTH-ROLE", "role": "Admin"}
    return {
        "namespace": stack.cluster.project,
        "name": stack.cluster.name,
        "api": _kubernetes(stack.api),
        "stacklight": {
            "grafana": {"url": stack.grafana_url, "keep_prefix": True, "credential": webauth},
            "prometheus": {"url": stack.prometheus_url, "keep_prefix": True},
            # without its prefix: the other way to mount an application
            "alertmanager": {"url": stack.alertmanager_url},
        },
    }

"""mosk-proxy as a peer: started as a user would, with every feature on."""

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.identities import AUDIENCES
from bench.peers import Peer, free_port
from bench.site import Cluster, Site

NAME = "mosk-proxy"
ROOT = Path(__file__).resolve().parent.parent
PLENTY = 1_000_000  # a limit that is counted against but never reached


def installed_version() -> str:
    """The proxy's version."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return "not installed"


def peer(site: Site, workers: int = 1) -> Peer:
    """mosk-proxy of this working tree."""
    name = NAME if workers == 1 else f"{NAME} x{workers}"
    return Peer(name, installed_version(), lambda port, tls: command(site, port, workers, tls=tls))


def command(site: Site, port: int, workers: int = 1, *, tls: bool) -> list[str]:
    """Write the configuration; returns how to start the proxy with it."""
    file = site.folder / f"mosk-proxy-{port}.yaml"
    more = {"workers": workers} if workers > 1 else {}
    file.write_text(json.dumps(configuration(site, port, tls=tls) | more, indent=1))  # JSON is YAML
    return [sys.executable, "-m", "proxy", "serve", "--config", str(file)]


def configuration(site: Site, port: int, *, tls: bool) -> dict[str, Any]:
    """The configuration document: audit line, metrics, per-user limits and timeouts are all on."""
    token_file = site.folder / "proxy.token"
    token_file.write_text("the-proxys-own-token")
    credential = {"kind": "impersonate", "token_file": str(token_file)}
    listen: dict[str, Any] = {"address": "127.0.0.1", "port": port}
    if tls:
        listen["tls"] = {"certificate_file": str(site.certificate_file), "key_file": str(site.key_file)}
    return {
        "public_url": f"{'https' if tls else 'http'}://localhost:{port}",
        "listen": listen,
        "admin": {"address": "127.0.0.1", "port": free_port()},
        "issuers": [{"issuer": site.issuer, "audiences": AUDIENCES, "jwks_file": str(site.key_set_file)}],
        "management": {"url": f"http://127.0.0.1:{site.upstream_port}", "credential": credential},
        "clusters": [declared(cluster, site, credential) for cluster in site.clusters],
        "limits": {"requests_per_user": PLENTY, "streams_per_user": PLENTY},
        "audit": {"path": str(site.folder / f"mosk-proxy-{port}.audit")},
    }


def declared(cluster: Cluster, site: Site, credential: dict[str, str]) -> dict[str, Any]:
    """One entry of `clusters`."""
    api = {"url": f"http://127.0.0.1:{site.port(cluster)}", "credential": credential}
    return {"namespace": cluster.namespace, "name": cluster.name, "api": api}

"""oauth2-proxy as a peer: built by Go from the module proxy into the cache folder, configured as close to mosk-proxy as it comes.

Bearer tokens verified with the issuer's key (it has no memory of verified tokens), one of the clusters' roles among `iam_roles` for all
paths alike, the prefix taken off, request log in a file. It knows no roles by path and sets no impersonation headers.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import wheels
from bench.peers import Missing, Peer
from bench.site import Cluster, Site

NAME = "oauth2-proxy"
VERSION = "7.15.3"
MODULE = "github.com/oauth2-proxy/oauth2-proxy/v7"
BUILD_SECONDS = 1800
# A scratch module, because `go install MODULE@VERSION` is refused where that module's own go.mod replaces others.
GO_MOD = f"module mosk-proxy-bench\n\ngo 1.26.0\n\nrequire {MODULE} v{VERSION}\n"
GO_SUM = (
    f"{MODULE} v{VERSION} h1:1xu2YmysGLrrk4F37HFARKqqM+w1R+V8icYUyEUZJ/4=\n"
    f"{MODULE} v{VERSION}/go.mod h1:A992e0aNni/qJrxN0Sy8hDZGX95bP1LQAY0Csu5NA6g=\n"
)


def peer(site: Site) -> Peer:
    """oauth2-proxy, built on the first call; raises Missing."""
    binary = program()
    return Peer(NAME, VERSION, lambda port, tls: command(binary, site, port, tls=tls))


def program() -> Path:
    """Path of the binary; raises Missing when it cannot be built."""
    folder = wheels.cache() / f"{NAME}-{VERSION}"
    binary = folder / NAME
    if not os.access(binary, os.X_OK):
        print(f"bench: building {NAME} {VERSION} in {folder}, some minutes", file=sys.stderr, flush=True)
        build(folder)
    return binary


def build(folder: Path) -> None:
    """Compile the pinned version; its content must have the hash in GO_SUM. Raises Missing."""
    go = shutil.which("go")
    if not go:
        raise Missing("Go is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text(GO_MOD)
    (folder / "go.sum").write_text(GO_SUM)
    command = [go, "build", "-mod=mod", "-trimpath", "-o", f"{NAME}.new", MODULE]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS)
    except (OSError, subprocess.SubprocessError) as failure:
        said = (getattr(failure, "stderr", None) or str(failure)).strip().splitlines()
        raise Missing(f"it could not be built: {said[-1]}") from failure
    (folder / f"{NAME}.new").rename(folder / NAME)


def command(binary: Path, site: Site, port: int, *, tls: bool) -> list[str]:
    """Write the configuration; returns how to start oauth2-proxy with it."""
    alpha = site.folder / f"{NAME}-{port}.yaml"
    alpha.write_text(json.dumps(configuration(site, port, tls=tls), indent=1))  # JSON is YAML
    return [
        str(binary),
        f"--alpha-config={alpha}",
        "--cookie-secret=0123456789abcdef0123456789abcdef",
        "--email-domain=*",
        "--skip-jwt-bearer-tokens=true",
        "--force-json-errors=true",
        f"--logging-filename={site.folder / f'{NAME}-{port}.log'}",
    ]


def configuration(site: Site, port: int, *, tls: bool) -> dict[str, Any]:
    """The part of the configuration that lies in a file of its own ("alpha configuration")."""
    address = f"127.0.0.1:{port}"
    server: dict[str, Any] = {"bindAddress": address}
    if tls:
        pair = {"key": {"fromFile": str(site.key_file)}, "cert": {"fromFile": str(site.certificate_file)}}
        server = {"bindAddress": "-", "secureBindAddress": address, "tls": pair}
    return {
        "server": server,
        "upstreamConfig": {"upstreams": [upstream(cluster, site) for cluster in site.clusters]},
        "providers": [provider(site)],
    }


def upstream(cluster: Cluster, site: Site) -> dict[str, Any]:
    """A child cluster, its prefix taken off."""
    return {
        "id": cluster.prefix,
        "path": f"^{cluster.prefix}/(.*)$",
        "rewriteTarget": "/$1",
        "uri": f"http://127.0.0.1:{site.port(cluster)}",
        "timeout": "60s",
    }


def provider(site: Site) -> dict[str, Any]:
    """The issuer, by its key; the addresses of a sign-in must be given but are never asked."""
    return {
        "id": "iam",
        "provider": "oidc",
        "clientID": "k8s",
        "clientSecret": "unused",
        "loginURL": f"{site.issuer}/unused",
        "redeemURL": f"{site.issuer}/unused",
        "allowedGroups": [cluster.role for cluster in site.clusters],
        "oidcConfig": {
            "issuerURL": site.issuer,
            "skipDiscovery": True,
            "publicKeyFiles": [str(site.public_key_file)],
            "emailClaim": "preferred_username",
            "groupsClaim": "iam_roles",
            "audienceClaims": ["aud"],
            "insecureAllowUnverifiedEmail": True,
        },
    }

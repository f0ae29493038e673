"""A kubeconfig with one context for each sample user and target: `team-a-writer@kaas`, `team-a-writer@team-a/prod`, …"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from proxy.demo.files import yaml_text
from proxy.demo.people import Person
from proxy.demo.scenery import ChildCluster

MANAGEMENT_API = "kaas"


def kubeconfig(
    proxy_url: str, authority_pem: bytes, clusters: Iterable[ChildCluster], tokens: Mapping[Person, str], current: str
) -> str:
    """The file's text, YAML; `tokens` are secrets, and `current` is the context that kubectl uses when told none."""
    authority = base64.b64encode(authority_pem).decode()
    servers = {MANAGEMENT_API: f"{proxy_url}/kaas"} | {str(cluster): f"{proxy_url}/k8s/{cluster}" for cluster in clusters}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}
            for name, server in servers.items()
        ],
        "users": [{"name": person.username, "user": {"token": token}} for person, token in tokens.items()],
        "contexts": [_context(person, target) for person in tokens for target in servers],
        "current-context": current,
        "preferences": {},
    }
    return yaml_text(document)


def _context(person: Person, target: str) -> dict[str, Any]:
    namespace = person.project if target == MANAGEMENT_API else "default"
    return {
        "name": f"{person.username}@{target}",
        "context": {"cluster": target, "user": person.username, "namespace": namespace},
    }

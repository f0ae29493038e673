"""The printed kubeconfig, read back as kubectl reads it."""

import base64
import stat
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from proxy.demo.files import write_private
from proxy.demo.kubeconfig import kubeconfig
from proxy.demo.people import PEOPLE
from proxy.demo.scenery import CHILD_CLUSTERS

URL = "https://127.0.0.1:8443"
PEM = b"-----BEGIN CERTIFICATE-----\n" + b"A" * 700 + b"\n-----END CERTIFICATE-----\n"
TOKENS = {person: f"eyJ{person.username}" + "x" * 2000 for person in PEOPLE}


@pytest.fixture(scope="module")
def document():
    return YAML(typ="safe", pure=True).load(kubeconfig(URL, PEM, CHILD_CLUSTERS, TOKENS, "kaas-writer@kaas"))


def test_servers_are_the_proxys_prefixes(document) -> None:
    assert {item["name"]: item["cluster"]["server"] for item in document["clusters"]} == {
        "kaas": f"{URL}/kaas",
        "team-a/prod": f"{URL}/k8s/team-a/prod",
        "team-b/dev": f"{URL}/k8s/team-b/dev",
    }
    assert {base64.b64decode(item["cluster"]["certificate-authority-data"]) for item in document["clusters"]} == {PEM}


def test_everybody_has_a_context_for_every_target(document) -> None:
    contexts = {item["name"]: item["context"] for item in document["contexts"]}
    targets = ["kaas", "team-a/prod", "team-b/dev"]
    assert list(contexts) == [f"{person.username}@{target}" for person in PEOPLE for target in targets]
    assert contexts["team-a-reader@kaas"] == {"cluster": "kaas", "user": "team-a-reader", "namespace": "team-a"}
    assert contexts["team-a-reader@team-b/dev"] == {"cluster": "team-b/dev", "user": "team-a-reader", "namespace": "default"}
    assert document["current-context"] in contexts


def test_tokens_come_whole(document) -> None:
    assert {item["name"]: item["user"] for item in document["users"]} == {
        person.username: {"token": token} for person, token in TOKENS.items()
    }


def test_files_are_private_and_never_overwritten(tmp_path: Path) -> None:
    written = write_private(tmp_path / "kubeconfig", "a secret")
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_private(written, "another")

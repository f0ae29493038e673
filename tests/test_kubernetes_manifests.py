"""The manifests in config/kubernetes: they load, and grant what is needed and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[1] / "config" / "kubernetes"
EFFECTIVE = "m:k8s:team-a:prod@cluster-admin"


def documents(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all((FOLDER / name).read_text()))


def rights(name: str) -> set[tuple[str, str, str, str]]:
    """Return (group, resource, name, verb) of all that a file grants."""
    return {
        (group, resource, only, verb)
        for document in documents(name)
        for rule in document.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for only in rule.get("resourceNames", ("",))
        for verb in rule["verbs"]
    }


def test_the_reader_lists_and_watches_clusters_and_nothing_else():
    assert rights("management-cluster.yaml") == {
        ("cluster.k8s.io", "clusters", "", "list"),
        ("cluster.k8s.io", "clusters", "", "watch"),
    }


def test_the_impersonator_impersonates_users_and_one_group_and_nothing_else():
    extra = ("uids", "userextras/mosk-issuer", "userextras/mosk-granted-by")
    assert rights("child-cluster.yaml") == {
        ("", "users", "", "impersonate"),
        ("", "groups", EFFECTIVE, "impersonate"),
        *(("authentication.k8s.io", resource, "", "impersonate") for resource in extra),
    }


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_each_file_binds_its_role_to_its_own_account_alone(name):
    by_kind = {document["kind"]: document for document in documents(name)}
    assert len(by_kind) == len(documents(name)) == 4
    account, binding = by_kind["ServiceAccount"]["metadata"], by_kind["ClusterRoleBinding"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account}]
    assert binding["roleRef"]["name"] == by_kind["ClusterRole"]["metadata"]["name"]
    assert account["namespace"] == by_kind["Namespace"]["metadata"]["name"]

import io

import pytest
from client_issuer import ENTRY
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from proxy.client.entry import Entry
from proxy.client.errors import ClientError
from proxy.client.kubeconfig_document import Wanted, new_document, present_targets, prune, update
from proxy.client.kubeconfig_file import _yaml
from proxy.routing.target import ClusterRef

PROD, DEV = ClusterRef("team-a", "prod"), ClusterRef("team-b", "dev")
EXEC = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "/bin/mosk-proxy",
    "args": ["token"],
    "provideClusterInfo": False,
}


def wanted(*targets, entry=ENTRY, authority="Q0E=", namespace=None, plugin=EXEC):
    return Wanted(entry, targets, plugin, authority, namespace)


def text_of(document) -> str:
    text = io.StringIO()
    _yaml().dump(document, text)
    return text.getvalue()


def plain(document) -> dict:
    return YAML(typ="safe").load(text_of(document))


def test_a_new_file_is_complete():
    document = new_document()
    assert update(document, wanted(PROD, None, namespace="on")) == ("mosk-entry.example-team-a-prod", "mosk-entry.example-kaas")
    assert text_of(document) == (
        """\
apiVersion: v1
kind: Config
clusters:
- name: mosk-entry.example-team-a-prod
  cluster:
    server: https://entry.example/k8s/team-a/prod
    certificate-authority-data: Q0E=
- name: mosk-entry.example-kaas
  cluster:
    server: https://entry.example/kaas
    certificate-authority-data: Q0E=
contexts:
- name: mosk-entry.example-team-a-prod
  context:
    cluster: mosk-entry.example-team-a-prod
    user: mosk-entry.example
- name: mosk-entry.example-kaas
  context:
    namespace: "on"
    cluster: mosk-entry.example-kaas
    user: mosk-entry.example
users:
- name: mosk-entry.example
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: /bin/mosk-proxy
      args:
      - token
      provideClusterInfo: false
current-context: mosk-entry.example-team-a-prod
"""
    )


def test_writing_again_changes_nothing():
    document = new_document()
    update(document, wanted(PROD, None))
    before = text_of(document)
    assert update(document, wanted(PROD, None))
    assert prune(document, ENTRY, (PROD, None)) == ()
    assert text_of(document) == before


def test_what_the_user_has_added_to_ours_stays_and_what_is_ours_is_brought_up_to_date():
    document = new_document()
    update(document, wanted(PROD, authority=None))
    document["contexts"][0]["context"]["namespace"] = "kube-system"
    document["clusters"][0]["cluster"]["tls-server-name"] = "x"
    document["users"][0]["user"]["exec"]["env"] = [{"name": "A", "value": "b"}]
    document["current-context"] = "other"
    update(document, wanted(PROD, DEV, plugin=EXEC | {"args": ["token", "x"]}))
    found = plain(document)
    assert found["contexts"][0]["context"]["namespace"] == "kube-system"
    assert found["clusters"][0]["cluster"] == {
        "server": "https://entry.example/k8s/team-a/prod",
        "tls-server-name": "x",
        "certificate-authority-data": "Q0E=",
    }
    assert found["users"][0]["user"]["exec"] | {"env": 0} == EXEC | {"args": ["token", "x"], "env": 0}
    assert found["users"][0]["user"]["exec"]["env"] == [{"name": "A", "value": "b"}]
    assert found["current-context"] == "other"


def test_a_context_that_was_renamed_is_the_same_still():
    document = new_document()
    update(document, wanted(PROD))
    document["contexts"][0]["name"] = document["current-context"] = "prod"
    assert update(document, wanted(PROD)) == ("prod",)
    assert len(document["contexts"]) == 1
    assert prune(document, ENTRY, ()) == ("prod",)
    assert plain(document)["current-context"] == ""


def test_a_context_of_another_user_at_our_cluster_is_theirs():
    document = new_document()
    update(document, wanted(PROD))
    document["contexts"].insert(
        0, CommentedMap(name="admin", context=CommentedMap({"cluster": "mosk-entry.example-team-a-prod", "user": "admin"}))
    )
    assert update(document, wanted(PROD)) == ("mosk-entry.example-team-a-prod",)
    assert prune(document, ENTRY, ()) == ("mosk-entry.example-team-a-prod",)
    found = plain(document)
    assert found["contexts"] == [{"name": "admin", "context": {"cluster": "mosk-entry.example-team-a-prod", "user": "admin"}}]
    assert len(found["clusters"]) == 1


def test_two_clusters_whose_names_read_alike_are_kept_apart():
    one, other = ClusterRef("a", "b-c"), ClusterRef("a-b", "c")
    document = new_document()
    names = update(document, wanted(one, other))
    assert names[0] == "mosk-entry.example-a-b-c"
    assert names[1].startswith("mosk-entry.example-a-b-c-")
    assert update(document, wanted(other, one)) == (names[1], names[0])
    assert prune(document, ENTRY, (other,)) == (names[0],)
    assert update(document, wanted(other)) == (names[1],)
    assert plain(document)["clusters"][0]["cluster"]["server"] == "https://entry.example/k8s/a-b/c"


@pytest.mark.parametrize("section", ["clusters", "contexts"])
def test_a_name_that_somebody_else_uses_is_left_to_them(section):
    document = new_document()
    document[section] = _yaml().load('[{name: "mosk-entry.example-team-a-prod", x: 1}]')
    (name,) = update(document, wanted(PROD))
    assert name.startswith("mosk-entry.example-team-a-prod-")
    assert plain(document)[section][0] == {"name": "mosk-entry.example-team-a-prod", "x": 1}


FOREIGN = """\
clusters:
- name: minikube
  cluster: {server: https://127.0.0.1:6443}
- name: mosk-entry.example-by-hand
  cluster: {server: https://entry.example/}
- name: mosk-entry.example-deeper
  cluster: {server: https://entry.example/k8s/a/b/c}
- name: copied
  cluster: {server: https://entry.example/k8s/team-a/prod}
- name: mosk-entry.example-x
  cluster: {server: https://entry.example:8443/k8s/team-a/prod}
- name: mosk-entry.example-8443-x
  cluster: {server: https://entry.example:8443/k8s/team-b/dev}
- {name: mosk-entry.example-without}
- {name: mosk-entry.example-odd, cluster: 7}
contexts:
- name: minikube
  context: {cluster: minikube, user: minikube}
- {name: odd}
"""


def test_only_what_is_ours_is_pruned():
    document = _yaml().load(FOREIGN)
    before = plain(document)
    update(document, wanted(PROD, DEV, None))
    assert present_targets(document, ENTRY) == {PROD, DEV, None}
    assert prune(document, ENTRY, (PROD,)) == ("mosk-entry.example-team-b-dev", "mosk-entry.example-kaas")
    assert prune(document, ENTRY, ()) == ("mosk-entry.example-team-a-prod",)
    after = plain(document)
    assert (after["clusters"], after["contexts"]) == (before["clusters"], before["contexts"])
    assert present_targets(document, Entry.parse("https://entry.example:8443")) == {DEV}


@pytest.mark.parametrize("empty", ["", "null", "~", "[]", "# nothing"])
def test_empty_sections_are_filled(empty):
    document = _yaml().load(f"kind: Config\nclusters: {empty}\ncontexts: {empty}\nusers: {empty}\ncurrent-context: \n")
    update(document, wanted(PROD))
    found = plain(document)
    assert [len(found[name]) for name in ("clusters", "contexts", "users")] == [1, 1, 1]
    assert found["current-context"] == "mosk-entry.example-team-a-prod"
    assert "  - name" not in text_of(document)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("clusters: 7", "clusters is not a list"),
        ("contexts: {a: b}", "contexts is not a list"),
        ('users: "null"', "users is not a list"),
        ("clusters: [7]", r"clusters\[0\] has no name"),
        ("contexts: [{name: a}, {context: {}}]", r"contexts\[1\] has no name"),
        ("users: [{name: [x]}]", r"users\[0\] has no name"),
    ],
)
def test_what_is_no_kubeconfig_is_told(text, problem):
    with pytest.raises(ClientError, match=f"^is not a kubeconfig: {problem}$"):
        update(_yaml().load(text), wanted(PROD))


def test_nothing_wanted_adds_nothing():
    document = new_document()
    assert update(document, wanted()) == ()
    assert not document["users"]
    assert "current-context" not in document

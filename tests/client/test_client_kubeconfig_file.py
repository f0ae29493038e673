import difflib
import stat
import threading
import time
from pathlib import Path

import pytest
from client_issuer import ENTRY
from ruamel.yaml import YAML

from proxy.client.errors import ClientError
from proxy.client.kubeconfig_document import Wanted, prune, update
from proxy.client.kubeconfig_file import edit, kubeconfig_file
from proxy.routing.target import ClusterRef

WANTED = Wanted(ENTRY, (ClusterRef("team-a", "prod"),), {"command": "/bin/mosk-proxy"}, None)


def add(document):
    return update(document, WANTED)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("variable", "file"),
    [
        ({}, "/home/ann/.kube/config"),
        ({"KUBECONFIG": ""}, "/home/ann/.kube/config"),
        ({"KUBECONFIG": "/a/b"}, "/a/b"),
        ({"KUBECONFIG": "::/a/b:/c"}, "/a/b"),
    ],
)
def test_the_file_is_the_first_of_kubeconfig(variable, file):
    assert kubeconfig_file(variable, Path("/home/ann")) == Path(file)


def test_a_new_file_is_for_its_owner_alone(tmp_path):
    path = tmp_path / ".kube" / "config"
    assert edit(path, add) == (("mosk-entry.example-team-a-prod",), True)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert names(path.parent) == ["config"]


# What others write, in every spelling that YAML 1.1 (kubectl's) and 1.2 read differently.
OTHERS = """\
# my clusters
apiVersion: v1   # said kubectl
clusters:
# the first
- cluster:
    certificate-authority: /home/ann/.minikube/ca.crt
    extensions:
    - extension:
        last-update: Mon, 02 Jan 2006 15:04:05 UTC
        when: 2024-01-01T00:00:00Z
        mode: 0777
        octal: 0o17
        version: 1.10
        exponent: 1e3
        yes_: yes
        nothing: ~
        null_: null
        true_: True
        time: 12:30:00
        quoted: "on"
        other: 'no'
        multi: |
          a
            b
        folded: >-
          aaa bbb
          ccc
      name: cluster_info
    server: https://192.168.49.2:8443
  name: "minikube"   # trailing
contexts:
- context: {cluster: minikube, user: minikube, namespace: "123"}
  name: minikube
current-context: minikube
kind: Config
preferences: {colors: true}
users:
- &base
  name: minikube
  user:
    client-certificate: /home/ann/.minikube/client.crt
    client-key: /home/ann/.minikube/client.key
- <<: *base
  name: copy
- name: plugin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args: null
      command: aws
      env:
      - {name: AWS_PROFILE, value: "0123"}
      interactiveMode: IfAvailable
unknown-to-everyone: {a: 1, b: [x, y]}
# the end
"""


def test_what_others_have_written_stays_byte_by_byte(tmp_path):
    path = tmp_path / "config"
    path.write_text(OTHERS)
    path.chmod(0o640)
    assert edit(path, add)[1]
    after = path.read_text()
    changed = [line for line in difflib.ndiff(OTHERS.splitlines(), after.splitlines()) if not line.startswith("  ")]
    assert {line[0] for line in changed} == {"+"}
    assert len([line for line in changed if "mosk-entry.example" in line]) == 5
    assert (mode(path), mode(tmp_path / "config.bak")) == (0o640, 0o640)
    assert (tmp_path / "config.bak").read_text() == OTHERS
    assert edit(path, lambda document: prune(document, ENTRY, ()))[1]
    assert "mosk-entry.example-team-a-prod" not in path.read_text()


def test_a_file_in_json_stays_readable_as_such_to_yaml(tmp_path):
    path = tmp_path / "config"
    path.write_text(
        '{"apiVersion": "v1", "kind": "Config",\n\t"clusters": [{"name": "x", "cluster": {"server": "https://x"}}], "users": []}'
    )
    edit(path, add)
    found = YAML(typ="safe").load(path)
    assert [cluster["name"] for cluster in found["clusters"]] == ["x", "mosk-entry.example-team-a-prod"]
    assert found["users"][0]["user"]["exec"] == {"command": "/bin/mosk-proxy"}


def test_without_a_change_nothing_is_written(tmp_path):
    path = tmp_path / "config"
    edit(path, add)
    before = path.stat()
    assert edit(path, add) == (("mosk-entry.example-team-a-prod",), False)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not (tmp_path / "config.bak").exists()


def test_a_link_is_followed(tmp_path):
    place = tmp_path / "elsewhere" / "real"
    place.parent.mkdir()
    place.write_text("kind: Config\n")
    link = tmp_path / "config"
    link.symlink_to(place)
    edit(link, add)
    assert link.is_symlink()
    assert "mosk-entry.example" in place.read_text()
    assert (tmp_path / "elsewhere" / "real.bak").read_text() == "kind: Config\n"
    assert names(tmp_path) == ["config", "elsewhere"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [", "cannot be read, and is left as it is: line "),
        (b"a: 1\na: 2\n", "cannot be read, and is left as it is: line 2: found duplicate key"),
        (b"\xff\xfe\xfa", "cannot be read, and is left as it is"),
        (b"a: !!python/object:os.system x\n--- \nb: 1\n", "cannot be read, and is left as it is"),
        (b"[" * 400, "cannot be read, and is left as it is"),
        (b"- a\n- b\n", "is not a kubeconfig, and is left as it is"),
        (b"just text", "is not a kubeconfig, and is left as it is"),
        (b"kind: Pod\n", "is not a kubeconfig, and is left as it is"),
        (b"clusters: 7\n", "is not a kubeconfig: clusters is not a list"),
    ],
)
def test_a_file_that_is_not_understood_is_left_as_it_is(tmp_path, content, reason):
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(ClientError) as caught:
        edit(path, add)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    assert names(tmp_path) == ["config"]


@pytest.mark.parametrize("content", [b"", b"\n", b"# nothing\n", b"---\n", b"null\n"])
def test_an_empty_file_is_filled(tmp_path, content):
    path = tmp_path / "config"
    path.write_bytes(content)
    edit(path, add)
    assert YAML(typ="safe").load(path)["kind"] == "Config"


def test_a_file_that_cannot_be_read_is_an_error_of_the_system(tmp_path):
    (tmp_path / "config").mkdir()
    with pytest.raises(IsADirectoryError):
        edit(tmp_path / "config", add)
    assert names(tmp_path) == ["config"]


def test_another_writer_is_waited_for_and_loses_nothing(tmp_path):
    path, lock = tmp_path / "config", tmp_path / "config.lock"
    lock.touch()

    def write_and_unlock():
        time.sleep(0.1)
        path.write_text("kind: Config\nextra: 1\n")
        lock.unlink()

    thread = threading.Thread(target=write_and_unlock)
    thread.start()
    edit(path, add)
    thread.join()
    assert YAML(typ="safe").load(path)["extra"] == 1
    assert not lock.exists()


def test_a_lock_that_stays_is_named(tmp_path):
    lock = tmp_path / "config.lock"
    lock.touch()
    with pytest.raises(ClientError) as caught:
        edit(tmp_path / "config", add, seconds=0.05)
    assert str(caught.value) == f"{lock}: another program is changing the kubeconfig; if none is, remove that file"
    assert lock.exists()


def test_the_lock_is_held_while_the_file_is_changed(tmp_path):
    seen = []
    edit(tmp_path / "config", lambda document: seen.append((tmp_path / "config.lock").exists()))
    assert seen == [True]
    with pytest.raises(RuntimeError):
        edit(tmp_path / "config", lambda document: (_ for _ in ()).throw(RuntimeError))
    assert not (tmp_path / "config.lock").exists()

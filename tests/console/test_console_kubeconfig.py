"""Kubeconfigs as a reader of YAML and kubectl see them."""

import base64
import shutil
import subprocess
import time

import pytest
from console_site import HOSTILE, facts
from ruamel.yaml import YAML

from proxy.client.entry import Entry
from proxy.client.kubeconfig_document import Wanted, new_document, update
from proxy.client.kubeconfig_user import exec_plugin
from proxy.client.logins import Login
from proxy.console.kubeconfig import document, entry_label
from proxy.routing.target import ClusterRef

TARGETS = [None, ClusterRef("a", "b-c"), ClusterRef("a-b", "c"), ClusterRef("on", "1e3")]
PEM = "-----BEGIN CERTIFICATE-----\nTm90aGluZw==\n-----END CERTIFICATE-----\n"


def read(text, version=(1, 2)):
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return yaml.load(text)


@pytest.mark.parametrize(
    "url", ["https://entry.example", "https://entry.example:8443", "https://[2001:db8::1]:8443", "https://192.0.2.1"]
)
def test_the_entry_is_called_as_the_command_line_calls_it(url):
    assert entry_label(url) == Entry.parse(url).label


@pytest.mark.parametrize("plugin", ["mosk-proxy", "kubelogin"])
def test_it_says_what_the_command_line_writes(plugin):
    site = facts(public_ca=PEM)
    entry = Entry.parse(site.public_url)
    login = Login(entry, site.tokens.issuer, site.tokens.client_id, site.tokens.scopes, None, "file", None)
    written = new_document()
    update(written, Wanted(entry, TARGETS, exec_plugin(login, plugin, ["mosk-proxy"]), base64.b64encode(PEM.encode()).decode()))
    found = read(document(site, TARGETS, plugin))
    for name in ("clusters", "contexts", "current-context"):
        assert found[name] == written[name]
    stanza = written["users"][0]["user"]["exec"]
    stanza["provideClusterInfo"] = False
    assert found["users"] == [{"name": "mosk-entry.example", "user": {"exec": stanza}}]


def test_names_stay_apart_and_text_stays_text_in_either_yaml():
    for version in ((1, 1), (1, 2)):
        found = read(document(facts(), [*TARGETS, ClusterRef(HOSTILE, "x\n- y: &z")], "mosk-proxy"), version)
        names = [item["name"] for item in found["contexts"]]
        assert len(set(names)) == len(TARGETS) + 1
        assert all(isinstance(name, str) for name in names)
        assert found["clusters"][-1]["cluster"]["server"] == f"https://entry.example/k8s/{HOSTILE}/x\n- y: &z"


def test_it_tells_how_to_sign_in():
    first = document(facts(), [None], "mosk-proxy").partition("\n")[0]
    assert (
        first
        == "# Sign in once: mosk-proxy login https://entry.example --issuer https://keycloak.example/realms/iam --client-id kaas"
    )
    assert not document(facts(tokens=None), [None], "mosk-proxy").startswith("#")


def test_an_authority_of_the_issuer_goes_to_kubelogin():
    site = facts()
    tokens = type(site.tokens)(site.tokens.issuer, "kaas", authority=PEM)
    arguments = read(document(facts(tokens=tokens), [None], "kubelogin"))["users"][0]["user"]["exec"]["args"]
    assert arguments[-1] == f"--certificate-authority-data={base64.b64encode(PEM.encode()).decode()}"


def test_a_thousand_clusters_are_written_at_once():
    targets = [ClusterRef(f"p{number % 40}", f"c{number}") for number in range(1000)]
    began = time.process_time()
    document(facts(public_ca=PEM), targets, "mosk-proxy")
    assert time.process_time() - began < 0.5


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")
def test_kubectl_reads_it(tmp_path):
    file = tmp_path / "config"
    file.write_text(document(facts(public_ca=PEM), TARGETS, "mosk-proxy"))
    shown = subprocess.run(
        ["kubectl", "--kubeconfig", file, "config", "get-contexts", "-o", "name"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert sorted(shown.stdout.split()) == [
        "mosk-entry.example-a-b-c",
        "mosk-entry.example-a-b-c-4e8471",
        "mosk-entry.example-kaas",
        "mosk-entry.example-on-1e3",
    ]

"""Peers are started, shown to judge, and ended; configurations say the same to each."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from bench import edge, envoy, kube_oidc_proxy, nginx, oauth2_proxy, peer_aiohttp
from bench.__main__ import app
from bench.identities import ISSUER, Issuer, write_certificate
from bench.peers import Broken, Missing, Peer, Probe, Running, check, running
from bench.processes import upstream
from bench.report import read
from bench.site import Cluster, Site
from bench.upstream import body_of

CLUSTERS = (Cluster("a", "one"), Cluster("b", "two", streams=True))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, CLUSTERS, 1234, tmp_path / "keys.json", *write_certificate(tmp_path), 5678)


def test_a_token_is_what_the_key_set_verifies() -> None:
    issuer = Issuer()
    key = jwt.PyJWKSet.from_json(issuer.key_set())["bench-1"]
    claims = jwt.decode(issuer.token("ann", ["r"]), key, algorithms=["RS256"], audience="k8s", issuer=ISSUER)
    assert claims["preferred_username"] == "ann"
    assert claims["iam_roles"] == ["r"]
    assert issuer.token("ann", []) != issuer.token("ann", []), "each token is its own"


def test_the_public_key_is_that_of_the_key_set(tmp_path: Path) -> None:
    issuer = Issuer("https://localhost:1")
    file = issuer.write_keys(tmp_path)
    assert file.read_text() == issuer.key_set()
    key = file.with_suffix(".pem").read_text()
    assert jwt.decode(issuer.token("ann", []), key, algorithms=["RS256"], audience="k8s")["iss"] == "https://localhost:1"


def test_all_proxies_are_given_the_same_clusters(site: Site) -> None:
    ours = edge.configuration(site, 1, tls=True)
    assert [(entry["namespace"], entry["name"]) for entry in ours["clusters"]] == [("a", "one"), ("b", "two")]
    theirs = envoy.configuration(site, 1, tls=True)["static_resources"]
    assert [cluster["name"] for cluster in theirs["clusters"]] == ["/k8s/a/one", "/k8s/b/two"]
    assert [route["match"] for route in envoy.manager(site, 1)["route_config"]["virtual_hosts"][0]["routes"]] == [
        {"prefix": "/k8s/a/one/"},
        {"prefix": "/k8s/b/two/"},
    ]

    assert [
        (entry["path"], entry["uri"]) for entry in oauth2_proxy.configuration(site, 1, tls=True)["upstreamConfig"]["upstreams"]
    ] == [("^/k8s/a/one/(.*)$", "http://127.0.0.1:1234"), ("^/k8s/b/two/(.*)$", "http://127.0.0.1:5678")]
    assert peer_aiohttp.configuration(site, 1, tls=True).clusters == {
        "/k8s/a/one": (CLUSTERS[0].role, "http://127.0.0.1:1234"),
        "/k8s/b/two": (CLUSTERS[1].role, "http://127.0.0.1:5678"),
    }
    floor = nginx.configuration(site, 1, tls=True)
    assert "location /k8s/a/one/ { proxy_pass http://u1234/; }" in floor
    assert "upstream u5678 { server 127.0.0.1:5678;" in floor


def test_proxies_that_judge_are_given_the_roles(site: Site) -> None:
    roles = [cluster.role for cluster in CLUSTERS]
    assert oauth2_proxy.provider(site)["allowedGroups"] == roles
    policies = envoy.rbac(site)["typed_config"]["rules"]["policies"]
    assert list(policies) == [cluster.prefix for cluster in CLUSTERS]


def test_several_workers_are_asked_for_by_one_key(site: Site) -> None:
    def written(workers: int) -> dict[str, object]:
        edge.command(site, 1, workers, tls=False)
        return json.loads((site.folder / "mosk-proxy-1.yaml").read_text())

    two = written(2)
    assert two["workers"] == 2
    assert "workers" not in written(1)
    assert edge.peer(site, workers=2).name == "mosk-proxy x2"


def test_a_binary_that_is_not_given_is_missed() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from bench import kube_oidc_proxy as k; k.program()"],
        capture_output=True,
        text=True,
        check=False,
        cwd=edge.ROOT,
        env={kube_oidc_proxy.VARIABLE: "/nonexistent"},
    )
    assert f"Missing: {kube_oidc_proxy.VARIABLE} names no program: /nonexistent" in said.stderr


def test_the_issuer_of_our_own_publishes_its_keys(tmp_path: Path) -> None:
    certificate_file, key_file = write_certificate(tmp_path)
    with kube_oidc_proxy.issuer(certificate_file, key_file) as (url, documents):
        issuer = Issuer(url)
        kube_oidc_proxy.fill(documents, url, issuer.key_set())
        peer = Running("issuer", int(url.rpartition(":")[2]), 0, certificate_file)
        check(peer, [Probe("keys", "/keys", None, 200)], issuer.key_set().encode())
        check(peer, [Probe("nothing else", "/key", None, 404)], b"")
        found = documents["/.well-known/openid-configuration"]
        check(peer, [Probe("discovery", "/.well-known/openid-configuration", None, 200)], found)
        assert json.loads(found)["issuer"] == url


def test_kube_oidc_proxy_stands_before_one_server_behind_tls(site: Site) -> None:
    command = kube_oidc_proxy.command(Path("/bin/true"), site, 1, Path("ca.crt"), tls=True)
    assert f"--oidc-issuer-url={site.issuer}" in command
    assert kube_oidc_proxy.kubeconfig(site)["clusters"][0]["cluster"]["server"] == "http://127.0.0.1:1234"
    with pytest.raises(Missing, match="TLS only"):
        kube_oidc_proxy.command(Path("/bin/true"), site, 1, Path("ca.crt"), tls=False)


def test_a_machine_without_the_peers_measures_the_rest(tmp_path: Path) -> None:
    """Neither Go nor nginx, and no binary given: each is named, in the output and in the JSON, and the exit status is 0."""
    asked = [
        "--scenario",
        "one",
        "--listener",
        "plain",
        "--rounds",
        "1",
        "--seconds",
        "0.05",
        "--results",
        str(tmp_path / "kept"),
    ]
    peers = [option for name in ("mosk-proxy", "oauth2-proxy", "kube-oidc-proxy") for option in ("--peer", name)]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", *asked, *peers],
        capture_output=True,
        text=True,
        check=False,
        cwd=edge.ROOT,
        env={"PATH": "/nonexistent", "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert ended.returncode == 0, ended.stderr
    assert "not measured: oauth2-proxy: Go is not installed" in ended.stdout
    [file] = (tmp_path / "kept").iterdir()
    kept = read(file)
    assert kept.missing["kube-oidc-proxy"] == f"no binary is given by {kube_oidc_proxy.VARIABLE}"
    assert {sample.peer for sample in kept.samples} == {"mosk-proxy"}


def test_only_the_tls_listener_has_a_certificate(site: Site) -> None:
    assert "tls" not in edge.configuration(site, 1, tls=False)["listen"]
    assert edge.configuration(site, 1, tls=True)["public_url"].startswith("https:")
    [chain] = envoy.configuration(site, 1, tls=False)["static_resources"]["listeners"][0]["filter_chains"]
    assert "transport_socket" not in chain


def test_a_program_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    peer = Peer("p", "1", lambda port, tls: [sys.executable, "-c", "import sys; sys.exit('no such key\\nthe port is taken')"])
    with pytest.raises(Broken, match="ended with status 1: the port is taken"), running(peer, tmp_path / "err", None):
        pass


def test_a_program_that_never_listens_is_ended(tmp_path: Path) -> None:
    started: list[int] = []
    peer = Peer(
        "p", "1", lambda port, tls: [sys.executable, "-c", "import os,time; print(os.getpid(), flush=True); time.sleep(60)"]
    )
    with pytest.raises(Broken, match="not ready"), running(peer, tmp_path / "err", None, patience=0.4):
        pass
    started.append(int((tmp_path / "err").read_text()))
    assert not Path(f"/proc/{started[0]}").exists()


@contextmanager
def direct():
    with upstream() as port:
        yield Running("direct", port, 0)


def test_a_peer_must_answer_each_probe_as_expected() -> None:
    with direct() as peer:
        check(peer, [Probe("good", "/api/v1/a", "t", 200), Probe("not rewritten", "/k8s/a", None, 400)], body_of(1024))
        with pytest.raises(Broken, match="no token: status 200 instead of 401"):
            check(peer, [Probe("no token", "/api/v1/a", None, 401)], body_of(1024))
        with pytest.raises(Broken, match="good: not the upstream's body"):
            check(peer, [Probe("good", "/api/v1/a", "t", 200)], b"other")


def test_help_has_an_example() -> None:
    said = subprocess.run([sys.executable, "-m", "bench", "--help"], capture_output=True, text=True, check=True, cwd=edge.ROOT)
    assert "python -m bench --scenario one" in said.stdout


@pytest.mark.parametrize("option", ["--scenario", "--peer", "--listener"])
def test_an_unknown_name_is_one_line(option: str) -> None:
    outcome = CliRunner().invoke(app, [option, "nothing"])
    assert outcome.exit_code == 1
    assert outcome.output == "bench: there is no 'nothing'; see --help\n"

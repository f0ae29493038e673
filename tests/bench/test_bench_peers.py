"""Peers are started, shown to judge, and ended; configurations say the same to each."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from bench import edge, envoy
from bench.__main__ import app
from bench.identities import ISSUER, Issuer, write_certificate
from bench.peers import Broken, Peer, Probe, Running, check, running
from bench.processes import upstream
from bench.site import Cluster, Site
from bench.upstream import body_of

CLUSTERS = (Cluster("a", "one"), Cluster("b", "two"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, CLUSTERS, 1234, tmp_path / "keys.json", *write_certificate(tmp_path))


def test_a_token_is_what_the_key_set_verifies() -> None:
    issuer = Issuer()
    key = jwt.PyJWKSet.from_json(issuer.key_set())["bench-1"]
    claims = jwt.decode(issuer.token("ann", ["r"]), key, algorithms=["RS256"], audience="k8s", issuer=ISSUER)
    assert claims["preferred_username"] == "ann"
    assert claims["iam_roles"] == ["r"]
    assert issuer.token("ann", []) != issuer.token("ann", []), "each token is its own"


def test_both_proxies_are_given_the_same_clusters(site: Site) -> None:
    ours = edge.configuration(site, 1, tls=True)
    assert [(entry["namespace"], entry["name"]) for entry in ours["clusters"]] == [("a", "one"), ("b", "two")]
    theirs = envoy.configuration(site, 1, tls=True)["static_resources"]
    assert [cluster["name"] for cluster in theirs["clusters"]] == ["/k8s/a/one", "/k8s/b/two"]
    assert [route["match"] for route in envoy.manager(site, 1)["route_config"]["virtual_hosts"][0]["routes"]] == [
        {"prefix": "/k8s/a/one/"},
        {"prefix": "/k8s/b/two/"},
    ]


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

"""A user's way in front of `mosk-proxy demo`: sign in, kubectl with the exec plugin, refreshes, kubeconfigs, sign out."""

import concurrent.futures
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e_kubectl import NAMES, Outcome, Release
from e2e_login import Browser, Machine, proposed, shown_address
from e2e_servers import ending_all, start
from ruamel.yaml import YAML

pytestmark = pytest.mark.e2e

OLDEST_AND_NEWEST = pytest.mark.parametrize("kubectl_release", [NAMES[0], NAMES[-1]], indirect=True)
TOKEN_SECONDS = 0.15


@dataclass(frozen=True)
class Demo:
    entry: str
    issuer: str
    ca: Path


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with ending_all() as servers:
        server = start("demo", [sys.executable, "-m", "proxy", "demo", "--port", "0"], folder)
        servers.append(server)
        deadline = time.monotonic() + 60
        while not (ready := re.search(r"^ready: (\S+)/ ", server.output, re.MULTILINE)):
            assert server.process.poll() is None, server.errors
            assert time.monotonic() < deadline, server.output
            time.sleep(0.05)
        issuer = re.search(r"^provider +(\S+)$", server.output, re.MULTILINE)
        exported = re.search(r"^ *export KUBECONFIG=(.+)$", server.output, re.MULTILINE)
        assert issuer
        assert exported
        yield Demo(ready[1], issuer[1], Path(*shlex.split(exported[1])).parent / "ca.crt")


@pytest.fixture
def machine(demo: Demo, tmp_path: Path) -> Machine:
    return Machine(tmp_path, demo.entry, demo.issuer, demo.ca)


@pytest.fixture
def signed_in(machine: Machine) -> Callable[..., Outcome]:
    """Sign a sample user in with a browser."""

    def sign_in(user: str, *arguments: str) -> Outcome:
        with machine.signing_in(*arguments) as process:
            browser = Browser(machine.ca)
            browser.open(shown_address(process))
            browser.submit(username=user)
            assert f"You are {user}." in browser.page
            assert browser.url.startswith("http://127.0.0.1:")
            out, err = process.communicate(timeout=30)
            return Outcome(process.returncode, out, err)

    return sign_in


@OLDEST_AND_NEWEST
def test_three_commands_lead_to_the_pods(machine: Machine, signed_in: Callable[..., Outcome], kubectl_release: Release) -> None:
    outcome = signed_in("team-a-writer")
    assert (outcome.status, outcome.err) == (0, "")
    command = proposed(outcome.out)
    assert command == ["kubectl", "--context", machine.context("team-a-prod"), "get", "pods", "-A"]
    kubectl = kubectl_release.program
    assert "Running" in machine.run(kubectl, *command[1:]).out
    assert "Running" in machine.run(kubectl, "get", "pods", "-A").out
    kaas = machine.run(kubectl, "--context", machine.context("kaas"), "get", "clusters,machines")
    assert (kaas.status, kaas.err) == (0, ""), kaas
    assert "prod" in kaas.out
    refused = machine.run(kubectl, "--context", machine.context("kaas"), "-n", "team-b", "get", "machines")
    assert 'User "team-a-writer" cannot list resource "machines"' in refused.err


@OLDEST_AND_NEWEST
def test_many_kubectl_with_an_expired_token_refresh_once(
    machine: Machine, signed_in: Callable[..., Outcome], kubectl_release: Release
) -> None:
    """The provider ends a session whose refresh token comes a second time: nobody would get in any more."""
    signed_in("team-a-writer")
    for _ in range(2):
        before = machine.token()
        machine.age_token()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(machine.run, kubectl_release.program, "get", "pods", "-A") for _ in range(18)]
            tokens = [pool.submit(machine.token) for _ in range(2)]
        assert {(outcome.result().status, outcome.result().err) for outcome in asked} == {(0, "")}
        assert len({token.result() for token in tokens} | {machine.token()}) == 1
        assert machine.token() != before


def test_a_kept_token_costs_kubectl_next_to_nothing(machine: Machine, signed_in: Callable[..., Outcome]) -> None:
    signed_in("team-a-writer")
    durations = []
    for _ in range(7):
        started = time.monotonic()
        machine.token()
        durations.append(time.monotonic() - started)
    assert sorted(durations)[3] < TOKEN_SECONDS, durations


def test_a_machine_without_a_browser(machine: Machine) -> None:
    with machine.signing_in("--device", "--no-kubeconfig") as process:
        browser = Browser(machine.ca)
        browser.open(shown_address(process))
        browser.submit(username="prod-cluster-admin")
        assert "The device is signed in as prod-cluster-admin" in browser.page
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert f"signed in to {machine.entry} as prod-cluster-admin" in out
    assert not machine.kubeconfig.exists()
    assert machine.ours("kubeconfig", "--all").status == 0
    assert machine.run("kubectl", "get", "namespaces").status == 0


def test_a_device_that_is_denied(machine: Machine) -> None:
    with machine.signing_in("--device") as process:
        browser = Browser(machine.ca)
        browser.open(shown_address(process))
        browser.submit(deny="yes")
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "mosk-proxy: the sign-in was refused\n")


def test_an_interrupted_sign_in_ends_quietly(machine: Machine) -> None:
    with machine.signing_in() as process:
        shown_address(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert not machine.kept.exists()


def test_after_signing_out_kubectl_is_told_what_to_do(machine: Machine, signed_in: Callable[..., Outcome]) -> None:
    signed_in("team-a-writer")
    out = machine.ours("logout").out
    assert out == f"signed out of {machine.entry}; {machine.issuer} offers no way to end the session from here\n"
    failed = machine.run("kubectl", "get", "pods")
    assert failed.status != 0
    assert f"mosk-proxy: not signed in to {machine.entry}; run: mosk-proxy login {machine.entry}\n" in failed.err
    again = machine.ours("login", "--no-browser", "--issuer", "https://127.0.0.1:9")
    assert (again.status, again.err.count("\n")) == (1, 1)


@OLDEST_AND_NEWEST
def test_kubectl_config_and_we_lose_nothing_of_each_other(
    machine: Machine, signed_in: Callable[..., Outcome], kubectl_release: Release
) -> None:
    machine.kubeconfig.parent.mkdir()
    machine.kubeconfig.write_text(
        "# mine\nkind: Config\nclusters:\n- name: other  # by hand\n  cluster: {server: https://x}\nunknown: {a: 1}\n"
    )
    signed_in("team-a-writer")
    text = machine.kubeconfig.read_text()
    assert text.startswith("# mine\nkind: Config\nclusters:\n- name: other  # by hand\n")
    assert "unknown: {a: 1}" in text
    assert machine.kubeconfig.with_name("config.bak").read_text().endswith("unknown: {a: 1}\n")

    def set_contexts() -> None:
        for number in range(15):
            command = ("config", "set-context", f"other-{number}", "--cluster=other")
            while (outcome := machine.run(kubectl_release.program, *command)).status:
                assert "config.lock" in outcome.err, outcome
                time.sleep(0.01)

    def write_ours() -> None:
        for number in range(6):
            plugin = ("mosk-proxy", "kubelogin")[number % 2]
            assert machine.ours("kubeconfig", "--cluster", "team-a/prod", "--plugin", plugin).status == 0

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(set_contexts), pool.submit(write_ours)):
            done.result()
    assert machine.ours("kubeconfig", "--all").status == 0
    names = [context["name"] for context in YAML(typ="safe").load(machine.kubeconfig)["contexts"]]
    assert {f"other-{number}" for number in range(15)} <= set(names)
    assert machine.context("team-a-prod") in names
    assert "Running" in machine.run(kubectl_release.program, "--context", machine.context("team-a-prod"), "get", "pods", "-A").out
    assert machine.ours("kubeconfig", "--all").out.startswith(f"{machine.kubeconfig}: nothing to change\n")


@OLDEST_AND_NEWEST
def test_a_kubeconfig_for_kubelogin_is_one_that_kubectl_reads(
    machine: Machine, signed_in: Callable[..., Outcome], kubectl_release: Release
) -> None:
    """Its form only: the plugin cannot be had here."""
    signed_in("team-a-writer", "--no-kubeconfig")
    assert machine.ours("kubeconfig", "--cluster", "kaas", "--plugin", "kubelogin").status == 0
    view = (kubectl_release.program, "config", "view", "-o", "jsonpath={.users[0].user.exec}")
    assert f'"--oidc-issuer-url={machine.issuer}","--oidc-client-id=kaas"' in machine.run(*view).out


@pytest.mark.last
def test_contexts_go_with_their_clusters(machine: Machine, signed_in: Callable[..., Outcome]) -> None:
    outcome = signed_in("kaas-writer")
    assert [name for name in ("team-a-prod", "team-b-dev", "kaas") if machine.context(name) not in outcome.out] == []
    deleted = machine.run(
        "kubectl", "--context", machine.context("kaas"), "-n", "team-b", "delete", "cluster", "dev", "--timeout=20s"
    )
    assert deleted.status == 0, deleted
    assert machine.context("team-b-dev") in machine.kubeconfig.read_text()
    pruned = machine.ours("kubeconfig", "--all", "--prune")
    assert f"  {machine.context('team-b-dev')} (removed)\n" in pruned.out
    names = [context["name"] for context in YAML(typ="safe").load(machine.kubeconfig)["contexts"]]
    assert names == [machine.context("team-a-prod"), machine.context("kaas")]

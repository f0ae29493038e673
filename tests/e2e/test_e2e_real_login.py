"""A user's way with a real Keycloak: its forms in the browser and for devices, its refreshes, its end of sessions; real API servers."""

import concurrent.futures
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from e2e_kubectl import NAMES, Outcome, Release
from e2e_login import Browser, Machine, shown_address
from e2e_world import World

pytestmark = pytest.mark.e2e

OLDEST_AND_NEWEST = pytest.mark.parametrize("kubectl_release", [NAMES[0], NAMES[-1]], indirect=True)


@pytest.fixture
def machine(world: World, tmp_path: Path) -> Machine:
    return Machine(tmp_path, world.door.url, world.keycloak.issuer, world.ca)


@pytest.fixture
def signed_in(world: World, machine: Machine) -> Callable[..., Outcome]:
    """Sign a user of the realm in with a browser."""

    def sign_in(user: str, *arguments: str) -> Outcome:
        with machine.signing_in(*arguments) as process:
            browser = Browser(machine.ca)
            browser.open(shown_address(process))
            browser.submit(username=user, password=user)
            assert f"You are {user}." in browser.page
            out, err = process.communicate(timeout=30)
        world.keycloak.issued |= tokens_of(machine)
        return Outcome(process.returncode, out, err)

    return sign_in


def tokens_of(machine: Machine) -> set[str]:
    tokens = json.loads(machine.kept.read_text())["tokens"]
    return {tokens["id_token"], tokens["refresh_token"]}


def refresh_grant(world: World, refresh_token: str) -> int:
    form = {"grant_type": "refresh_token", "client_id": "kaas", "refresh_token": refresh_token}
    path, kind = "/realms/iam/protocol/openid-connect/token", {"Content-Type": "application/x-www-form-urlencoded"}
    return world.keycloak.api.ask("POST", path, urlencode(form).encode(), kind).status


@OLDEST_AND_NEWEST
def test_from_keycloak_s_form_to_the_pods(
    world: World, machine: Machine, signed_in: Callable[..., Outcome], kubectl_release: Release
) -> None:
    outcome = signed_in("team-a-writer")
    assert (outcome.status, outcome.err) == (0, "")
    for context, resource, found in (
        ("team-a-prod", ("pods", "-n", "way-1"), "web"),
        ("kaas", ("clusters", "-n", "team-a"), "prod"),
    ):
        got = machine.run(kubectl_release.program, "--context", machine.context(context), "get", *resource)
        assert (got.status, got.err) == (0, ""), got
        assert found in got.out
    before = machine.token()
    machine.age_token()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        tokens = {asked.result() for asked in [pool.submit(machine.token) for _ in range(8)]}
    assert len(tokens) == 1
    assert before not in tokens
    world.keycloak.issued |= tokens_of(machine)


def test_from_keycloak_s_page_for_devices(world: World, machine: Machine) -> None:
    with machine.signing_in("--device") as process:
        browser = Browser(machine.ca)
        browser.open(shown_address(process))
        browser.submit(username="prod-cluster-admin", password="prod-cluster-admin")
        browser.submit(accept="Yes")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, ""), err
    world.keycloak.issued |= tokens_of(machine)
    assert f"signed in to {machine.entry} as prod-cluster-admin" in out
    assert machine.context("team-a-prod") in out


def test_signing_out_ends_the_session(world: World, machine: Machine, signed_in: Callable[..., Outcome]) -> None:
    signed_in("team-a-reader")
    refresh_token = json.loads(machine.kept.read_text())["tokens"]["refresh_token"]
    assert refresh_grant(world, refresh_token) == 200
    assert machine.ours("logout").out == f"signed out of {machine.entry}; the session at the issuer is ended\n"
    assert refresh_grant(world, refresh_token) == 400


def test_a_session_that_was_ended_elsewhere_is_told(world: World, machine: Machine, signed_in: Callable[..., Outcome]) -> None:
    signed_in("team-a-user")
    refresh_token = json.loads(machine.kept.read_text())["tokens"]["refresh_token"]
    form = {"client_id": "kaas", "refresh_token": refresh_token}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    ended = world.keycloak.api.ask("POST", "/realms/iam/protocol/openid-connect/logout", urlencode(form).encode(), kind)
    assert ended.status == 204
    assert machine.ours("token").status == 0, "good until it ends"
    machine.age_token()
    told = machine.ours("token")
    assert (told.status, told.out, told.err.count("\n")) == (1, "", 1)
    assert "invalid_grant" in told.err
    assert told.err.endswith(f"; run: mosk-proxy login {machine.entry}\n")

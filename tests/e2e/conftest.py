"""What the end-to-end tests share: real servers started once for all of them, and each kubectl that is found."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from e2e_heartbeats import nodes_alive
from e2e_http import Api
from e2e_keycloak import Keycloak
from e2e_kubectl import FETCHED, INSTALLED, NAMES, Kubectl, Release, release
from e2e_parts import AbsentParts, scripts_folder, tool
from e2e_servers import Server, ending_all, free_port, start, wait_until_ready
from e2e_world import OTHER_SERVICE, SHORT_LIVED, WAYS, ControlPlane, World, furnish, open_door, pods_run, until

_ABSENT = pytest.StashKey[AbsentParts]()
_TEST_SECONDS = 120


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ABSENT] = AbsentParts(is_ci=os.environ.get("CI") == "true")
    config.addinivalue_line("markers", "last: runs behind all other tests, because it looks at what they left")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limit each test's own time, not that of its fixtures, the first of which builds Kubernetes; and put some tests last."""
    mine = [item for item in items if item.get_closest_marker("e2e")]
    for item in mine:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS, func_only=True))
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Name in the last lines what could not be had."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        for line in config.stash[_ABSENT].lines():
            terminal.write_line(line)


@pytest.fixture(scope="session")
def absent(request: pytest.FixtureRequest) -> AbsentParts:
    return request.config.stash[_ABSENT]


@pytest.fixture(scope="session")
def scripts(absent: AbsentParts) -> Path:
    """The folder with the scripts that start real servers."""
    folder = scripts_folder()
    return folder or absent.skip("real servers", "no scripts found; REAL_TOOLS names their folder")


@pytest.fixture(scope="session")
def world(scripts: Path, absent: AbsentParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start everything, side by side where one does not need the other."""
    folder = tmp_path_factory.mktemp("world")
    with ending_all() as servers:
        keycloak_port, child_port, management_port = free_port(2), free_port(), free_port()
        issuer = f"https://127.0.0.1:{keycloak_port}/auth/realms/iam"

        def run(name: str, script: str, *arguments: str) -> Server:
            place = folder / name
            servers.append(start(script, [scripts / script, *arguments, "--dir", str(place)], place))
            return servers[-1]

        keycloak_server = run("keycloak", "keycloak.sh", "--port", str(keycloak_port))
        child_server = run("child", "kubernetes.sh", "--port", str(child_port), "--oidc-issuer", issuer)
        management_server = run(
            "management", "kubernetes.sh", "--no-controllers", "--port", str(management_port), "--oidc-issuer", issuer
        )
        child_url = wait_until_ready(child_server, absent)
        kwok = run("kwok", "kwok.sh", "--cluster", str(folder / "child"), "--port", str(free_port()))
        management_url = wait_until_ready(management_server, absent)
        ca = Path(os.environ.get("REAL_CACHE", Path.home() / ".cache" / "mosk-proxy-real")) / "ca" / "ca.crt"
        child, management = ControlPlane(child_url, folder / "child", ca), ControlPlane(management_url, folder / "management", ca)
        furnish(child, management)
        wait_until_ready(keycloak_server, absent)
        keycloak = Keycloak(Api(f"https://127.0.0.1:{keycloak_port}/auth", ca), issuer)
        keycloak.add_client(SHORT_LIVED, "k8s", **{"access.token.lifespan": "1"})
        keycloak.add_client(OTHER_SERVICE, OTHER_SERVICE)
        wait_until_ready(kwok, absent)
        door = open_door(folder / "door", ca, issuer, child, management)
        servers.append(door.server)
        token = keycloak.token("prod-cluster-admin")
        for plane in (child, management):  # each reads the keys of its issuer ten seconds after a first attempt that failed
            until(lambda url=plane.url: Api(url, ca, token).ask("GET", "/version").status == 200)
        until(partial(pods_run, child))
        with nodes_alive(child.admin):
            yield World(folder, ca, keycloak, keycloak_server, child, management, door)


@pytest.fixture(scope="session", params=NAMES)
def kubectl_release(request: pytest.FixtureRequest, absent: AbsentParts) -> Release:
    """Each kubectl that is installed or can be fetched."""
    name = request.param
    return release(
        name, INSTALLED[name] if name in INSTALLED else tool(request.getfixturevalue("scripts"), FETCHED[name], absent)
    )


@pytest.fixture
def ways(world: World, kubectl_release: Release) -> dict[str, Kubectl]:
    """The same release three ways: straight at the API server, and through both kinds of credential."""
    return {way: world.way(kubectl_release, way) for way in WAYS}


@pytest.fixture(scope="session")
def pairs() -> Iterator[ThreadPoolExecutor]:
    """Threads in which the same command runs two ways at once."""
    with ThreadPoolExecutor(2) as pool:
        yield pool

"""Each kubectl found against the demonstration, as a newcomer starts it: through the proxy it is as straight at its APIs."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e_kubectl import THOROUGH, Kubectl, Release, assert_same
from e2e_servers import ending_all, start
from e2e_verbs import CORE, FURTHER, Verb, attach, attach_with_input, logs_follow
from e2e_world import write_kubeconfig
from ruamel.yaml import YAML

pytestmark = pytest.mark.e2e

NAMESPACES = {"straight": "way-1", "through": "way-2"}
VERBS = [verb for verb in (*CORE, *FURTHER) if verb is not attach_with_input]  # its containers listen to nobody
NEVER_THE_SAME = {logs_follow, attach}


@dataclass(frozen=True)
class Demo:
    """A running demonstration; `examples` are the command lines that it proposes."""

    folder: Path
    kubeconfig: Path
    examples: tuple[str, ...]
    url: str
    straight_url: str
    straight_kubeconfig: Path


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
        exported = re.search(r"^ *export KUBECONFIG=(.+)$", server.output, re.MULTILINE)
        assert exported
        kubeconfig = Path(*shlex.split(exported[1]))
        child = YAML(typ="safe").load(kubeconfig.parent / "mosk-proxy.yaml")["clusters"][0]["api"]
        token = (kubeconfig.parent / child["credential"]["token_file"]).read_text().strip()
        straight = write_kubeconfig(folder / "straight.json", child["url"], kubeconfig.parent / child["ca_file"], token)
        examples = tuple(line.strip() for line in server.output.splitlines() if line.strip().startswith("kubectl "))
        yield Demo(folder, kubeconfig, examples, ready[1], child["url"], straight)
        server.terminate()
        server.wait_until_ended()
        assert (server.process.returncode, server.errors) == (0, "")
        assert not kubeconfig.exists()


@pytest.fixture
def through(demo: Demo, kubectl_release: Release) -> Kubectl:
    """A project's writer, through the proxy."""
    return _kubectl(demo, kubectl_release, "through", demo.kubeconfig, f"{demo.url}/k8s/team-a/prod", "team-a-writer@team-a/prod")


@pytest.fixture
def straight(demo: Demo, kubectl_release: Release) -> Kubectl:
    """The same kubectl with the proxy's own right, at the API itself."""
    return _kubectl(demo, kubectl_release, "straight", demo.straight_kubeconfig, demo.straight_url, "it")


def _kubectl(demo: Demo, release: Release, way: str, kubeconfig: Path, server: str, context: str) -> Kubectl:
    folder = demo.folder / f"{release.name} {way}"
    namespace = NAMESPACES[way]
    kubectl = Kubectl(release, kubeconfig, folder, namespace, {server: "<server>", namespace: "<namespace>"}, context)
    if not folder.exists():
        folder.mkdir()
        kubectl.run("delete", "namespace", namespace, "--ignore-not-found")
        kubectl.ok("create", "namespace", namespace)
        kubectl.ok("run", "web", "--image=any:1", "--port=8080")
        kubectl.ok("wait", "--for=condition=Ready", "pod/web", "--timeout=20s")
    return kubectl


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_verb_is_as_straight_at_the_api(through: Kubectl, straight: Kubectl, verb: Verb, pairs: ThreadPoolExecutor) -> None:
    if through.release.name not in THOROUGH or verb in NEVER_THE_SAME:
        verb(through)  # it looks itself whether the right thing happens
        return
    seen_through, seen_straight = pairs.map(verb, (through, straight))
    assert_same(straight, seen_straight, through, seen_through)


def test_what_the_demonstration_proposes_does_what_it_says(demo: Demo, kubectl_release: Release) -> None:
    assert len(demo.examples) >= 4
    for example in demo.examples:
        words = shlex.split(example, comments=True)
        ended = subprocess.run(
            [kubectl_release.program, *words[1:]],
            env={"KUBECONFIG": str(demo.kubeconfig), "HOME": str(demo.folder), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if "# refused" in example:
            assert (ended.returncode, ended.stdout) == (1, ""), example
            assert re.search(r'User "[a-z-]+" cannot .* is granted by m:', ended.stderr), ended.stderr
        else:
            assert (ended.returncode, ended.stderr) == (0, ""), example
            assert len(ended.stdout.splitlines()) > 1

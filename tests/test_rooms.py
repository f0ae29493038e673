"""The rooms of docs/architecture.md, held by looking at what is really there."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PURE = next(contract for contract in CONTRACTS if contract["name"] == "pure rooms touch no input or output")

# Modules and whole packages without a test file of their own, and why. A package stands for all that is in it.
WITHOUT_A_MIRROR = {
    "proxy/__main__.py": "one call; the tests of the command line start it",
    "proxy/errors.py": "classes without behaviour; what they turn into is tested in edge/answers",
    "proxy/console/visit.py": "values without behaviour",
    "proxy/directory/upstream.py": "values without behaviour",
    "proxy/discovery/settings.py": "values without behaviour",
    "proxy/edge/verdict.py": "values without behaviour",
    "proxy/edge/visit.py": "values without behaviour",
    "proxy/identity/principal.py": "values without behaviour",
    "proxy/policy/decision.py": "values without behaviour",
    "proxy/routing/target.py": "values without behaviour",
    "proxy/app/working.py": "the life of a worker; tests/app/test_app_supervising.py starts and ends it",
    "proxy/app/serving.py": "the life of the process; tests/cli/test_cli_serve.py starts and ends it",
    "proxy/app/signing_in.py": "joins sessions, sign-in and site; tests/edge/test_edge_browser.py and the demonstration's sign in by it",
    "proxy/app/site.py": "every door of tests/edge_door.py is built by it, and its reloads are in tests/edge/test_edge_gateway.py",
    "proxy/edge/transaction.py": "joins the gateway, the connection and the record, each with its own file of transcripts",
    "proxy/issuers/settings.py": "values without behaviour",
    "proxy/sessions/settings.py": "values without behaviour",
    "proxy/signin/outcomes.py": "values without behaviour",
    "proxy/signin/settings.py": "values without behaviour",
    "proxy/sessions/redis_scripts.py": "the steps of the Redis store, whose tests run them in a real server",
    "proxy/sessions/sqlite_statements.py": "the statements of the SQLite store, whose tests run them",
    "proxy/demo": "stand-ins for other people's servers: their clients test them, kubectl and the proxy",
}

IMPORT_EACH = """
import importlib, json, sys
modules, forbidden = json.load(sys.stdin)
forbidden = set(forbidden)
loaded, guilty = forbidden & sys.modules.keys(), {}
assert not loaded, loaded
for module in modules:
    importlib.import_module(module)
    for name in forbidden & sys.modules.keys() - loaded:
        loaded.add(name)
        guilty[name] = module
print(json.dumps(guilty))
"""


def modules_of(room: str) -> list[str]:
    path = ROOT / room.replace(".", "/")
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]


@pytest.mark.parametrize("room", PURE["source_modules"])
def test_a_pure_room_loads_nothing_that_touches_the_world(room):
    """The import contracts look at our own imports alone; a library may bring a socket along just as well."""
    modules = modules_of(room)
    assert modules
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_EACH],
        input=json.dumps([modules, PURE["forbidden_modules"]]),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {}, "forbidden module: the first of ours that loaded it"


def mirror(module: Path) -> Path:
    """`proxy/x/y.py` is tested by `tests/x/test_x_y.py`: the room is in the name because pytest wants each name once."""
    parts = module.relative_to("proxy").with_suffix("").parts
    return Path("tests", *parts[:-1], f"test_{'_'.join(parts)}.py")


def modules_with_code() -> list[Path]:
    return sorted(file.relative_to(ROOT) for file in (ROOT / "proxy").rglob("*.py") if file.name != "__init__.py")


def is_excepted(module: Path) -> bool:
    return any(str(path) in WITHOUT_A_MIRROR for path in (module, *module.parents))


def test_each_module_has_a_test_file_of_its_name():
    missing = [
        f"{module}: no {mirror(module)}"
        for module in modules_with_code()
        if not is_excepted(module) and not (ROOT / mirror(module)).exists()
    ]
    assert missing == [], "write them, or say in WITHOUT_A_MIRROR why not"


@pytest.mark.parametrize("path", WITHOUT_A_MIRROR)
def test_no_exception_is_left_over(path):
    assert (ROOT / path).exists()
    assert not path.endswith(".py") or not (ROOT / mirror(Path(path))).exists()


def test_each_test_file_has_a_name_of_its_own():
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))

"""The documentation and the sample cannot fall behind the keys."""

import json
import re
import shutil
from pathlib import Path

import pytest
from pydantic import BaseModel

from proxy.settings import load, rooms
from proxy.settings.keys import keys, names_below

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(?P<key>[^`]+)` \| (?P<default>[^|]+) \| (?P<text>.+) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = [row for table in text.split("| key | default | meaning |")[1:] for row in ROW.finditer(table.partition("\n\n")[0])]
    return {row["key"]: (row["default"], row["text"]) for row in rows}


def documented_path(path: str) -> str:
    return re.sub(r"^.*?(?:\w+_)?credential\.", "credential.", path)


def shown(default: object) -> str:
    if isinstance(default, BaseModel) and not hasattr(default, "kind"):
        return "block"
    return f"`{in_yaml(default)}`"


def in_yaml(default: object) -> str:
    match default:
        case None | True | False | "":
            return json.dumps(default)
        case BaseModel():
            return f"{{{', '.join(f'{name}: {value}' for name, value in default.model_dump().items())}}}"
        case tuple():
            return f"[{', '.join(default)}]"
        case _:
            return str(default)


def test_every_key_has_its_text_and_no_text_is_without_its_key(documented):
    assert set(documented) == {documented_path(key.path) for key in keys()}
    assert all(len(text) > 5 for _, text in documented.values())


def test_the_documented_defaults_are_the_real_ones(documented):
    expected = {documented_path(key.path): "required" if key.is_required else shown(key.default) for key in keys()}
    assert {path: default for path, (default, _) in documented.items()} == expected


def test_the_names_below_a_path_are_known():
    assert names_below("listen.tls") == ("certificate_file", "key_file")
    assert names_below("clusters[].stacklight.<name>") == ("url", "ca_file", "ca_data", "keep_prefix", "credential")
    assert set(names_below("management.credential")) >= {"kind", "audience", "token_file", "user_header"}
    assert names_below("nowhere") == ()


def test_the_sample_configuration_loads(folder):
    for name in ("keycloak-ca.crt", "mgmt-ca.crt", "prod-ca.crt"):
        shutil.copy(folder / "ca.crt", folder / name)
    shutil.copy(folder / "proxy.token", folder / "prod-proxy.token")
    shutil.copy(ROOT / "config" / "mosk-proxy.yaml", folder)
    settings = load(folder / "mosk-proxy.yaml", {})
    assert [upstream.name for upstream in rooms.directory(settings)] == [
        "kaas",
        "k8s/team-a/prod",
        "sl/team-a/prod/grafana",
        "sl/team-a/prod/prometheus",
        "sl/team-a/prod/alertmanager",
    ]

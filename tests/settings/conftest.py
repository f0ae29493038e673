import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.demo.certificates import CertificateAuthority
from proxy.settings import Settings, SettingsError, load


@pytest.fixture(scope="session")
def material(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    authority = CertificateAuthority(folder)
    authority.issue("tls")
    authority.issue("other")
    (folder / "proxy.token").write_text("eyJ.own.token\n")
    return folder


@pytest.fixture
def folder(tmp_path, material) -> Path:
    """Holds ca.crt, tls.crt, tls.key, other.crt, other.key and proxy.token."""
    return Path(shutil.copytree(material, tmp_path / "etc"))


@pytest.fixture
def read(folder) -> Callable[[str], Settings]:
    """Loads a text as the configuration file of `folder`, with one environment variable."""

    def read_text(text: str) -> Settings:
        file = folder / "mosk-proxy.yaml"
        file.write_text(text)
        return load(file, {"REALM": "iam", "EMPTY": ""})

    return read_text


@pytest.fixture
def problems(read) -> Callable[[str], list[str]]:
    """Loads a text that must not load, and returns its problems as `path: message`."""

    def refused(text: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            read(text)
        return [f"{path}: {message}" for path, message in caught.value.problems]

    return refused

"""What a pool is made from."""

from pathlib import Path

import pytest

from proxy.app.pools import Material, read_material
from proxy.directory.upstream import Impersonate, NoCredential, PassToken, StaticToken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("token", "crt", "key", "ca"):
        (tmp_path / name).write_text(f"{name}\n")
    return tmp_path


def test_a_credential_is_its_files_contents(folder: Path) -> None:
    token = folder / "token"
    pair = Impersonate(client_certificate_file=folder / "crt", client_key_file=folder / "key")
    assert read_material(NoCredential()) == read_material(PassToken("k8s")) == Material(None, ())
    assert read_material(Impersonate(token)) == read_material(StaticToken(token)) == Material(b"token", ())
    assert read_material(pair) == Material(None, (b"crt\n", b"key\n"))
    assert read_material(pair, folder / "ca") == Material(None, (b"ca\n", b"crt\n", b"key\n"))


def test_a_file_that_is_gone_is_an_oserror(folder: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        read_material(StaticToken(folder / "absent"))

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import TypeAdapter, ValidationError

from proxy.policy.permissions import PermissionsError, shipped_permissions_text
from proxy.settings import files
from proxy.settings.files import check_pair, read, read_permissions


def refusal(kind: Any, given: object, folder: Path) -> str | None:
    try:
        TypeAdapter(kind).validate_python(given, context={"folder": folder})
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return None


def validated(kind: Any, given: object, folder: Path) -> object:
    return TypeAdapter(kind).validate_python(given, context={"folder": folder})


def encrypted(key_file: Path) -> bytes:
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (files.AuthoritiesFile, "ca.crt"),
        (files.CertificateFile, "tls.crt"),
        (files.KeyFile, "tls.key"),
        (files.TokenFile, "proxy.token"),
        (files.SecretFile, "proxy.token"),
    ],
)
def test_a_good_file_becomes_its_absolute_path_and_no_other_may_stand_for_it(folder, kind, name):
    assert validated(kind, name, folder) == folder / name
    assert refusal(kind, "absent", folder) == "not found"
    assert refusal(kind, ".", folder) == "cannot be read: is a directory"
    assert refusal(kind, "", folder) == "cannot be read: is a directory"
    (folder / "empty").write_bytes(b"")
    assert refusal(kind, "empty", folder) is not None


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        (files.AuthoritiesFile, b"hello", "holds no PEM certificate, or a broken one"),
        (
            files.AuthoritiesFile,
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "holds no PEM certificate, or a broken one",
        ),
        (files.CertificateFile, b"hello", "holds no PEM certificate, or a broken one"),
        (files.KeyFile, b"hello", "holds no PEM private key"),
        (files.KeyFile, b"\xff\x00", "holds no PEM private key"),
        (files.TokenFile, b" \n", "is empty"),
        (files.TokenFile, b"two words", "must hold one token in one line of visible ASCII"),
        (files.TokenFile, b"two\nlines", "must hold one token in one line of visible ASCII"),
        (files.TokenFile, b"t\xc3\xb6ken", "must hold one token in one line of visible ASCII"),
        (files.SecretFile, b"\n", "is empty"),
        (files.SecretFile, b"x" * (4 * 1024 * 1024 + 1), "is larger than 4 MiB"),
    ],
)
def test_a_file_that_cannot_serve_says_why(folder, kind, content, message):
    (folder / "given").write_bytes(content)
    assert refusal(kind, "given", folder) == message


def test_the_key_in_place_of_the_certificate_and_the_reverse_are_noticed(folder):
    assert refusal(files.CertificateFile, "tls.key", folder) == "holds no PEM certificate, or a broken one"
    assert refusal(files.KeyFile, "tls.crt", folder) == "holds no PEM private key"


def test_an_encrypted_key_is_refused_without_asking_for_its_passphrase(folder):
    (folder / "locked.key").write_bytes(encrypted(folder / "tls.key"))
    assert refusal(files.KeyFile, "locked.key", folder) == "is encrypted: store it without a passphrase and protect the file"


def test_a_pair_must_match(folder):
    check_pair(folder / "tls.crt", folder / "tls.key")
    with pytest.raises(ValueError, match=r"^is not the key of tls\.crt$"):
        check_pair(folder / "tls.crt", folder / "other.key")


def test_a_broken_certificate_behind_a_good_one_is_refused(folder):
    (folder / "chain.crt").write_bytes(
        (folder / "tls.crt").read_bytes() + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    assert refusal(files.AuthoritiesFile, "chain.crt", folder) == "holds no PEM certificate, or a broken one"


def test_authorities_in_the_file_itself_are_pem_or_base64_of_it(folder):
    pem = (folder / "ca.crt").read_text()
    encoded = base64.b64encode(pem.encode()).decode()
    folded = "\n".join(encoded[start : start + 64] for start in range(0, len(encoded), 64))
    for given in (pem, encoded, folded):
        assert validated(files.AuthoritiesText, given, folder) == pem
    assert refusal(files.AuthoritiesText, "hello!", folder) == "neither PEM text nor base64 of it"
    assert (
        refusal(files.AuthoritiesText, base64.b64encode(b"hello").decode(), folder) == "holds no PEM certificate, or a broken one"
    )
    assert refusal(files.AuthoritiesText, "", folder) == "holds no PEM certificate, or a broken one"


def test_audit_goes_to_standard_output_or_into_a_folder_that_is_there(folder):
    assert validated(files.AuditPath, "-", folder) == "-"
    assert validated(files.AuditPath, "audit.log", folder) == str(folder / "audit.log")
    assert refusal(files.AuditPath, ".", folder) == "is a directory"
    assert refusal(files.AuditPath, "absent/audit.log", folder) == f"folder {folder}/absent not found"


def test_permissions_are_read_or_refused(folder):
    (folder / "permissions.yaml").write_text(shipped_permissions_text())
    assert read_permissions(folder / "permissions.yaml").grants["projects"]["m:kaas@writer"] == "rw"
    (folder / "bad.yaml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"^is not UTF-8: byte 0$"):
        read_permissions(folder / "bad.yaml")
    (folder / "bad.yaml").write_text("version: 2")
    with pytest.raises(PermissionsError):
        read_permissions(folder / "bad.yaml")


def test_reading_says_what_the_system_says(folder):
    with pytest.raises(ValueError, match=r"^not found$"):
        read(folder / "absent")
    with pytest.raises(ValueError, match=r"^cannot be read: not a directory$"):
        read(folder / "ca.crt" / "x")

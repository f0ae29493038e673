import os
import subprocess
import sys

import pytest

from proxy.client.errors import ClientError
from proxy.client.system_keyring import forget_secret, keyring_in_use, read_secret, usable_keyring, write_secret

# A stand-in for the package, whose backends belong to desktops.
CORE = """
class Backend:
    priority = PRIORITY
    kept = {}
    def set_password(self, *key): self.kept[key[:2]] = key[2]
    def get_password(self, *key): return GIVES_BACK
    def delete_password(self, *key): self.kept.pop(key)
def get_keyring(): return Backend()
def load_keyring(name): return {"keyring.core.Backend": Backend}[name]()
"""
ASK = """
from proxy.client.system_keyring import *
name = usable_keyring()
print(name)
if name:
    write_secret(keyring_in_use(name), "u", "s")
    print(read_secret(keyring_in_use(name), "u"))
    forget_secret(keyring_in_use(name), "u")
    print(read_secret(keyring_in_use(name), "u"))
    forget_secret(keyring_in_use(name), "u")
"""


@pytest.mark.parametrize(
    ("priority", "gives_back", "said"),
    [
        ("5", "self.kept.get(key)", "keyring.core.Backend s None"),
        ("0.5", "self.kept.get(key)", "None"),
        ("5", "None", "None"),
        ("5", "1 / 0", "None"),
    ],
)
def test_only_a_keyring_that_keeps_secrets_is_used(tmp_path, priority, gives_back, said):
    (tmp_path / "keyring").mkdir()
    (tmp_path / "keyring" / "__init__.py").write_text("from keyring.core import *")
    (tmp_path / "keyring" / "core.py").write_text(CORE.replace("PRIORITY", priority).replace("GIVES_BACK", gives_back))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == said.split()


def test_without_the_package_there_is_none():
    assert usable_keyring() is None
    with pytest.raises(ClientError, match=r"is not there any more \(No module named 'keyring'\): sign in again$"):
        keyring_in_use("keyring.backends.SecretService.Keyring")


class Locked:
    """A backend that does not open."""

    def __init__(self, opens_for_reading: bool = False) -> None:
        self.opens_for_reading = opens_for_reading

    def get_password(self, service, username):
        return "secret" if self.opens_for_reading else self.set_password(service, username, "")

    def set_password(self, service, username, password):
        raise RuntimeError("Failed to unlock\nthe collection!")

    def delete_password(self, service, username):
        self.set_password(service, username, "")


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (
            lambda: read_secret(Locked(), "u"),
            "the keyring does not open (Failed to unlock the collection!): unlock it and try again",
        ),
        (
            lambda: write_secret(Locked(), "u", "s"),
            "the keyring does not take the tokens (Failed to unlock the collection!): unlock it and try again",
        ),
        (
            lambda: forget_secret(Locked(opens_for_reading=True), "u"),
            "the keyring does not forget the tokens (Failed to unlock the collection!): remove u from it yourself",
        ),
    ],
)
def test_a_locked_keyring_is_told_in_one_line(act, reason):
    with pytest.raises(ClientError) as caught:
        act()
    assert str(caught.value) == reason

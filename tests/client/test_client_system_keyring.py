import os
import subprocess
import sys

import pytest

from proxy.client.errors import ClientError
from proxy.client.system_keyring import forget_secret, keyring_in_use, read_secret, usable_keyring, write_secret

# A stand-in for the package, whose backends belong to desktops.
PACKAGE = """
kept = {}
class Backend: priority = PRIORITY
def get_keyring(): return Backend()
def set_password(*key): kept[key[:2]] = key[2]
def get_password(*key): return GIVES_BACK
def delete_password(*key): kept.pop(key)
"""


def is_usable(folder, priority: str, gives_back: str) -> bool:
    (folder / "keyring.py").write_text(PACKAGE.replace("PRIORITY", priority).replace("GIVES_BACK", gives_back))
    asked = "from proxy.client.system_keyring import usable_keyring; print(usable_keyring() is not None)"
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    return ended.stdout == "True\n"


@pytest.mark.parametrize(
    ("priority", "gives_back", "usable"),
    [
        ("5", "kept.get(key)", True),
        ("0.5", "kept.get(key)", False),
        ("5", "None", False),
        ("5", "1 / 0", False),
    ],
)
def test_only_a_keyring_that_keeps_secrets_is_used(tmp_path, priority, gives_back, usable):
    assert is_usable(tmp_path, priority, gives_back) is usable


def test_without_the_package_there_is_none():
    assert usable_keyring() is None
    with pytest.raises(ClientError, match="is not installed any more; sign in again"):
        keyring_in_use()


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

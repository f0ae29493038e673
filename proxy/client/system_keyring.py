"""The system's keyring, where the optional package `keyring` is installed and has a backend that deserves the name.

That package is imported only where a sign-in is kept there, or where one is about to be: it takes a tenth of a second.
"""

import importlib
from importlib.util import find_spec
from typing import Any, Final, Protocol

from proxy.client.errors import ClientError, printable

SERVICE: Final = "mosk-proxy"
_PACKAGE: Final = "keyring"
_TRIAL: Final = "trial"


class Keyring(Protocol):
    """What is used of the package, or of one of its backends."""

    def get_password(self, service: str, username: str) -> str | None: ...

    def set_password(self, service: str, username: str, password: str) -> None: ...

    def delete_password(self, service: str, username: str) -> None: ...


def usable_keyring() -> str | None:
    """Return the name of the backend if it keeps what it is given, None where there is no such thing."""
    if find_spec(_PACKAGE) is None:
        return None
    backend: Any = importlib.import_module(_PACKAGE).get_keyring()
    # keyring: `backend.KeyringBackend.priority`; below 1 are those that keep nothing, or keep it in clear text.
    if backend.priority < 1 or not _keeps(backend):
        return None
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _keeps(keyring: Keyring) -> bool:
    """Whether a secret comes back: a backend may be installed on a machine without its daemon, or with it locked."""
    try:
        keyring.set_password(SERVICE, _TRIAL, _TRIAL)
        kept = keyring.get_password(SERVICE, _TRIAL) == _TRIAL
        keyring.delete_password(SERVICE, _TRIAL)
    except Exception:  # noqa: BLE001 - backends raise what their libraries raise; any failure means: not this one
        return False
    return kept


def keyring_in_use(backend: str) -> Keyring:
    """Return the backend in which a sign-in was kept; raises ClientError if it is there no longer.

    By its name: to look for the best one, the package imports all that it has, which kubectl would wait for at each call.
    """
    try:
        found: Keyring = importlib.import_module(f"{_PACKAGE}.core").load_keyring(backend)
    except Exception as error:
        raise ClientError(
            f"the keyring that the tokens are in is not there any more ({_reason(error)}): sign in again"
        ) from error
    return found


def read_secret(keyring: Keyring, username: str) -> str | None:
    """Return a secret, None if there is none; raises ClientError when the keyring does not open."""
    try:
        return keyring.get_password(SERVICE, username)
    except Exception as error:
        raise ClientError(f"the keyring does not open ({_reason(error)}): unlock it and try again") from error


def write_secret(keyring: Keyring, username: str, secret: str) -> None:
    """Keep a secret; raises ClientError when the keyring does not take it."""
    try:
        keyring.set_password(SERVICE, username, secret)
    except Exception as error:
        raise ClientError(f"the keyring does not take the tokens ({_reason(error)}): unlock it and try again") from error


def forget_secret(keyring: Keyring, username: str) -> None:
    """Remove a secret if it is there; raises ClientError when the keyring does not open."""
    if read_secret(keyring, username) is None:
        return
    try:
        keyring.delete_password(SERVICE, username)
    except Exception as error:
        raise ClientError(
            f"the keyring does not forget the tokens ({_reason(error)}): remove {username} from it yourself"
        ) from error


def _reason(error: Exception) -> str:
    return printable(error) or type(error).__name__

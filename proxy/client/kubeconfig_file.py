"""The kubeconfig as a file: found, locked and replaced as kubectl does it (client-go, `tools/clientcmd/loader.go`), and more carefully.

Every scalar is read and written as the text that it is: what YAML 1.1 and 1.2 disagree about (`on`, `0777`, `12:30`) stays as written.
"""

import io
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.resolver import VersionedResolver

from proxy.client.errors import ClientError, printable
from proxy.client.kubeconfig_document import is_null, new_document
from proxy.client.private_files import write_private

_Outcome = TypeVar("_Outcome")
_LOCK_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 0.05
_NEVER_FOLDED: Final = 1 << 20
_NEW_FILE_MODE: Final = 0o600


class _AsWritten(VersionedResolver):
    """Takes every plain scalar for a text."""

    @property
    def versioned_resolver(self) -> dict[str, Any]:
        return {}


def kubeconfig_file(environment: Mapping[str, str], home: Path) -> Path:
    """Return the file that kubectl would write to: the first of `KUBECONFIG`, else the one in the home folder."""
    named = [part for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    return Path(named[0]) if named else home / ".kube" / "config"


def edit(path: Path, change: Callable[[CommentedMap], _Outcome], *, seconds: float = _LOCK_SECONDS) -> tuple[_Outcome, bool]:
    """Change a kubeconfig under kubectl's lock; returns what `change` does, and whether that made a difference.

    Waits for the lock no longer than `seconds`. What is replaced is kept beside the file as `.bak`. Raises ClientError and OSError, and
    then the file is as it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path, seconds):
        # Many keep the file elsewhere, behind a link.
        place = Path(os.path.realpath(path))
        before = place.read_bytes() if place.exists() else None
        try:
            document = _read(before or b"")
            outcome = change(document)
        except ClientError as error:
            raise ClientError(f"{path}: {error}") from None
        after = _written(document)
        if after == before:
            return outcome, False
        if before is not None:
            _keep(place, before)
        write_private(place, after, _mode(place))
    return outcome, True


def _keep(place: Path, before: bytes) -> None:
    write_private(place.with_name(f"{place.name}.bak"), before, _mode(place))


def _mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode) if place.exists() else _NEW_FILE_MODE


def _yaml() -> Any:
    yaml: Any = YAML()
    yaml.Resolver = _AsWritten
    yaml.preserve_quotes, yaml.width = True, _NEVER_FOLDED
    return yaml


def _read(content: bytes) -> CommentedMap:
    try:
        document = _yaml().load(content)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ClientError(f"cannot be read, and is left as it is: {printable(_problem(error))}") from None
    if is_null(document):
        return new_document()
    if not isinstance(document, CommentedMap) or document.get("kind", "Config") != "Config":
        raise ClientError("is not a kubeconfig, and is left as it is")
    return document


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = "" if mark is None else f"line {mark.line + 1}: "
    return f"{where}{getattr(error, 'problem', None) or type(error).__name__}"


def _written(document: CommentedMap) -> bytes:
    text = io.BytesIO()
    _yaml().dump(document, text)
    return text.getvalue()


@contextmanager
def _locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock that `kubectl config` takes: a file that only one can create."""
    lock = path.with_name(f"{path.name}.lock")
    deadline = time.monotonic() + seconds
    while True:
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise ClientError(f"{lock}: another program is changing the kubeconfig; if none is, remove that file") from None
            time.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)

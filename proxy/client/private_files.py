"""Files for their owner's eyes: never read when somebody else could have read or written them, replaced whole or not at all."""

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from proxy.client.errors import ClientError

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_FOR_OTHERS: Final = 0o077


def state_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Return where sign-ins are kept (XDG Base Directory Specification: a relative path in the variable counts as none)."""
    named = environment.get("XDG_STATE_HOME", "")
    return (Path(named) if named.startswith("/") else home / ".local" / "state") / "mosk-proxy"


def make_folder(folder: Path) -> None:
    """Make the folder with mode 0700, or check the one that is there; raises ClientError."""
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    check_private(folder, folder.stat(), "chmod 700")


def check_private(path: Path, found: os.stat_result, remedy: str) -> None:
    """Raise ClientError unless a file or folder is its user's own and closed to all others."""
    if found.st_uid != os.geteuid():
        raise ClientError(f"{path}: belongs to another user (uid {found.st_uid}); remove it and sign in again")
    if found.st_mode & _FOR_OTHERS:
        raise ClientError(f"{path}: mode {stat.S_IMODE(found.st_mode):04o} opens it to others; run: {remedy} {path}")


def read_private(path: Path) -> bytes | None:
    """Return what a file of ours holds, None if there is none; raises ClientError when it may not be only ours."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        # Of the opened file, not of the name: between two looks at a name it may come to mean something else.
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ClientError(f"{path}: is not a regular file; remove it and sign in again")
        check_private(path, found, "chmod 600")
        return file.read()


def write_private(path: Path, content: bytes, mode: int = _FILE_MODE) -> None:
    """Replace a file by another of that mode, or make it: whoever reads it sees the old content or the new, never a part."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock among the processes of this machine; gives the lock file's descriptor. Ends with the process, whatever ends it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)

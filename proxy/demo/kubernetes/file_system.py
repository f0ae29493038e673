"""The files of one pod, in memory: nothing here touches the machine's own files."""

import errno
import os
import posixpath
from collections.abc import Iterator, Mapping

CAPACITY = 64 << 20


class FileSystem:
    """Paths are absolute and normal; errors are the OSErrors that a kernel would give."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._directories = {"/", "/tmp", "/root"}  # noqa: S108 - a path inside this object, not of the machine
        self._files: dict[str, bytearray] = {}
        for path, content in files.items():
            self.make_directory(posixpath.dirname(path), parents=True)
            self._files[path] = bytearray(content)

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory."""
        return path in self._directories

    def is_file(self, path: str) -> bool:
        """Whether there is a file."""
        return path in self._files

    def read(self, path: str) -> bytes:
        """Raises FileNotFoundError, IsADirectoryError."""
        if path in self._directories:
            raise _error(errno.EISDIR, path)
        if path not in self._files:
            raise _error(errno.ENOENT, path)
        return bytes(self._files[path])

    def write(self, path: str, content: bytes, *, append: bool = False) -> None:
        """Raises FileNotFoundError (no such directory), IsADirectoryError, OSError (full)."""
        if path in self._directories:
            raise _error(errno.EISDIR, path)
        if posixpath.dirname(path) not in self._directories:
            raise _error(errno.ENOENT, path)
        if not append:
            self._files.pop(path, None)
        if sum(map(len, self._files.values())) + len(content) > CAPACITY:
            raise _error(errno.ENOSPC, path)
        self._files.setdefault(path, bytearray()).extend(content)

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        """Raises FileExistsError, FileNotFoundError; with `parents`, only when a file is in the way."""
        if path in self._files or (path in self._directories and not parents):
            raise _error(errno.EEXIST, path)
        parent = posixpath.dirname(path)
        if parents and path != "/":
            self.make_directory(parent, parents=True)
        if parent not in self._directories:
            raise _error(errno.ENOENT, path)
        self._directories.add(path)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Raises FileNotFoundError, IsADirectoryError."""
        if path in self._files:
            del self._files[path]
        elif path not in self._directories:
            raise _error(errno.ENOENT, path)
        elif not recursive:
            raise _error(errno.EISDIR, path)
        else:
            for below in [*self.walk(path)]:
                self._files.pop(below, None)
                self._directories.discard(below)
            self._directories |= {"/"}

    def names(self, path: str) -> list[str]:
        """What is directly in a directory, sorted; raises FileNotFoundError, NotADirectoryError."""
        if path in self._files:
            raise _error(errno.ENOTDIR, path)
        if path not in self._directories:
            raise _error(errno.ENOENT, path)
        entries = {*self._files, *self._directories} - {"/"}
        return sorted(posixpath.basename(entry) for entry in entries if posixpath.dirname(entry) == path)

    def walk(self, path: str) -> Iterator[str]:
        """The path itself and all below it, parents first; nothing when it does not exist."""
        if path not in self._files and path not in self._directories:
            return
        yield path
        prefix = path.rstrip("/") + "/"
        yield from sorted(entry for entry in {*self._files, *self._directories} if entry.startswith(prefix) and entry != path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)

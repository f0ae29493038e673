"""tar between a pod's files and a stream: what `kubectl cp` runs in the pod."""

import io
import posixpath
import tarfile

from proxy.demo.kubernetes.file_system import CAPACITY, FileSystem
from proxy.demo.kubernetes.process import Process


async def tar(process: Process) -> int:
    """`tar cf - PATH…` and `tar x[m]f - -C DIRECTORY`, with or without the dash before the letters."""
    letters, directory, names = _options(process.arguments)
    if "f" in letters and "-" in names:
        names.remove("-")
    if "c" in letters:
        return await _create(process, process.resolve(directory), names)
    if "x" in letters:
        return await _extract(process, process.resolve(directory))
    return await process.fail("must specify one of -c, -x", 2)


def _options(arguments: list[str]) -> tuple[str, str, list[str]]:
    letters, directory, names = arguments[0] if arguments else "", ".", []
    rest = iter(arguments[1:])
    if letters.startswith("--"):
        letters, rest = "", iter(arguments)
    for argument in rest:
        if argument in ("-C", "--directory"):
            directory = next(rest, ".")
        elif argument.startswith("-") and not argument.startswith("--") and argument != "-":
            letters += argument[1:]
        elif not argument.startswith("--"):
            names.append(argument)
    return letters, directory, names


async def _create(process: Process, directory: str, names: list[str]) -> int:
    buffer = io.BytesIO()
    code = 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in names:
            root = posixpath.normpath(posixpath.join(directory, name))
            paths = list(process.files.walk(root))
            if not paths:
                code = await process.fail(f"{name}: No such file or directory", 2)
            for path in paths:
                inside = posixpath.normpath(posixpath.join(name, posixpath.relpath(path, root)))
                _add(archive, process.files, path, inside.lstrip("/"))
    await process.stdout(buffer.getvalue())
    return code


def _add(archive: tarfile.TarFile, files: FileSystem, path: str, name: str) -> None:
    member = tarfile.TarInfo(name)
    if files.is_directory(path):
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(member)
    else:
        content = files.read(path)
        member.size, member.mode = len(content), 0o644
        archive.addfile(member, io.BytesIO(content))


async def _extract(process: Process, directory: str) -> int:
    if not process.files.is_directory(directory):
        return await process.fail(f"{directory}: Cannot open: No such file or directory", 2)
    try:
        packed = await process.stdin.read_all(2 * CAPACITY)
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
            for member in archive:
                _place(archive, member, process.files, directory)
    except OverflowError:
        return await process.fail("No space left on device", 2)
    except (tarfile.TarError, OSError) as error:
        return await process.fail(str(error), 2)
    return 0


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, files: FileSystem, directory: str) -> None:
    # Links and devices have no place in these files, and a name may not leave the directory.
    parts = posixpath.normpath(member.name.lstrip("/")).split("/")
    if ".." in parts or not (member.isfile() or member.isdir()):
        return
    path = posixpath.normpath(posixpath.join(directory, *parts))
    if member.isdir():
        files.make_directory(path, parents=True)
    elif (content := archive.extractfile(member)) is not None:
        files.make_directory(posixpath.dirname(path), parents=True)
        files.write(path, content.read())

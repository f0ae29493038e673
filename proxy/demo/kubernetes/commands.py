"""The built-in commands of the pods' shell. None of them runs anything outside this process."""

import asyncio
import hashlib
import posixpath
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from proxy.demo.kubernetes.archives import tar
from proxy.demo.kubernetes.process import Builtin, Process, ShellExit

_MAX_SLEEP = 86400.0


async def _echo(process: Process) -> int:
    arguments = process.arguments
    newline = b"\n"
    if arguments[:1] == ["-n"]:
        arguments, newline = arguments[1:], b""
    await process.stdout(" ".join(arguments).encode() + newline)
    return 0


async def _printf(process: Process) -> int:
    form, *values = process.arguments or [""]
    left = iter(values)
    text = re.sub(r"%[sd]", lambda _: next(left, ""), form.replace("\\n", "\n").replace("\\t", "\t"))
    await process.stdout(text.encode())
    return 0


async def _cat(process: Process) -> int:
    async for chunk in _inputs(process, process.arguments):
        await process.stdout(chunk)
    return 0


async def _head(process: Process) -> int:
    count, names = _count(process.arguments, 10)
    lines = _lines(process, names)
    for _ in range(count):
        if (line := await anext(lines, None)) is None:
            break
        await process.stdout(line)
    return 0


async def _tail(process: Process) -> int:
    if (start := next((word for word in process.arguments if word.startswith("-c+")), None)) is not None:
        content = b"".join([chunk async for chunk in _inputs(process, [])])
        await process.stdout(content[max(0, int(start[3:] or 1) - 1) :])
        return 0
    count, names = _count(process.arguments, 10)
    lines = [line async for line in _lines(process, names)]
    await process.stdout(b"".join(lines[-count:] if count else []))
    return 0


async def _wc(process: Process) -> int:
    names = [word for word in process.arguments if not word.startswith("-")]
    content = b"".join([chunk async for chunk in _inputs(process, names)])
    counts = {"-l": content.count(b"\n"), "-w": len(content.split()), "-c": len(content)}
    asked = [word for word in process.arguments if word in counts] or list(counts)
    await process.print(" ".join(str(counts[word]) for word in asked))
    return 0


async def _grep(process: Process) -> int:
    pattern, *names = process.arguments or [""]
    found = 1
    async for line in _lines(process, names):
        if pattern.encode() in line:
            await process.stdout(line)
            found = 0
    return found


async def _tee(process: Process) -> int:
    paths = [process.resolve(name) for name in process.arguments]
    for path in paths:
        process.files.write(path, b"")
    while chunk := await process.stdin.read():
        await process.stdout(chunk)
        for path in paths:
            process.files.write(path, chunk, append=True)
    return 0


async def _sha256sum(process: Process) -> int:
    for name in process.arguments or ["-"]:
        content = b"".join([chunk async for chunk in _inputs(process, [name])])
        await process.print(f"{hashlib.sha256(content).hexdigest()}  {name}")
    return 0


async def _ls(process: Process) -> int:
    long = any("l" in word for word in process.arguments if word.startswith("-"))
    for name in [word for word in process.arguments if not word.startswith("-")] or ["."]:
        path = process.resolve(name)
        names = [name] if process.files.is_file(path) else process.files.names(path)
        for entry in names:
            await process.print(_long(process, posixpath.join(path, entry), entry) if long else entry)
    return 0


def _long(process: Process, path: str, name: str) -> str:
    if process.files.is_directory(path):
        return f"drwxr-xr-x root root {0:8d} {name}"
    return f"-rw-r--r-- root root {len(process.files.read(path)):8d} {name}"


async def _mkdir(process: Process) -> int:
    parents = "-p" in process.arguments
    for name in process.arguments:
        if not name.startswith("-"):
            process.files.make_directory(process.resolve(name), parents=parents)
    return 0


async def _rm(process: Process) -> int:
    flags = "".join(word for word in process.arguments if word.startswith("-"))
    for name in process.arguments:
        path = process.resolve(name)
        exists = process.files.is_file(path) or process.files.is_directory(path)
        if not name.startswith("-") and (exists or "f" not in flags):
            process.files.remove(path, recursive="r" in flags)
    return 0


async def _touch(process: Process) -> int:
    for name in process.arguments:
        process.files.write(process.resolve(name), b"", append=True)
    return 0


async def _cd(process: Process) -> int:
    path = process.resolve(process.arguments[0] if process.arguments else "/root")
    if not process.files.is_directory(path):
        return await process.fail(f"can't cd to {path}", 2)
    process.session.directory = path
    return 0


async def _pwd(process: Process) -> int:
    await process.print(process.session.directory)
    return 0


async def _env(process: Process) -> int:
    for name, value in process.session.environment.items():
        if not process.arguments:
            await process.print(f"{name}={value}")
        elif name in process.arguments:
            await process.print(value)
    return 0


async def _export(process: Process) -> int:
    process.session.environment.update(word.partition("=")[::2] for word in process.arguments if "=" in word)
    return 0


async def _test(process: Process) -> int:
    words = [word for word in process.arguments if word != "]"]
    match words:
        case ["-d", name]:
            holds = process.files.is_directory(process.resolve(name))
        case ["-f", name]:
            holds = process.files.is_file(process.resolve(name))
        case ["-e", name]:
            holds = any(process.files.walk(process.resolve(name)))
        case ["-n", text]:
            holds = bool(text)
        case [left, "=", right]:
            holds = left == right
        case _:
            holds = len(words) == 1 and bool(words[0])
    return 0 if holds else 1


async def _sleep(process: Process) -> int:
    try:
        seconds = float(process.arguments[0].rstrip("s"))
    except (ValueError, IndexError):
        return await process.fail("invalid time interval")
    await asyncio.sleep(min(max(seconds, 0.0), _MAX_SLEEP))
    return 0


async def _exit(process: Process) -> int:
    word = process.arguments[0] if process.arguments else "0"
    raise ShellExit(int(word) & 0xFF if word.isdecimal() else 2)


async def _stty(process: Process) -> int:
    if process.arguments == ["size"]:
        await process.print(f"{process.session.window.rows} {process.session.window.columns}")
    return 0


async def _hostname(process: Process) -> int:
    await process.print(process.session.environment.get("HOSTNAME", ""))
    return 0


async def _date(process: Process) -> int:
    await process.print(datetime.now(UTC).strftime("%a %b %d %H:%M:%S UTC %Y"))
    return 0


async def _true(_: Process) -> int:
    return 0


async def _false(_: Process) -> int:
    return 1


def _says(text: str) -> Builtin:
    async def command(process: Process) -> int:
        await process.print(text)
        return 0

    return command


async def _help(process: Process) -> int:
    await process.print(f"A demonstration shell inside the API server. It knows: {' '.join(sorted(BUILTINS))}")
    return 0


async def _inputs(process: Process, names: list[str]) -> AsyncIterator[bytes]:
    for name in names or ["-"]:
        if name == "-":
            while chunk := await process.stdin.read():
                yield chunk
        else:
            yield process.files.read(process.resolve(name))


async def _lines(process: Process, names: list[str]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in _inputs(process, names):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _count(arguments: list[str], default: int) -> tuple[int, list[str]]:
    words = list(arguments)
    if "-n" in words[:1] and len(words) > 1 and words[1].isdecimal():
        return int(words[1]), words[2:]
    if words and words[0].lstrip("-n").isdecimal():
        return int(words[0].lstrip("-n")), words[1:]
    return default, words


BUILTINS: Mapping[str, Builtin] = {
    "[": _test, "cat": _cat, "cd": _cd, "date": _date, "echo": _echo, "env": _env, "exit": _exit, "export": _export,
    "false": _false, "grep": _grep, "head": _head, "help": _help, "hostname": _hostname,
    "id": _says("uid=0(root) gid=0(root) groups=0(root)"), "ls": _ls, "mkdir": _mkdir, "printenv": _env,
    "printf": _printf, "pwd": _pwd, "rm": _rm, "sha256sum": _sha256sum, "sleep": _sleep, "stty": _stty, "tail": _tail,
    "tar": tar, "tee": _tee, "test": _test, "touch": _touch, "true": _true,
    "uname": _says("Linux"), "wc": _wc, "whoami": _says("root"),
}  # fmt: skip

"""A tiny shell inside this process: built-in commands, pipes and redirections over a pod's files in memory."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace

from proxy.demo.kubernetes.byte_queue import ByteQueue
from proxy.demo.kubernetes.commands import BUILTINS
from proxy.demo.kubernetes.process import Process, Session, ShellExit
from proxy.demo.kubernetes.shell_words import Pipeline, Redirect, Simple, SyntaxProblem, parse
from proxy.demo.kubernetes.standard_streams import Sink, StandardStreams

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
SHELLS = ("ash", "bash", "sh")
_MAX_DEPTH = 8
INTERRUPTED = 130
_NOT_FOUND, _SYNTAX, _BROKEN_PIPE = 127, 2, 141


class Shell:
    """Runs commands of one exec; `exited` once one of them was `exit`."""

    def __init__(self, session: Session, streams: StandardStreams) -> None:
        self._session = session
        self._streams = streams
        self._code = 0
        self.exited = False

    async def execute(self, command: list[str]) -> int:
        """The exit code of a command given as its words."""
        streams = self._streams
        try:
            return await self._builtin(command, streams.stdin, streams.stdout, streams.stderr)
        except ShellExit as ended:
            return ended.code

    async def script(self, text: str) -> int:
        """The exit code of the last command."""
        try:
            for pipeline in parse(text):
                skipped = (pipeline.joint == "&&" and self._code) or (pipeline.joint == "||" and not self._code)
                if not skipped:
                    self._code = await self._pipeline(pipeline)
        except SyntaxProblem as problem:
            await self._streams.stderr(f"sh: {problem}\n".encode())
            return _SYNTAX
        except ShellExit as ended:
            self.exited = True
            return ended.code
        except asyncio.CancelledError:
            self._code = INTERRUPTED
            raise
        return self._code

    async def lines(self) -> int:
        """Runs standard input line by line."""
        code = 0
        while not self.exited and (line := await self._streams.stdin.readline()):
            code = await self.script(line.decode(errors="replace"))
        return code

    async def _pipeline(self, pipeline: Pipeline) -> int:
        *feeders, last = pipeline.commands
        if not feeders:
            return await self._simple(last, self._streams.stdin, self._streams.stdout)
        async with asyncio.TaskGroup() as group:
            stdin = self._streams.stdin
            for feeder in feeders:
                pipe = ByteQueue()
                group.create_task(self._feed(feeder, stdin, pipe), name="shell: pipe")
                stdin = pipe
            code = await self._contained(last, stdin, self._streams.stdout)
            stdin.abandon()
        return code

    async def _feed(self, command: Simple, stdin: ByteQueue, pipe: ByteQueue) -> None:
        async def write(chunk: bytes) -> None:
            if pipe.abandoned:
                raise BrokenPipeError
            await pipe.put(chunk)

        try:
            await self._contained(command, stdin, write)
        finally:
            if stdin is not self._streams.stdin:
                stdin.abandon()
            await pipe.end()

    async def _contained(self, command: Simple, stdin: ByteQueue, stdout: Sink) -> int:
        try:
            return await self._simple(command, stdin, stdout)
        except ShellExit as ended:
            return ended.code

    async def _simple(self, command: Simple, stdin: ByteQueue, stdout: Sink) -> int:
        variables = {**self._session.environment, "?": str(self._code), "$": "1", "#": "0"}
        words = [word.expand(variables) for word in command.words]
        while words and _ASSIGNMENT.match(words[0]):
            name, _, value = words.pop(0).partition("=")
            self._session.environment[name] = value
        stderr = self._streams.stderr
        try:
            for redirect in command.redirects:
                stdin, stdout, stderr = await self._redirected(redirect, variables, stdin, stdout, stderr)
        except OSError as error:
            return await Process("sh", [], stdin, stdout, stderr, self._session).fail(f"{error.filename}: {error.strerror}")
        return await self._builtin(words, stdin, stdout, stderr) if words else 0

    async def _builtin(self, words: list[str], stdin: ByteQueue, stdout: Sink, stderr: Sink) -> int:
        name = words[0].removeprefix("/usr").removeprefix("/bin/")
        process = Process(name, words[1:], stdin, stdout, stderr, self._session)
        if name in SHELLS:
            return await self._nested(process)
        command = BUILTINS.get(name)
        if command is None:
            return await Process("sh", [], stdin, stdout, stderr, self._session).fail(f"{words[0]}: not found", _NOT_FOUND)
        try:
            return await command(process)
        except BrokenPipeError:
            return _BROKEN_PIPE
        except (ValueError, IndexError):
            return await process.fail("arguments are not understood", _SYNTAX)
        except ConnectionError:
            raise
        except OSError as error:
            return await process.fail(f"{error.filename}: {error.strerror}")

    async def _nested(self, process: Process) -> int:
        if self._session.depth >= _MAX_DEPTH:
            return await process.fail("too many shells in shells", _SYNTAX)
        streams = StandardStreams(process.stdout, process.stderr, process.stdin, self._session.window)
        session = replace(self._session, environment=dict(self._session.environment), depth=self._session.depth + 1)
        nested = Shell(session, streams)
        match process.arguments:
            case ["-c", text, *_]:
                return await nested.script(text)
            case [name] if not name.startswith("-"):
                return await nested.script(process.files.read(process.resolve(name)).decode(errors="replace"))
            case _:
                return await nested.lines()

    async def _redirected(
        self, redirect: Redirect, variables: Mapping[str, str], stdin: ByteQueue, stdout: Sink, stderr: Sink
    ) -> tuple[ByteQueue, Sink, Sink]:
        if redirect.target is None:
            return (stdin, stdout, stdout) if redirect.operator.startswith("2") else (stdin, stderr, stderr)
        process = Process("sh", [], stdin, stdout, stderr, self._session)
        target = redirect.target.expand(variables)
        if redirect.operator == "<":
            return await _source(process, target), stdout, stderr
        sink = _file_sink(process, target, append=redirect.operator.endswith(">>"))
        return (stdin, stdout, sink) if redirect.operator.startswith("2") else (stdin, sink, stderr)


async def _source(process: Process, target: str) -> ByteQueue:
    queue = ByteQueue()
    if target != "/dev/null":
        await queue.put(process.files.read(process.resolve(target)))
    await queue.end()
    return queue


def _file_sink(process: Process, target: str, *, append: bool) -> Sink:
    path = process.resolve(target)
    if target != "/dev/null":
        process.files.write(path, b"", append=append)

    async def write(chunk: bytes) -> None:
        if target != "/dev/null":
            process.files.write(path, chunk, append=True)

    return write

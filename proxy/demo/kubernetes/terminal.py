"""A terminal's line discipline: echo, erase, interrupt, end of input; and a shell that talks to a person."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from proxy.demo.kubernetes.byte_queue import ByteQueue
from proxy.demo.kubernetes.process import Session
from proxy.demo.kubernetes.shell import INTERRUPTED, SHELLS, Shell
from proxy.demo.kubernetes.standard_streams import StandardStreams

_SPACE = 0x20


class Terminal:
    """Turns keys into lines for what runs in the foreground."""

    def __init__(self, streams: StandardStreams) -> None:
        self._client = streams
        self._line = bytearray()
        self._foreground: asyncio.Task[int] | None = None
        self._cooked = StandardStreams(self._print, self._print, ByteQueue(lasting_end=False), streams.window, tty=True)

    async def run(self, session: Session, command: list[str]) -> int:
        """The exit code of a command, or of an interactive shell when the command is one."""
        async with asyncio.TaskGroup() as group:
            keys = group.create_task(self._keys(), name="terminal: keys")
            shell = Shell(session, self._cooked)
            if command[0].rpartition("/")[2] in SHELLS and len(command) == 1:
                code = await self._converse(group, shell, session)
            else:
                code = await self._run(group, shell.execute(command))
            keys.cancel()
        return code

    async def _converse(self, group: asyncio.TaskGroup, shell: Shell, session: Session) -> int:
        code = 0
        while not shell.exited:
            await self._print(f"{session.directory} # ".encode())
            line = await self._cooked.stdin.readline()
            if not line:
                break
            code = await self._run(group, shell.script(line.decode(errors="replace")))
        return code

    async def _run(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, int]) -> int:
        self._foreground = group.create_task(work, name="terminal: foreground")
        await asyncio.wait((self._foreground,))
        ended, self._foreground = self._foreground, None
        return INTERRUPTED if ended.cancelled() else ended.result()

    async def _keys(self) -> None:
        while chunk := await self._client.stdin.read():
            for key in chunk:
                await self._key(key)
        while True:
            await self._cooked.stdin.end()

    async def _key(self, key: int) -> None:
        match key:
            case 0x0A | 0x0D:
                await self._print(b"\n")
                await self._cooked.stdin.put(bytes(self._line) + b"\n")
                self._line.clear()
            case 0x03:
                await self._interrupt()
            case 0x04 if not self._line:
                await self._cooked.stdin.end()
            case 0x08 | 0x7F:
                await self._erase(1)
            case 0x15:
                await self._erase(len(self._line))
            case _ if key >= _SPACE:
                self._line.append(key)
                await self._client.stdout(bytes((key,)))

    async def _interrupt(self) -> None:
        self._line.clear()
        await self._print(b"^C\n")
        if self._foreground is not None:
            self._foreground.cancel()
        else:
            await self._cooked.stdin.put(b"\n")

    async def _erase(self, count: int) -> None:
        count = min(count, len(self._line))
        del self._line[len(self._line) - count :]
        await self._client.stdout(b"\b \b" * count)

    async def _print(self, chunk: bytes) -> None:
        await self._client.stdout(chunk.replace(b"\n", b"\r\n"))

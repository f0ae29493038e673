"""A worker as its supervisor sees it: what it says, what it is asked and told."""

import asyncio
import socket
from collections.abc import Callable
from itertools import count
from typing import Final, TypeAlias, assert_never

from proxy.operations.supervisor_channel import (
    Answer,
    Beat,
    Channel,
    Failed,
    Message,
    Order,
    Ordered,
    Question,
    Reloaded,
    Serving,
    Subject,
)

# It is all there already; a stray process that inherited the channel must not keep the slot empty.
_LAST_WORDS_SECONDS: Final = 1.0

News: TypeAlias = Serving | Reloaded


class Worker:
    """One process. `heard` counts its messages, `failure` is why it gave up; `spread` is told what others must know."""

    def __init__(self, spread: Callable[[News], None]) -> None:
        self.heard = 0
        self.failure: str | None = None
        self._spread = spread
        self._serving_since: float | None = None
        self._channel = Channel(self._receive)
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[bytes]] = {}

    @property
    def serves(self) -> bool:
        """Whether it has told that it accepts connections."""
        return self._serving_since is not None

    @property
    def served_seconds(self) -> float:
        """For how long it has served."""
        return 0.0 if self._serving_since is None else asyncio.get_running_loop().time() - self._serving_since

    async def open(self) -> socket.socket:
        """Open the channel and return the worker's end of it."""
        ours, theirs = socket.socketpair()
        await self._channel.open(ours)
        return theirs

    def order(self, order: Order) -> None:
        """Give an order; a worker that starts obeys as soon as it can."""
        self._channel.send(Ordered(order))

    async def ask(self, subject: Subject, seconds: float) -> bytes | None:
        """Return the answer to a question, None when there is none in time."""
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._channel.send(Question(number, subject))
        await asyncio.wait((answer, self._channel.lost), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        del self._asked[number]
        return answer.result() if answer.done() else None

    async def last_words(self) -> None:
        """Wait for what a process that has ended still had to say, and close."""
        await asyncio.wait((self._channel.lost,), timeout=_LAST_WORDS_SECONDS)
        await self._channel.close()

    async def hang_up(self) -> None:
        """Close the channel, which ends the worker."""
        await self._channel.close()

    def _receive(self, message: Message) -> None:
        self.heard += 1
        match message:
            case Serving():
                self._serving_since = asyncio.get_running_loop().time()
                self._spread(message)
            case Reloaded():
                self._spread(message)
            case Failed(reason):
                self.failure = reason
            case Answer(number, body):
                self._take_answer(number, body)
            case Beat() | Ordered() | Question():
                return
            case _:
                assert_never(message)

    def _take_answer(self, number: int, body: bytes) -> None:
        asked = self._asked.get(number)
        if asked is not None and not asked.done():
            asked.set_result(body)

"""The life of one worker: it serves on the socket of its slot, tells its supervisor that it lives, answers and obeys.

Orders come over the channel and not as signals, so that a signal sent to the whole group (by a terminal, by a service manager) counts
once. SIGTERM to a single worker drains it; its supervisor then puts another in its place.
"""

import asyncio
import logging
import signal
import socket
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from proxy.app.ending import drain, in_one_line
from proxy.app.garbage import collect_seldom
from proxy.app.running import Inherited, RunningProxy, running
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
from proxy.settings import Settings, SettingsError

log = logging.getLogger("mosk_proxy")

_FAILED: Final = 1
_encoder: Final = msgspec.msgpack.Encoder()


def work(settings: Settings, config_path: Path, inherited: Inherited, channel: socket.socket, beat_seconds: float) -> int:
    """Be a worker until its supervisor is gone, or orders the end; returns the exit status."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_work(settings, config_path, inherited, channel, beat_seconds))


async def _work(settings: Settings, config_path: Path, inherited: Inherited, sock: socket.socket, beat_seconds: float) -> int:
    duty = _Duty()
    await duty.channel.open(sock)
    duty.channel.lost.add_done_callback(lambda _: duty.obey(Order.HURRY))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, duty.obey, Order.DRAIN)
    status = 0
    try:
        with ThreadPoolExecutor(1, "metrics") as executor:
            async with running(settings, config_path, inherited) as proxy:
                proxy.edge.tasks.start(_beat(proxy, duty.channel, beat_seconds), "beat")
                duty.begin(proxy, executor)
                collect_seldom()
                await duty.end.wait()
                if not duty.hurries:
                    await drain(proxy)
                duty.leave()
    except (OSError, RuntimeError, SettingsError) as error:
        duty.channel.send(Failed(in_one_line(error)))
        status = _FAILED
    await duty.channel.close()
    return status


async def _beat(proxy: RunningProxy, channel: Channel, seconds: float) -> None:
    """Tell that the loop goes round, and what configuration is in force, until the drain is over: what follows takes no time."""
    settings = proxy.reloader.settings
    while True:
        await asyncio.sleep(seconds)
        channel.send(Beat())
        if proxy.reloader.settings is not settings:
            settings = proxy.reloader.settings
            channel.send(Reloaded())


class _Duty:
    """What the supervisor wants; an order that comes before the proxy runs is obeyed when it does.

    `end` is set by any order that ends, `hurries` is true after one that ends now.
    """

    def __init__(self) -> None:
        self.channel = Channel(self._receive)
        self.end = asyncio.Event()
        self.hurries = False
        self._orders: set[Order] = set()
        self._proxy: RunningProxy | None = None
        self._executor: Executor | None = None

    def begin(self, proxy: RunningProxy, executor: Executor) -> None:
        """Serve with `proxy`."""
        self._proxy, self._executor = proxy, executor
        self.channel.send(Serving())
        for order in self._orders:
            self.obey(order)

    def leave(self) -> None:
        """Answer no more: the parts of the proxy are about to be closed."""
        self._proxy = None

    def obey(self, order: Order) -> None:
        """Do as ordered, now or as soon as the proxy runs."""
        proxy = self._proxy
        if proxy is None:
            self._orders.add(order)
        match order:
            case Order.DRAIN:
                self.end.set()
            case Order.HURRY:
                self.hurries = True
                self.end.set()
                if proxy is not None:
                    proxy.edge.hurry()
            case Order.RELOAD if proxy is not None:
                proxy.audit.reopen()
                proxy.edge.tasks.start(proxy.reloader.reload("SIGHUP"), "reload")
            case Order.RELOAD:
                pass

    def _receive(self, message: Message) -> None:
        match message:
            case Ordered(order):
                self.obey(order)
            case Question(number, subject) if self._proxy is not None and self._executor is not None:
                self._proxy.edge.tasks.start(self._answer(self._proxy, self._executor, number, subject), "answer the supervisor")
            case _:
                return

    async def _answer(self, proxy: RunningProxy, executor: Executor, number: int, subject: Subject) -> None:
        overview = proxy.overview
        is_probe = subject is Subject.READY
        body = _encoder.encode(await overview.ready()) if is_probe else await overview.packed_metrics(executor)
        self.channel.send(Answer(number, body))

"""What all connections share: room for them, the sweep, the log, the drain."""

import contextlib
import os
import resource
import socket
import urllib.request
from collections.abc import Callable, Iterator

from edge_door import POD, Door

Maker = Callable[..., Door]


@contextlib.contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Leave so many descriptors beside those that the proxy spares."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 64 + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_that_would_take_the_last_descriptors_is_closed_at_once(make_door: Maker) -> None:
    with few_descriptors(left=80):
        entry = make_door()
        wires = [entry.connect() for _ in range(45)]
        assert wires[0].sock.send(entry.head("GET", POD))
        assert wires[0].answer().status == 200
        assert wires[-1].is_ended()
        turned_away = entry.running.edge.counters.turned_away
        assert set(turned_away) == {"descriptors"}
        assert entry.running.edge.counters.connections == 45 - turned_away["descriptors"] == len(entry.running.edge.connections)
        with urllib.request.urlopen(f"{entry.admin_url}/metrics", timeout=5) as answer:
            count = f'mosk_proxy_connections_refused_total{{cause="descriptors"}} {turned_away["descriptors"]}.0'
            assert count in answer.read().decode()
        entry.hang_up()
        entry.until(lambda: not entry.running.edge.connections)
        assert entry.ask("GET", POD).status == 200


def test_a_connection_beyond_the_limit_is_closed_at_once(make_door: Maker) -> None:
    entry = make_door(limits={"connections": 2})
    first, second = entry.connect(), entry.connect()
    for wire in (first, second):
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == 200
    assert entry.connect().is_ended()
    assert entry.running.edge.counters.turned_away == {"limits.connections": 1}
    second.sock.shutdown(socket.SHUT_RDWR)
    entry.until(lambda: len(entry.running.edge.connections) == 1)
    assert entry.ask("GET", POD).status == 200

"""What a request with a known token may cost, in counts that do not depend on the machine: no task, no timer, no lock, few calls.

The protocols of both sides are driven without sockets: the transports only count. The figures are bounds, not targets: raise one only
together with a measurement in docs/performance.md.
"""

import asyncio
import contextlib
import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from edge_door import ISSUER, Issuer
from ruamel.yaml import YAML

from proxy.app.reload import user_limits
from proxy.app.site import SiteBuilder, edge_settings
from proxy.edge.client_connection import ClientConnection
from proxy.edge.context import Edge
from proxy.forwarding.connection import UpstreamConnection
from proxy.forwarding.pool import Pool
from proxy.forwarding.tasks import TaskSet
from proxy.settings import load

ROLE: Final = "m:k8s:team-a:prod@cluster-admin"
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nAudit-Id: 4d2f\r\nCache-Control: no-cache, private\r\nContent-Type: application/json\r\n"
    b"Date: Wed, 25 Nov 2026 03:00:00 GMT\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
)
_CALLS_A_MILLISECOND: Final = 2  # Timestamps._worded and divmod
REQUESTS: Final = 128  # as many as a page of request ids has


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what is scheduled."""

    def __init__(self) -> None:
        self.scheduled: Counter[str] = Counter()
        super().__init__()

    def create_task(self, *arguments: Any, **options: Any) -> Any:
        self.scheduled["task"] += 1
        return super().create_task(*arguments, **options)

    def call_soon(self, *arguments: Any, **options: Any) -> Any:
        self.scheduled["callback"] += 1
        return super().call_soon(*arguments, **options)

    def call_at(self, *arguments: Any, **options: Any) -> Any:
        self.scheduled["timer"] += 1
        return super().call_at(*arguments, **options)


class CountingTransport:
    """Takes everything and counts the calls; each write of a real one is a system call."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def get_extra_info(self, name: str) -> object:
        return ("192.0.2.1", 50000) if name == "peername" else None

    def is_closing(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        def count(*_: object, **__: object) -> None:
            self.calls[name] += 1

        self.__dict__[name] = count
        return count


class Journey:
    """One client's connection, one pooled connection of the upstream, and the edge between."""

    def __init__(self, edge: Edge, issuer: Issuer, roles: Sequence[str]) -> None:
        self.client, self.upstream = CountingTransport(), CountingTransport()
        self.connection: ClientConnection = edge.connection()
        self.connection.connection_made(self.client)  # type: ignore[arg-type]
        pool: Pool = edge.site.pools["k8s/team-a/prod"]
        self.answering = UpstreamConnection(pool)
        self.answering.connection_made(self.upstream)  # type: ignore[arg-type]
        pool._pooled += 1
        pool.release(self.answering)
        self._block = (
            f" HTTP/1.1\r\nHost: entry.example\r\nUser-Agent: kubectl/v1.35.4\r\nAccept: application/json\r\n"
            f"Authorization: Bearer {issuer.token(roles)}\r\nAccept-Encoding: gzip\r\n\r\n"
        ).encode()

    def heads(self, *, repeated: bool) -> list[bytes]:
        path = b"GET /k8s/team-a/prod/api/v1/namespaces/default/pods/web"
        return [path + (b"" if repeated else b"-%d" % number) + self._block for number in range(REQUESTS)]

    def run(self, heads: Sequence[bytes]) -> None:
        for head in heads:
            self.connection.data_received(head)
            self.answering.data_received(ANSWER)


def with_a_path(
    folder: Path, body: Callable[[CountingLoop, Journey], object], roles: Sequence[str] = (ROLE,), clusters: int = 1
) -> None:
    """Run `body` beside a path whose keys are read and whose memories are warm."""
    issuer = Issuer(folder)
    (folder / "proxy.token").write_text("secret")
    api = {"url": "http://127.0.0.1:9", "credential": {"kind": "impersonate", "token_file": "proxy.token"}}
    others = [{"namespace": f"t-{number}", "name": "c", "api": api} for number in range(clusters - 1)]
    document = {
        "public_url": "https://entry.example",
        "listen": {"address": "127.0.0.1", "port": 1},
        "issuers": [{"issuer": ISSUER, "audiences": ["k8s"], "jwks_file": "jwks.json"}],
        "clusters": [*others, {"namespace": "team-a", "name": "prod", "api": api}],
        "limits": {"requests_per_user": 1_000_000},
    }
    with (folder / "c.yaml").open("w") as file:
        YAML(typ="safe").dump(document, file)
    settings = load(folder / "c.yaml")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        tasks = TaskSet(loop)
        edge = Edge(SiteBuilder(tasks).build(settings), edge_settings(settings), user_limits(settings), lambda _: None, None)
        await _until(lambda: edge.site.authenticator.states[0].ready)
        path = Journey(edge, issuer, roles)
        for _ in range(3):
            path.run(path.heads(repeated=True))
        body(loop, path)
        await edge.tasks.close()
        await tasks.close()

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    waiting: Awaitable[None] = asyncio.wait_for(wait(), 10)
    await waiting


@contextlib.contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """Count calls: of Python functions under `python`, of functions in C under their names."""
    counts: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        del frame
        if event == "call":
            counts["python"] += 1
        elif event == "c_call":
            counts[argument.__name__] += 1

    sys.setprofile(count)
    try:
        yield counts
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("repeated", [True, False], ids=["the same again", "another path each time"])
def test_nothing_is_scheduled_and_each_side_is_written_to_once(tmp_path: Path, repeated: bool) -> None:
    def body(loop: CountingLoop, path: Journey) -> None:
        heads = path.heads(repeated=repeated)
        for counts in (loop.scheduled, path.client.calls, path.upstream.calls):
            counts.clear()
        path.run(heads)
        assert loop.scheduled == {}
        assert path.client.calls == {"writelines": REQUESTS}
        assert path.upstream.calls == {"write": REQUESTS}

    with_a_path(tmp_path, body)


@pytest.mark.parametrize(
    ("repeated", "most_python", "most_c"), [(True, 62, 45), (False, 68, 55)], ids=["the same again", "another path each time"]
)
def test_a_request_takes_a_bounded_number_of_calls_and_no_lock(
    tmp_path: Path,
    repeated: bool,
    most_python: int,
    most_c: int,
) -> None:
    def body(_: CountingLoop, path: Journey) -> None:
        heads = path.heads(repeated=repeated)
        with counted_calls() as counts:
            path.run(heads)
        python = counts.pop("python") / REQUESTS
        assert python <= most_python
        assert counts.total() / REQUESTS <= most_c, counts.most_common(20)
        assert counts["urandom"] == 1
        for forbidden in ("acquire", "__enter__", "sleep", "sha256", "getrandom", "compile"):
            assert counts[forbidden] == 0, forbidden

    with_a_path(tmp_path, body)


def test_requests_leave_nothing_behind_and_hold_little_meanwhile(tmp_path: Path) -> None:
    def body(_: CountingLoop, path: Journey) -> None:
        heads = path.heads(repeated=True)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            path.run(heads)
            before, _peak = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for _ in range(20):
                path.run(heads)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
        assert after - before < 20 * REQUESTS  # less than a byte a request, and no cycle that waits for the collector
        assert peak - before < 40_000

    with_a_path(tmp_path, body)


@pytest.mark.parametrize("change", [(b"Bearer ", b"Bearer x"), (b"/k8s/team-a/prod", b"/k8s/team-b/prod")])
def test_refusals_leave_no_cycle_behind(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    def body(_: CountingLoop, path: Journey) -> None:
        heads = [head.replace(*change) for head in path.heads(repeated=False)]
        for head in heads[:3]:
            path.connection.data_received(head)
        gc.collect()
        gc.disable()
        try:
            for head in heads[3:]:
                path.connection.data_received(head)
            found = gc.collect()
        finally:
            gc.enable()
        assert path.client.calls["write"] >= REQUESTS
        assert found < REQUESTS / 4

    with_a_path(tmp_path, body)


@pytest.mark.parametrize("end", ["lost", "detached"])
def test_an_upstream_connection_that_ends_leaves_no_cycle_behind(end: str) -> None:
    transport = CountingTransport()
    gc.collect()
    gc.disable()
    try:
        connection = UpstreamConnection(None)
        connection.connection_made(transport)  # type: ignore[arg-type]
        if end == "lost":
            connection.connection_lost(None)
        else:
            connection.detach()
        del connection
        found = gc.collect()
    finally:
        gc.enable()
    assert found == 0


def test_neither_roles_nor_clusters_make_a_request_dearer(tmp_path: Path) -> None:
    calls = []
    many = [f"m:k8s:t-{number}:c@cluster-admin" for number in range(500)]

    def body(_: CountingLoop, path: Journey) -> None:
        heads = path.heads(repeated=False)
        with counted_calls() as counts:
            path.run(heads)
        # How often a millisecond begins, and with it another wording of the time, is the machine's affair.
        calls.append(counts.total() - counts["divmod"] * _CALLS_A_MILLISECOND)

    for roles, clusters in (([ROLE], 1), ([*many, ROLE, *(role.replace(":c@", ":d@") for role in many)], 1), ([ROLE], 1000)):
        with_a_path(tmp_path, body, roles, clusters)
    assert max(calls) - min(calls) <= 4 * _CALLS_A_MILLISECOND, calls

"""Several workers, as processes that clients and an operator meet."""

import contextlib
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from app_supervised import Host, Supervised, get, session, until
from edge_door import POD, Door, Issuer, Upstream, Wire, client_tls, write_authority, write_configuration, write_pair

from proxy.app.supervising import WorkerSource
from proxy.settings import load

KAAS = "/kaas/api/v1/namespaces/team-a/events"
TLS = {"certificate_file": "tls.crt", "key_file": "tls.key"}


class Workers(Door):
    """A door of several processes."""

    supervised: Supervised

    def metric(self, series: str) -> float:
        status, text = get(f"{self.admin_url}/metrics")
        assert status == 200
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.rpartition(" ")[0] == series)

    def statuses(self, target: str, connections: int = 16) -> set[int]:
        """What so many new connections are answered."""
        return {self.ask("GET", target).status for _ in range(connections)}


Maker = Callable[..., Workers]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with contextlib.closing(Host()) as running:
        yield running


@pytest.fixture
def prepare(tmp_path: Path) -> Iterator[Callable[..., tuple[Path, Upstream, Issuer]]]:
    """Write a configuration for two workers."""
    upstreams = []

    def write(script: Any = None, **changes: Any) -> tuple[Path, Upstream, Issuer]:
        upstream, issuer = Upstream(*([script] if script else [])), Issuer(tmp_path)
        upstreams.append(upstream)
        (tmp_path / "proxy.token").write_text("secret-of-the-proxy")
        write_pair(tmp_path)
        write_authority(tmp_path / "authority.crt", "authority")
        free = {"listen": {"address": "127.0.0.1", "port": 0}, "admin": {"port": 0}}
        file = tmp_path / "mosk-proxy.yaml"
        write_configuration(file, upstream, **{"workers": 2, **free, **changes})
        return file, upstream, issuer

    yield write
    for upstream in upstreams:
        upstream.close()
        assert not upstream.errors


@pytest.fixture
def make(host: Host, prepare: Callable[..., tuple[Path, Upstream, Issuer]]) -> Iterator[Maker]:
    """Start two workers with a scripted upstream."""
    with contextlib.ExitStack() as stack:

        def start(script: Any = None, pace: dict[str, float] | None = None, **changes: Any) -> Workers:
            file, upstream, issuer = prepare(script, **changes)
            supervised = host.start(file, **(pace or {}))
            stack.callback(supervised.end)
            url, admin_url = supervised.urls()
            port, is_tls = int(url.rpartition(":")[2]), url.startswith("https")
            audit_file = file.with_name("audit.log")
            door = Workers(cast("Any", None), port, admin_url, upstream, issuer, audit_file, cast("Any", None), file, is_tls)
            door.supervised = supervised
            stack.callback(door.hang_up)
            return door

        yield start


def test_both_serve_and_one_listener_tells_how_all_stand(make: Maker) -> None:
    entry = make()
    wires = [entry.connect() for _ in range(16)]
    for wire in wires:
        wire.send(entry.head("GET", POD))
        assert wire.answer().status == 200
    assert get(f"{entry.admin_url}/readyz") == (200, "ok")
    _, told = get(f"{entry.admin_url}/readyz?verbose")
    assert "[+]worker-1/issuers ok\n" in told
    assert "[+]worker-2/draining ok\n" in told
    _, told = get(f"{entry.admin_url}/livez?verbose")
    assert "[+]ping ok\n[+]worker-1 ok: serving, restarts: 0\n" in told
    assert entry.metric('mosk_proxy_requests_total{status="200",target="k8s",verb="get"}') == 16
    assert entry.metric('mosk_proxy_request_duration_seconds_bucket{le="+Inf",target="k8s"}') == 16
    assert entry.metric("mosk_proxy_connections") == 16
    assert entry.metric('mosk_proxy_worker_up{worker="2"}') == 1
    lines = entry.audit_lines(16)
    assert len({line["request_id"] for line in lines}) == 16
    assert until(lambda: entry.metric("mosk_proxy_audit_lines_written_total") == 16)
    os.kill(entry.supervised.workers()[0], signal.SIGKILL)
    alive = [wire for wire in wires if is_answered(entry, wire)]
    assert 0 < len(alive) < 16, "both had connections, and those of the other one live on"


def is_answered(entry: Door, wire: Wire) -> bool:
    with contextlib.suppress(OSError):
        wire.send(entry.head("GET", POD))
        return wire.answer().status == 200
    return False


def test_a_killed_worker_is_replaced_and_no_new_connection_is_refused(make: Maker) -> None:
    entry = make()
    before = entry.supervised.workers()
    assert entry.statuses(POD) == {200}
    counted = 'mosk_proxy_requests_total{status="200",target="k8s",verb="get"}'
    assert entry.metric(counted) == 16
    refusals, answers, enough = list[OSError](), list[int](), threading.Event()

    def stream() -> None:
        head = entry.head("GET", POD, "Connection: close")
        while not enough.is_set():
            try:
                with socket.create_connection(("127.0.0.1", entry.port), timeout=10) as sock:
                    wire = Wire(sock)
                    wire.send(head)
                    answers.append(wire.answer().status)
            except ConnectionRefusedError as error:
                refusals.append(error)
            except ConnectionError:
                answers.append(0)  # its request was under way in the worker that was killed

    client = threading.Thread(target=stream)
    client.start()
    os.kill(before[0], signal.SIGKILL)
    entry.supervised.says("worker 1 serves again")
    time.sleep(0.05)
    enough.set()
    client.join(timeout=10)
    assert refusals == []
    assert answers.count(0) <= 1
    assert answers.count(200) > 10
    after = entry.supervised.workers()
    assert before[1] in after
    assert len(after) == 2
    assert entry.metric(counted) >= 16, "what it counted stays"
    assert entry.metric('mosk_proxy_worker_restarts_total{worker="1"}') == 1
    assert "was ended by SIGKILL; another one follows in 0.0 s" in entry.supervised.says(f"worker 1 (process {before[0]})")
    entry.supervised.signal(signal.SIGTERM)
    assert entry.supervised.wait() == 0
    assert all(line.startswith("{") and line.endswith("}") for line in entry.audit_file.read_text().splitlines())


def test_a_hung_worker_is_named_and_holds_up_nobody_and_is_replaced(make: Maker) -> None:
    entry = make(pace={"silent_looks": 20, "answer_seconds": 0.3})
    hung = entry.supervised.workers()[1]
    os.kill(hung, signal.SIGSTOP)
    status, told = get(f"{entry.admin_url}/readyz")
    assert status == 503
    assert "[-]worker-2 failed: no answer within 0.3 s\n" in told
    assert get(f"{entry.admin_url}/livez")[0] == 200
    _, told = get(f"{entry.admin_url}/metrics")
    assert 'mosk_proxy_worker_up{worker="1"} 1.0\nmosk_proxy_worker_up{worker="2"} 0.0\n' in told
    entry.supervised.says(f"worker 2 (process {hung}) is silent: killed")
    entry.supervised.says("worker 2 serves again")
    assert until(lambda: get(f"{entry.admin_url}/readyz")[0] == 200)
    assert entry.statuses(POD) == {200}


def test_a_reload_reaches_all_and_their_successors_even_when_the_file_is_broken_by_then(make: Maker) -> None:
    entry = make()
    assert entry.statuses(KAAS) == {200}
    moved = entry.audit_file.rename(entry.audit_file.with_name("audit.log.1"))
    write_configuration(
        entry.config_file,
        entry.upstream,
        workers=2,
        listen={"address": "127.0.0.1", "port": 0},
        admin={"port": 0},
        policy={"system_namespaces": ["team-a"]},
    )
    entry.supervised.signal(signal.SIGHUP)
    assert until(lambda: len([line for line in entry.supervised.lines if "reloaded: SIGHUP" in line]) == 2)
    assert entry.statuses(KAAS) == {403}
    assert len(moved.read_text().splitlines()) == 16
    assert len(entry.audit_lines(16)) == 16, "the audit file was opened again"
    time.sleep(0.5)  # a heartbeat tells that the reload was taken over
    entry.config_file.write_text("public_url: [")
    os.kill(entry.supervised.workers()[0], signal.SIGKILL)
    entry.supervised.says("the configuration is not valid now")
    entry.supervised.says("worker 1 serves again")
    assert entry.statuses(KAAS) == {403}


def test_a_drain_lets_requests_end_and_a_worker_that_is_done_gets_no_connection_any_more(make: Maker) -> None:
    go_on = threading.Event()

    def slow(wire: Wire) -> None:
        while wire.request():
            go_on.wait(10)
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    entry = make(slow)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert entry.upstream.requests.get(timeout=5)
    entry.supervised.signal(signal.SIGTERM)
    assert until(lambda: len(entry.supervised.workers()) == 1)
    status, told = get(f"{entry.admin_url}/readyz")
    assert status == 503
    assert "[-]draining failed: shutting down\n" in told
    assert entry.statuses(POD) == {503}, "each is told so by the worker that still drains"
    go_on.set()
    assert wire.answer().status == 200
    assert entry.supervised.wait() == 0
    assert session(entry.supervised.pid) == []
    with pytest.raises(ConnectionRefusedError):
        entry.connect()


def test_a_second_signal_ends_the_drain(make: Maker) -> None:
    def never(wire: Wire) -> None:
        wire.request()
        wire.rest()

    entry = make(never)
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert entry.upstream.requests.get(timeout=5)
    entry.supervised.signal(signal.SIGTERM)
    assert until(lambda: len(entry.supervised.workers()) == 1)
    os.kill(entry.supervised.workers()[0], signal.SIGTERM)  # as to the whole group: counts for nothing
    time.sleep(0.1)
    assert session(entry.supervised.pid)
    entry.supervised.signal(signal.SIGINT)
    assert entry.supervised.wait() == 0


def test_a_single_worker_that_is_told_to_end_drains_and_is_replaced(make: Maker) -> None:
    entry = make()
    first, second = entry.supervised.workers()
    os.kill(first, signal.SIGTERM)
    entry.supervised.says(f"worker 1 (process {first}) ended with status 0")
    entry.supervised.says("worker 1 serves again")
    assert second in entry.supervised.workers()
    assert entry.statuses(POD) == {200}


def test_workers_end_in_order_when_their_supervisor_is_killed(make: Maker) -> None:
    entry = make()
    wire = entry.connect()
    wire.send(entry.head("GET", POD))
    assert wire.answer().status == 200
    entry.supervised.signal(signal.SIGKILL)
    assert entry.supervised.wait() == -signal.SIGKILL
    assert until(lambda: not session(entry.supervised.pid))
    assert len(entry.audit_lines(1)) == 1
    with pytest.raises(ConnectionRefusedError):
        entry.connect()


def test_a_session_ticket_of_one_worker_resumes_in_the_other_also_when_the_certificate_has_changed(make: Maker) -> None:
    entry = make(listen={"address": "127.0.0.1", "port": 0, "tls": TLS})
    first = entry.connect()
    first.send(entry.head("GET", POD))
    assert first.answer().status == 200
    ticket, old = cast("ssl.SSLSocket", first.sock).session, serial_number(first)
    write_pair(entry.config_file.parent)
    entry.supervised.signal(signal.SIGHUP)
    assert until(lambda: len([line for line in entry.supervised.lines if "reloaded: SIGHUP" in line]) == 2)
    os.kill(entry.supervised.workers()[0], signal.SIGKILL)
    entry.supervised.says("serves again")
    for _ in range(12):
        with socket.create_connection(("127.0.0.1", entry.port), timeout=10) as plain:
            sock = client_tls().wrap_socket(plain, server_hostname="entry.example", session=ticket)
            assert sock.session_reused
            sock.close()
    new = {serial_number(entry.connect()) for _ in range(12)}
    assert len(new) == 1, "also the worker that came later has the new pair"
    assert new != {old}


def serial_number(wire: Wire) -> str:
    certificate = cast("ssl.SSLSocket", wire.sock).getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


def test_a_worker_that_starts_gets_what_the_files_say_then_or_what_was_valid_last(
    prepare: Callable[..., tuple[Path, Upstream, Issuer]], caplog: pytest.LogCaptureFixture
) -> None:
    file, upstream, _ = prepare()
    settings = load(file)
    source = WorkerSource(settings, file, (), None, 1)
    source.prepare()
    assert source.settings is settings, "nothing has changed, nothing is read"
    write_configuration(file, upstream, workers=3, hosts=["other.example"], listen={"port": 1, "tls": TLS}, audit={"path": None})
    source.prepare()
    assert source.settings.hosts == ("other.example",)
    fixed = ("workers", "listen", "admin", "audit")
    assert [getattr(source.settings, name) for name in fixed] == [getattr(settings, name) for name in fixed]
    assert caplog.messages == []
    file.write_text("public_url: [")
    source.prepare()
    assert source.settings.hosts == ("other.example",)
    assert caplog.messages == ["the configuration is not valid now: a worker that starts gets the last one that was"]
    write_configuration(file, upstream)
    source.refresh()
    assert source.settings.hosts == ()


@pytest.mark.parametrize("listener", ["listen", "admin"])
def test_a_port_in_use_is_one_line_and_status_1(host: Host, prepare: Callable[..., Any], listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file, *_ = prepare(**{listener: {"address": "127.0.0.1", "port": taken.getsockname()[1]}})
        supervised = host.start(file)
        assert supervised.wait() == 1
    (line,) = supervised.lines
    assert line.startswith("mosk-proxy: ")
    assert "ddress already in use" in line
    assert session(supervised.pid) == []


def test_an_audit_file_that_cannot_be_opened_is_one_line_and_status_1(host: Host, prepare: Callable[..., Any]) -> None:
    file, *_ = prepare(audit={"path": "nobody-reads"})
    os.mkfifo(file.with_name("nobody-reads"))
    supervised = host.start(file)
    assert supervised.wait() == 1
    assert supervised.lines == [f"mosk-proxy: {file.with_name('nobody-reads')}: No such device or address"]


def test_without_the_process_that_makes_workers_all_end(make: Maker) -> None:
    entry = make()
    os.kill(entry.supervised.fork_server(), signal.SIGKILL)
    assert entry.supervised.wait() == 1
    assert entry.supervised.lines[-1] == "mosk-proxy: the process that makes workers has ended"
    assert session(entry.supervised.pid) == []

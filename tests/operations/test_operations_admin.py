"""The admin listener, asked by a real client."""

import asyncio
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from operations_figures import sources

from proxy.operations.admin import AdminListener
from proxy.operations.metrics import Metrics
from proxy.operations.overview import ProcessOverview
from proxy.operations.probes import Check

ROOT = Path(__file__).parents[2]


class Drain:
    reason: str | None = None

    def probe(self) -> str | None:
        return self.reason


@pytest.fixture
def drain():
    return Drain()


@pytest.fixture
async def url(drain):
    listener = AdminListener(ProcessOverview([Check("loop", lambda: None)], [Check("draining", drain.probe)], Metrics(sources())))
    async with listener.running("127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def client():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("path", "reason", "status", "text"),
    [
        ("/livez", None, 200, "ok"),
        ("/readyz", None, 200, "ok"),
        ("/livez?verbose", "shutting down", 200, "[+]loop ok\nlivez check passed\n"),
        ("/livez?verbose=1", None, 200, "[+]loop ok\nlivez check passed\n"),
        ("/readyz?verbose", None, 200, "[+]draining ok\nreadyz check passed\n"),
        ("/readyz", "shutting down", 503, "[-]draining failed: shutting down\nreadyz check failed\n"),
        ("/readyz?verbose", "shutting down", 503, "[-]draining failed: shutting down\nreadyz check failed\n"),
    ],
)
async def test_probes(url, client, drain, path, reason, status, text):
    drain.reason = reason
    async with client.get(url + path) as answer:
        assert (answer.status, await answer.text()) == (status, text)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "mosk-proxy"
    async with client.head(url + path) as answer:
        assert (answer.status, await answer.text()) == (status, "")


async def test_metrics(url, client):
    async with client.get(url + "/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'mosk_proxy_requests_total{status="200",target="kaas",verb="list"} 5.0' in await answer.text()
    async with client.head(url + "/metrics") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "path", ["/", "/livez/", "/livez/loop", "/healthz", "/metrics/x", "/kaas/api", "/console", "//livez", "/LIVEZ"]
)
async def test_there_is_nothing_else(url, client, path):
    async with client.get(url + path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_it_is_for_reading_only(url, client, method, path):
    async with client.request(method, url + path) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"


async def test_a_broken_request_is_refused_without_a_traceback_in_the_log(url, caplog):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()
    assert caplog.messages == []


async def test_probing_fills_no_log(url, client, caplog):
    caplog.set_level(logging.DEBUG)
    async with client.get(url + "/livez"):
        pass
    assert [record for record in caplog.records if record.name.startswith(("aiohttp", "proxy"))] == []


async def test_a_port_in_use_is_an_error_for_whoever_starts_it(url):
    port = int(url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="address already in use"):
        async with AdminListener(ProcessOverview([], [], Metrics(sources()))).running("127.0.0.1", port):
            pass


async def test_nothing_listens_any_more_when_it_has_ended():
    async with AdminListener(ProcessOverview([], [], Metrics(sources()))).running("127.0.0.1", 0) as port:
        pass
    with socket.socket() as connection:
        assert connection.connect_ex(("127.0.0.1", port)) != 0


async def test_metrics_do_not_wait_for_the_threads_of_the_loop(url, client):
    loop, gate = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    resolving = loop.run_in_executor(None, gate.wait)
    async with asyncio.timeout(5), client.get(url + "/metrics") as answer:
        assert answer.status == 200
    gate.set()
    await resolving


WITHOUT_DESCRIPTORS = """
import asyncio, os, resource, signal, sys
sys.path.insert(0, "tests/operations")
import uvloop
from operations_figures import sources
from proxy.operations.admin import AdminListener
from proxy.operations.metrics import Metrics
from proxy.operations.overview import ProcessOverview
from proxy.operations.probes import Check, descriptors

taken, spent = [], []

def take_all():
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        spent.append(sum(os.times()[:2]))
        print("taken", flush=True)

def give_back():
    while taken:
        os.close(taken.pop())
    print(sum(os.times()[:2]) - spent[0], flush=True)

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, take_all)
    loop.add_signal_handler(signal.SIGUSR2, give_back)
    loop.add_signal_handler(signal.SIGTERM, end.set)
    overview = ProcessOverview([Check("loop", lambda: None)], [Check("descriptors", descriptors)], Metrics(sources()))
    listener = AdminListener(overview)
    async with listener.running("127.0.0.1", 0) as port:
        print(port, flush=True)
        await end.wait()

uvloop.run(main())
"""


@pytest.fixture
def short_of_descriptors():
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        yield process
        process.kill()


def ask(connection: socket.socket, path: str) -> str:
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n".encode())
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(65536)
    head, _, body = text.partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return head.split(b"\r\n")[0].decode().removeprefix("HTTP/1.1 ") + " " + body.decode()


def test_without_a_free_descriptor_probes_still_answer_and_new_ones_do_so_afterwards(short_of_descriptors):
    process = short_of_descriptors
    port = int(process.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=5) as known:
        assert ask(known, "/readyz") == "200 OK ok"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "taken\n"
        with socket.create_connection(("127.0.0.1", port), timeout=5):  # not served, and must not spin
            time.sleep(0.3)
            assert ask(known, "/livez") == "200 OK ok"
            assert "[-]descriptors failed: all 120 file descriptors are in use" in ask(known, "/readyz")
            assert "mosk_proxy_connections 17.0" in ask(known, "/metrics")
        process.send_signal(signal.SIGUSR2)
        assert float(process.stdout.readline()) < 0.15  # seconds of processor time
        with socket.create_connection(("127.0.0.1", port), timeout=5) as new:
            assert ask(new, "/readyz") == "200 OK ok"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert process.stderr.read() == ""

"""The upstream of all measurements: answers every GET under /api/ with the same JSON, as cheaply as Python can.

    python -m bench.upstream --bytes 1024

Prints the port it took on 127.0.0.1 and runs until it is ended. A request for any other path gets 400, so that a proxy which
does not rewrite the path is found out.
"""

import argparse
import asyncio
import json
from typing import cast

import uvloop

WRONG = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
END = b"\r\n\r\n"


def body_of(size: int) -> bytes:
    """A JSON object of exactly `size` bytes that looks like a Kubernetes object."""
    frame = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "sample", "namespace": "app"}, "data": {"text": ""}}
    frame["data"] = {"text": "x" * max(0, size - len(json.dumps(frame)))}
    return json.dumps(frame).encode()


def answer_of(body: bytes) -> bytes:
    """A whole answer with the headers that a Kubernetes API server sends."""
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Audit-Id: 5a1c9f0e-6a3f-4a54-9d0c-3f0a2f6f2a11\r\n"
        "Cache-Control: no-cache, private\r\n"
        "Content-Type: application/json\r\n"
        "X-Kubernetes-Pf-Flowschema-Uid: 1d0a2f3b-77a1-4d1e-9a3e-0b9d8c7e6f5a\r\n"
        "X-Kubernetes-Pf-Prioritylevel-Uid: 9f8e7d6c-5b4a-4938-8271-605f4e3d2c1b\r\n"
        "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Upstream(asyncio.Protocol):
    """Counts heads, does not parse them: only requests without a body may come."""

    __slots__ = ("answer", "held", "transport")

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self.held:
            data = self.held + data
        if data.endswith(END) and data.count(END) == 1:
            self.held = b""
            self.transport.write(self.answer if data.startswith(b"GET /api/") else WRONG)
            return
        *heads, self.held = data.split(END)
        for head in heads:
            self.transport.write(self.answer if head.startswith(b"GET /api/") else WRONG)


async def serve(size: int) -> None:
    """Listen on a free port of 127.0.0.1, print it, and answer for ever."""
    answer = answer_of(body_of(size))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(answer), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Run until ended from outside."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bytes", type=int, default=1024, help="size of the answers' bodies")
    uvloop.run(serve(options.parse_args().bytes))


if __name__ == "__main__":
    main()

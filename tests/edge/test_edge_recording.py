"""Audit lines: which requests have them, and what each field says."""

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

from edge_door import POD, Door

Maker = Callable[..., Door]


class SlowReader:
    """A pipe in the audit log's place, which is read only when asked."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True)
        os.mkfifo(path)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read_until(self, end: Callable[[list[bytes]], object]) -> bytes:
        pieces: list[bytes] = []
        deadline = time.monotonic() + 10
        while not end(pieces):
            assert time.monotonic() < deadline
            if select.select([self.descriptor], [], [], 0.01)[0]:
                pieces.append(os.read(self.descriptor, 1 << 20))
        return b"".join(pieces)


def test_a_full_audit_log_that_refuses_answers_503_without_a_line(make_door: Maker, tmp_path: Path) -> None:
    reader = SlowReader(tmp_path / "0" / "audit.log")
    entry = make_door(audit={"path": "audit.log", "when_full": "refuse"})
    audit = entry.running.audit
    entry.call(lambda: [audit.put(b'{"filler": "%b"}' % (b"x" * 1_000_000)) for _ in range(34)])
    for target in (POD, "/", "/kaas/api/v1/namespaces"):
        answer = entry.ask("GET", target)
        assert (answer.status, answer["retry-after"]) == (503, "5")
    assert entry.ask("GET", "/nowhere").status == 404
    assert entry.upstream.taken() == []
    written = reader.read_until(lambda _: audit.accepting)
    assert entry.ask("GET", POD).status == 200
    written += reader.read_until(lambda pieces: any(b'"status":200' in piece for piece in pieces))
    lines = [line for line in written.splitlines() if b"filler" not in line]
    assert [b'"status":200' in line for line in lines] == [True]
    counts = entry.running.edge.counters.requests
    assert {key: count for key, count in counts.items() if key[2] == 503} == {
        ("k8s", "get", 503): 1,
        ("own", "none", 503): 1,
        ("kaas", "list", 503): 1,
    }

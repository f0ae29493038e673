"""What is recorded of a request, its time and its ids."""

import json
import re

import msgspec

from proxy.edge.events import AuditEvent, RequestIds, Timestamps, audit_line

# The contract's section 4, in its order.
FIELDS = [
    "time",
    "stage",
    "request_id",
    "client",
    "user",
    "roles",
    "granted_by",
    "through",
    "target",
    "verb",
    "method",
    "path",
    "surface",
    "decision",
    "reason",
    "upstream",
    "status",
    "bytes_in",
    "bytes_out",
    "duration_ms",
]


def event(**changes) -> AuditEvent:
    unknown = dict.fromkeys(FIELDS)
    known = {"time": "t", "stage": "end", "request_id": "a", "client": "c", "method": "GET", "path": "/", "decision": "allow"}
    return AuditEvent(**(unknown | known | {"bytes_in": 0, "bytes_out": 0} | changes))


def test_every_line_has_every_field_in_order_and_null_where_unknown() -> None:
    line = json.loads(audit_line(event()))
    assert list(line) == FIELDS
    assert [name for name, value in line.items() if value is None] == [
        "user",
        "roles",
        "granted_by",
        "through",
        "target",
        "verb",
        "surface",
        "reason",
        "upstream",
        "status",
        "duration_ms",
    ]


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    line = audit_line(event(user='a"b\r\n\u2028c', path="/\x00", reason="\x1b[31m"))
    assert b"\n" not in line
    assert b"\r" not in line
    assert b"\x1b" not in line
    assert json.loads(line)["user"] == 'a"b\r\n\u2028c'
    assert msgspec.json.decode(line, type=AuditEvent) == event(user='a"b\r\n\u2028c', path="/\x00", reason="\x1b[31m")


def test_times_are_rfc_3339_in_utc_to_the_millisecond() -> None:
    stamps = Timestamps()
    assert [stamps.stamp(now) for now in (0.0, 0.9994, 1764054000.25, 1764054000.9999, 1764054001.0, 1764054000.5)] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.999Z",
        "2025-11-25T07:00:00.250Z",
        "2025-11-25T07:00:00.999Z",
        "2025-11-25T07:00:01.000Z",
        "2025-11-25T07:00:00.500Z",
    ]


def test_ids_are_hexadecimal_and_never_come_twice() -> None:
    ids = RequestIds()
    taken = [ids.take() for _ in range(1000)]
    assert all(re.fullmatch(rb"[0-9a-f]{32}", request) and re.fullmatch(rb"[0-9a-f]{16}", span) for request, span in taken)
    assert len({request for request, _ in taken}) == len({span for _, span in taken}) == 1000

"""What the demonstration API reads: paths, selectors, columns' paths, schemas, times and protobuf bodies."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from proxy.demo.kubernetes import api_path, protobuf
from proxy.demo.kubernetes.api_path import ApiPath
from proxy.demo.kubernetes.documents import age, digest, parse_timestamp, timestamp
from proxy.demo.kubernetes.jsonpath import evaluate
from proxy.demo.kubernetes.refusals import Refused
from proxy.demo.kubernetes.schema_language import schemas, unknown_fields, violations
from proxy.demo.kubernetes.selectors import selection


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ApiPath("", "v1", None, "pods")),
        ("/api/v1/namespaces/a/pods/", ApiPath("", "v1", "a", "pods")),
        ("/api/v1/namespaces/a/pods/p/exec", ApiPath("", "v1", "a", "pods", "p", "exec")),
        ("/api/v1/namespaces/a", ApiPath("", "v1", None, "namespaces", "a")),
        ("/api/v1/namespaces/a/status", ApiPath("", "v1", None, "namespaces", "a", "status")),
        ("/api/v1/namespaces/a/pods/p/proxy/x/y", ApiPath("", "v1", "a", "pods", "p", "proxy", "x/y")),
        ("/apis/apps/v1/namespaces/a/deployments/d/scale", ApiPath("apps", "v1", "a", "deployments", "d", "scale")),
        ("/apis/apps/v1", None),
        ("/api/v1", None),
        ("/api/v1/pods//x", None),
        ("/api/v1/namespaces/a/pods/p/exec/more", None),
        ("/version", None),
    ],
)
def test_paths(path: str, expected: ApiPath | None) -> None:
    assert api_path.parse(path) == expected


CANDIDATE = {"metadata": {"name": "n", "labels": {"app": "web", "tier": "front"}}, "spec": {"on": True}}


@pytest.mark.parametrize(
    ("labels", "fields", "expected"),
    [
        ("", "", True),
        ("app=web", "", True),
        ("app==web,tier!=back", "", True),
        ("app=db", "", False),
        ("app!=web", "", False),
        ("app in (web, db),tier", "", True),
        ("app notin (web)", "", False),
        ("other notin (x)", "", True),
        ("!app", "", False),
        ("!other", "", True),
        ("", "metadata.name=n,spec.on=true", True),
        ("", "metadata.name!=n", False),
        ("", "spec.nodeName=", True),
    ],
)
def test_selectors(labels: str, fields: str, expected: bool) -> None:
    assert selection(labels, fields)(CANDIDATE) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".a.b", 1),
        (".a['b']", 1),
        (".list[1].v", "two"),
        ('.list[?(@.k=="x")].v', "one"),
        (".labels.dotted\\.name", "yes"),
        (".a.nothing.more", None),
        (".list[7]", None),
        (".a[*]", None),
        ('.a[?(@.k=="x")]', None),
    ],
)
def test_column_paths(path: str, expected: Any) -> None:
    document = {"a": {"b": 1}, "list": [{"k": "x", "v": "one"}, {"k": "y", "v": "two"}], "labels": {"dotted.name": "yes"}}
    assert evaluate(path, document) == expected


SCHEMA = schemas("""
Thing A thing.
  name! string Its name.
  count integer How many.
  on boolean Whether.
  open object+ Anything.
    known string Something.
  parts [object] Parts.
    id! integer Which.
  words {string} Texts.
  any any Anything at all.
""")["Thing"]


@pytest.mark.parametrize(
    ("document", "problems"),
    [
        (
            {"name": "x", "count": 1, "on": True, "open": {"y": 1}, "parts": [{"id": 1}], "words": {"a": "b"}, "any": {"z": []}},
            [],
        ),
        ({"name": "x", "count": None}, []),
        ({}, ["name"]),
        ({"name": 1}, ["name"]),
        ({"name": "x", "count": "1"}, ["count"]),
        ({"name": "x", "count": True}, ["count"]),
        ({"name": "x", "on": 1}, ["on"]),
        ({"name": "x", "open": {"known": 1}}, ["open.known"]),
        ({"name": "x", "parts": [{"id": 1}, {}, {"id": "a"}]}, ["parts[1].id", "parts[2].id"]),
        ({"name": "x", "words": {"a": 1}}, ["words.a"]),
        ([], ["<root>"]),
    ],
)
def test_schemas_find_wrong_types_and_missing_fields(document: Any, problems: list[str]) -> None:
    assert [path for path, _ in violations(SCHEMA, document)] == problems


def test_schemas_find_unknown_fields_of_closed_objects_only() -> None:
    document = {
        "name": "x",
        "extra": 1,
        "open": {"extra": 1},
        "parts": [{"id": 1, "extra": 1}],
        "any": {"extra": 1},
        "words": {"extra": "y"},
    }
    assert list(unknown_fields(SCHEMA, document)) == ["extra", "parts[0].extra"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (600, "10m"), (3 * 3600, "3h"), (3 * 3600 + 300, "3h5m"),
        (8 * 3600, "8h"), (48 * 3600, "2d"), (49 * 3600, "2d1h"), (8 * 86400, "8d"), (800 * 86400, "2y70d"), (9 * 365 * 86400, "9y"),
    ],
)  # fmt: skip
def test_ages_are_written_as_kubectl_writes_them(seconds: int, shown: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert age(timestamp(now - timedelta(seconds=seconds)), now) == shown
    assert (age(None), age("yesterday")) == ("<unknown>", "<invalid>")


def test_times_without_a_zone_are_utc_and_digests_are_stable() -> None:
    assert parse_timestamp("2026-01-01T00:00:00") == parse_timestamp("2026-01-01T01:00:00+01:00")
    assert digest("a", 1) == digest("a", 1) != digest("a", 2)


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3]) + varint(value)
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value: int) -> bytes:
    head = b""
    while value > 0x7F:
        head += bytes([value & 0x7F | 0x80])
        value >>= 7
    return head + bytes([value])


def envelope(api_version: bytes, kind: bytes, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, b"")


def test_protobuf_bodies_become_the_same_as_json() -> None:
    entry = field(1, b"word") + field(2, b"\x00\xff")
    metadata = field(1, b"s") + field(2, b"") + field(11, field(1, b"k") + field(2, b"v")) + field(14, b"f1") + field(14, b"f2")
    secret = field(1, metadata) + field(2, entry) + field(3, b"Opaque") + field(5, 1) + field(9, b"unknown")
    assert protobuf.decode(envelope(b"v1", b"Secret", secret)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"k": "v"}, "finalizers": ["f1", "f2"]},
        "data": {"word": base64.b64encode(b"\x00\xff").decode()},
        "type": "Opaque",
        "immutable": True,
    }
    scale = protobuf.decode(envelope(b"autoscaling/v1", b"Scale", field(2, field(1, 0))))
    assert scale["spec"] == {"replicas": 0}
    options = protobuf.decode(envelope(b"v1", b"DeleteOptions", field(1, (1 << 64) - 1)))
    assert options["gracePeriodSeconds"] == -1


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (b"{}", 400),
        (b"k8s\x00", 400),
        (b"k8s\x00\x0a\xff", 400),
        (b"k8s\x00\x0a" + b"\xff" * 11, 400),
        (b"k8s\x00\x0b", 400),
        (envelope(b"v1", b"Secret", b"\x08\x01"), 400),
        (envelope(b"v1", b"Secret", field(3, b"\xff")), 400),
        (envelope(b"v1", b"PodTemplate", b""), 415),
    ],
)
def test_other_protobuf_bodies_are_refused(received: bytes, code: int) -> None:
    with pytest.raises(Refused) as refused:
        protobuf.decode(received)
    assert refused.value.code == code

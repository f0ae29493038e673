"""Refusals that kubectl would not read: its discovery looks at no Status object, but every answer's warnings are shown."""

import re

import pytest
from edge_door import Door

READER = ("m:kaas:team-a@reader",)
WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')


@pytest.mark.parametrize("path", ["/api", "/apis", "/apis/apps/v1", "/version", "/openapi/v3"])
def test_a_refused_discovery_warns_with_the_message_of_its_status(entry: Door, path: str) -> None:
    answer = entry.ask("GET", f"/k8s/team-a/prod{path}", roles=READER)
    found = WARNING.fullmatch(answer["warning"] or "")
    assert answer.status == 403
    assert found
    assert re.sub(r"\\(.)", r"\1", found[1]) == answer.json()["message"]
    assert entry.upstream.taken() == []


@pytest.mark.parametrize("target", ["/kaas/api", "/k8s/team-a/prod/apis"])
def test_an_unbelieved_token_warns_at_discovery(entry: Door, target: str) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", target).replace(b"Bearer ", b"Bearer x"))
    answer = wire.answer()
    assert answer.status == 401
    assert answer["warning"] == f'299 - "{answer.json()["message"]}"'


@pytest.mark.parametrize(
    "target",
    ["/k8s/team-a/prod/api/v1/pods", "/kaas/api/v1/namespaces/team-a/secrets", "/sl/team-a/prod/grafana/", "/nowhere"],
)
def test_what_kubectl_reads_anyway_is_not_said_twice(entry: Door, target: str) -> None:
    answer = entry.ask("GET", target, roles=READER)
    assert answer.status in {403, 404}
    assert answer["warning"] is None

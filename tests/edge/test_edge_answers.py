"""Answers of the proxy's own: Status objects for API clients, pages for browsers, and nothing that a client put in."""

import json
import re

import pytest
from edge_door import POD, Door

from proxy.edge.answers import error_answer, front_page, is_api_target, redirect_answer
from proxy.errors import (
    BadGateway,
    BodyTooLarge,
    Forbidden,
    GatewayTimeout,
    HeadersTooLarge,
    Malformed,
    Misdirected,
    NoRoute,
    RequestError,
    RequestTimeout,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

READER = ("m:kaas:team-a@reader",)
WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')
PLAIN = {"as_page": False, "keep_alive": True, "is_tls": False, "with_body": True}


def parsed(data: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    return first, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Malformed("m"), "400 Bad Request", "BadRequest"),
        (Unauthenticated("m"), "401 Unauthorized", "Unauthorized"),
        (Forbidden("m"), "403 Forbidden", "Forbidden"),
        (NoRoute("m"), "404 Not Found", "NotFound"),
        (RequestTimeout("m"), "408 Request Timeout", "Timeout"),
        (BodyTooLarge("m"), "413 Request Entity Too Large", "RequestEntityTooLarge"),
        (Misdirected("m"), "421 Misdirected Request", "BadRequest"),
        (TooManyRequests("m"), "429 Too Many Requests", "TooManyRequests"),
        (HeadersTooLarge("m"), "431 Request Header Fields Too Large", "BadRequest"),
        (RequestError("m"), "500 Internal Server Error", "InternalError"),
        (BadGateway("m"), "502 Bad Gateway", "InternalError"),
        (Unavailable("m"), "503 Service Unavailable", "ServiceUnavailable"),
        (GatewayTimeout("m"), "504 Gateway Timeout", "Timeout"),
    ],
)
def test_a_failure_is_a_status_object(error: RequestError, status: str, reason: str) -> None:
    error.detail = "for the operator alone"
    first, fields, body = parsed(error_answer(error, "a1", **PLAIN))
    assert first == f"HTTP/1.1 {status}"
    assert (fields["content-type"], fields["content-length"], fields["x-request-id"]) == (
        "application/json",
        str(len(body)),
        "a1",
    )
    found = json.loads(body)
    details = found.pop("details")
    assert found == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "m",
        "reason": reason,
        "code": int(status[:3]),
    }
    assert details["causes"] == [{"reason": "RequestId", "message": "a1"}]
    assert "operator" not in body.decode()
    assert ("retry-after" in fields) is ("retryAfterSeconds" in details) is (status[:3] in {"429", "503"})


def test_how_long_to_wait_is_said_twice() -> None:
    for error in (TooManyRequests("m", retry_after=7), Unavailable("m", retry_after=7)):
        _, fields, body = parsed(error_answer(error, "a1", **PLAIN))
        assert (fields["retry-after"], json.loads(body)["details"]["retryAfterSeconds"]) == ("7", 7)


def test_a_refusal_names_the_roles_that_would_help() -> None:
    error = Forbidden("m", would_grant=("m:kaas:a@writer", "m:kaas@writer"))
    causes = json.loads(parsed(error_answer(error, "a1", **PLAIN))[2])["details"]["causes"]
    assert [cause["message"] for cause in causes if cause["reason"] == "RoleWouldGrant"] == ["m:kaas:a@writer", "m:kaas@writer"]
    page = error_answer(error, "a1", **(PLAIN | {"as_page": True})).decode()
    assert "<li><code>m:kaas:a@writer</code></li><li><code>m:kaas@writer</code></li>" in page


HOSTILE = '</p><script>alert("1")</script>&\'\r\nSet-Cookie: a=b\r\n\r\n\x00j\xfcrgen'


@pytest.mark.parametrize("error", [Forbidden(HOSTILE, would_grant=(HOSTILE,)), Unauthenticated(HOSTILE), NoRoute(HOSTILE)])
@pytest.mark.parametrize("as_page", [False, True])
def test_text_from_outside_stays_text(error: RequestError, *, as_page: bool) -> None:
    options = PLAIN | {"as_page": as_page, "with_warning": True}
    _, fields, body = parsed(error_answer(error, "a1", **options))
    assert "set-cookie" not in fields
    assert "warning" not in fields
    if as_page:
        assert b"<script" not in body
        assert b"&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#x27;" in body
        assert fields["content-type"] == "text/html; charset=utf-8"
    else:
        assert json.loads(body)["message"] == HOSTILE


@pytest.mark.parametrize(
    ("message", "error", "challenge"),
    [
        ("token expired", "invalid_token", 'error="invalid_token", error_description="token expired"'),
        ('say "why" \\ now', "invalid_token", 'error="invalid_token", error_description="say \'why\'  now"'),
        ("j\xfcrgen", "invalid_token", 'error="invalid_token", error_description="j?rgen"'),
        ("no credential", "", ""),
    ],
)
def test_the_challenge_of_rfc_6750(message: str, error: str, challenge: str) -> None:
    _, fields, _ = parsed(error_answer(Unauthenticated(message, error=error), "a1", **PLAIN))
    assert fields["www-authenticate"] == 'Bearer realm="mosk-proxy"' + (f", {challenge}" if challenge else "")


@pytest.mark.parametrize("is_tls", [False, True])
def test_every_answer_of_our_own_is_closed_to_browsers(*, is_tls: bool) -> None:
    options = {"keep_alive": True, "is_tls": is_tls}
    for data in (
        error_answer(NoRoute("m"), "a1", as_page=True, with_body=True, **options),
        error_answer(NoRoute("m"), "a1", as_page=False, with_body=True, **options),
        front_page("a1", with_body=True, **options),
        redirect_answer(b"/sl/a/b/grafana/", "a1", **options),
    ):
        _, fields, _ = parsed(data)
        assert fields["cache-control"] == "no-store"
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["referrer-policy"] == "same-origin"
        policy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        assert fields["content-security-policy"] == policy
        assert fields.get("strict-transport-security") == ("max-age=31536000" if is_tls else None)
        assert "connection" not in fields


def test_the_front_page_loads_nothing() -> None:
    _, fields, body = parsed(front_page("a1", keep_alive=False, is_tls=True, with_body=True))
    assert (fields["connection"], fields["content-length"]) == ("close", str(len(body)))
    assert not re.search(rb"<script|<link|<img|<style|style=|https?://", body)


@pytest.mark.parametrize(
    ("target", "is_api"),
    [
        (b"/kaas", True),
        (b"/kaas?a", True),
        (b"/kaas/api", True),
        (b"/k8s/a/b/api", True),
        (b"https://entry.example/k8s/a/b", True),
        (b"https://entry.example/kaas?a=/", True),
        (b"/kaasx", False),
        (b"/k8", False),
        (b"/sl/a/b/grafana/?x=/k8s/", False),
        (b"https://entry.example/", False),
        (b"/", False),
        (b"", False),
        (b"*", False),
    ],
)
def test_what_lies_under_an_api(target: bytes, *, is_api: bool) -> None:
    assert is_api_target(target) is is_api


# as clients see them

HTML = "Accept: text/html,application/xhtml+xml"


@pytest.mark.parametrize(
    ("target", "lines", "content_type"),
    [
        ("/nowhere", (HTML,), "text/html; charset=utf-8"),
        ("/nowhere", (), "application/json"),
        ("/sl/team-b/prod/grafana/", (HTML,), "text/html; charset=utf-8"),
        ("/sl/team-b/prod/grafana/", ("Accept: application/json",), "application/json"),
        ("/k8s/team-b/prod/api", (HTML,), "application/json"),
        ("/kaas/api/v1/nodes", (HTML,), "application/json"),
        ("http://entry.example/kaas/api/v1/nodes", (HTML,), "application/json"),
    ],
)
def test_browsers_get_pages_but_not_from_apis(entry: Door, target: str, lines: tuple[str, ...], content_type: str) -> None:
    answer = entry.ask("GET", target, *lines)
    assert answer.status in {403, 404}
    assert answer["content-type"] == content_type
    assert re.fullmatch(r"[0-9a-f]{32}", answer["x-request-id"] or "")


@pytest.mark.parametrize("cut", [0, 30, 60])
def test_a_head_that_came_in_parts_is_refused_in_the_same_form(entry: Door, cut: int) -> None:
    for target, content_type in (("/k8s/a/b", "application/json"), ("/", "text/html; charset=utf-8")):
        message = f"GET {target} HTTP/1.1\r\nHost: entry.example\r\n{HTML}\r\nX_A: b\r\n\r\n".encode()
        wire = entry.connect()
        wire.send(message[:cut])
        entry.call(lambda: None)
        wire.send(message[cut:])
        answer = wire.answer()
        assert (answer.status, answer["content-type"]) == (400, content_type)


@pytest.mark.parametrize("target", ["/", "/nowhere", "/k8s/team-b/prod/api/v1/pods"])
def test_head_announces_what_get_sends(entry: Door, target: str) -> None:
    get = entry.ask("GET", target)
    wire = entry.connect()
    wire.send(entry.head("HEAD", target) + entry.head("GET", POD))
    head = wire.until(b"\r\n\r\n")
    assert f"\r\nContent-Length: {len(get.body)}\r\n".encode() in head
    assert wire.answer().body == b"ok"


@pytest.mark.parametrize(
    ("method", "target", "status"), [("POST", "/", 405), ("GET", "/console", 404), ("GET", "/oauth2/auth", 404)]
)
def test_nothing_but_our_own_pages_is_at_our_own_paths(entry: Door, method: str, target: str, status: int) -> None:
    assert entry.ask(method, target).status == status
    assert entry.ask("GET", "/").status == 200
    assert entry.upstream.taken() == []


# what kubectl would not read: its discovery looks at no Status object, but every answer's warnings are shown


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

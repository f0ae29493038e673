"""The judgement of a request as clients see it: what is refused first, and what no client can make an upstream believe."""

import base64
import functools
import json
import time
from collections.abc import Callable

import pytest
from edge_door import ISSUER, POD, WRITER, Answer, Door, key_set

Maker = Callable[..., Door]
ADMIN = ("m:kaas@management-admin", "m:kaas@writer")
NO_LEEWAY = [{"issuer": ISSUER, "audiences": ["kaas", "k8s"], "jwks_file": "jwks.json", "leeway_seconds": 0}]

# what upstreams are told of users comes from us alone

TARGETS = {
    "kaas": "/kaas/api/v1/namespaces/team-a/pods/web",
    "k8s": POD,
    "sl": "/sl/team-a/prod/grafana/api/live/ws",
}
TRANSPORTS = {
    "GET": ("GET", (), b""),
    "POST": ("POST", ("Content-Length: 4",), b"body"),
    "chunks": ("PUT", ("Transfer-Encoding: chunked",), b"4\r\nbody\r\n0\r\n\r\n"),
    "WebSocket": ("GET", ("Connection: Upgrade", "Upgrade: websocket"), b""),
    "SPDY": ("POST", ("Connection: Upgrade", "Upgrade: SPDY/3.1", "Content-Length: 0"), b""),
}
MANAGED = [
    "X-Remote-User",
    "X-Remote-Group",
    "X-Remote-Extra-Scopes",
    "X-WEBAUTH-USER",
    "X-WEBAUTH-ROLE",
    "X-WEBAUTH-ANYTHING",
    "X-Auth-Request-User",
    "X-Auth-Request-Groups",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Real-IP",
    "X-Original-URL",
    "X-Original-Method",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "Remote-User",
    "True-Client-IP",
    "X-Client-IP",
    "X-Client-DN",
    "SSL-Client-Cert",
    "SSL-Client-Verify",
    "X-Request-Id",
    "tracestate",
    "Proxy-Authorization",
    "X-Company-User",  # what a configured credential sets, for another application
]
IMPERSONATION = ["Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes", "Impersonate-Anything"]


def send(entry: Door, target: str, transport: str, *lines: str) -> Answer:
    method, framing, body = TRANSPORTS[transport]
    wire = entry.connect()
    wire.send(entry.head(method, target, *framing, *lines, roles=ADMIN) + body)
    return wire.answer()


def arrived(entry: Door) -> list[str]:
    """Return the lines of the one request that arrived, without what differs each time."""
    (request,) = entry.upstream.taken()
    lines = request.decode().split("\r\n")
    return [
        "X-Request-Id" if line.startswith("X-Request-Id: ") else line[:16] if line.startswith("traceparent: ") else line
        for line in lines
    ]


@functools.cache
def usual(entry: Door, target: str, transport: str) -> tuple[str, ...]:
    assert send(entry, target, transport).status == 200
    return tuple(arrived(entry))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_usual_request_says_who_asks(entry: Door, target: str, transport: str) -> None:
    lines = usual(entry, TARGETS[target], transport)
    assert "X-Forwarded-For: 127.0.0.1" in lines
    assert "X-Forwarded-Proto: http" in lines
    assert "X-Forwarded-Host: entry.example" in lines
    if target == "sl":
        assert {"X-WEBAUTH-USER: ann", "X-WEBAUTH-ROLE: Admin"} <= set(lines)
    else:
        assert {"Authorization: Bearer secret-of-the-proxy", "Impersonate-User: ann", "Impersonate-Uid: id-of-ann"} <= set(lines)
    groups = [line for line in lines if line.startswith("Impersonate-Group")]
    assert (
        groups
        == {
            "kaas": ["Impersonate-Group: m:kaas@management-admin", "Impersonate-Group: m:kaas@writer"],
            "k8s": ["Impersonate-Group: m:k8s:team-a:prod@cluster-admin"],
            "sl": [],
        }[target]
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MANAGED)
def test_no_spelling_of_a_managed_field_changes_what_arrives(entry: Door, name: str, target: str, transport: str) -> None:
    expected = usual(entry, TARGETS[target], transport)
    lines = [f"{spelling}: root" for spelling in (name, name.lower(), name.upper(), name.swapcase())]
    assert send(entry, TARGETS[target], transport, *lines).status == 200
    assert tuple(arrived(entry)) == expected


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [*MANAGED, "Authorization", "Host", "Content-Length", "traceparent", *IMPERSONATION])
def test_naming_a_field_in_connection_takes_none_of_ours_away(entry: Door, name: str, target: str, transport: str) -> None:
    """CVE-2022-23652, CVE-2026-105299."""
    expected = usual(entry, TARGETS[target], transport)
    assert send(entry, TARGETS[target], transport, f"Connection: {name}, close", f"connection: {name.lower()}").status == 200
    assert tuple(arrived(entry)) == expected


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", IMPERSONATION)
def test_whoever_tries_to_impersonate_is_refused_on_every_way(entry: Door, name: str, target: str, transport: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name.swapcase()):
        answer = send(entry, TARGETS[target], transport, f"{spelling}: root")
        assert answer.status == 403
        assert b"impersonation headers are not accepted here" in answer.body
    assert entry.upstream.taken() == []


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_second_credential_is_one_too_many(entry: Door, transport: str) -> None:
    assert send(entry, POD, transport, "authorization: Bearer another").status == 401
    assert entry.upstream.taken() == []


# the order of refusals

UNKNOWN, FOREIGN = "/k8s/team-a/absent/api/v1/pods", "/k8s/team-b/absent/api/v1/pods"


@pytest.mark.parametrize(
    ("target", "host", "roles", "lines", "status"),
    [
        ("/k8s/team-a/..;/x", "other.example", None, ("Impersonate-User: root",), 400),
        ("/nowhere/..;/x", "entry.example", None, (), 400),
        (POD, "other.example", None, ("Impersonate-User: root",), 421),
        ("/nowhere", "entry.example", None, ("Impersonate-User: root",), 404),
        ("/sl/team-a/prod", "entry.example", None, (), 404),
        (FOREIGN, "entry.example", None, ("Impersonate-User: root",), 401),
        (UNKNOWN, "entry.example", WRITER, ("Impersonate-User: root",), 403),
        (FOREIGN, "entry.example", WRITER, (), 403),
        (UNKNOWN, "entry.example", WRITER, (), 404),
        ("/sl/team-a/prod/opensearch/", "entry.example", WRITER, (), 404),
        ("/sl/team-a/absent/grafana/", "entry.example", WRITER, (), 404),
        ("/sl/team-a/absent/grafana", "entry.example", WRITER, (), 404),
        ("/sl/team-b/absent/grafana", "entry.example", WRITER, (), 403),
    ],
)
def test_what_is_refused_first(entry: Door, target: str, host: str, roles, lines: tuple[str, ...], status: int) -> None:
    wire = entry.connect()
    token = None if roles is None else entry.issuer.token(roles)
    wire.send(entry.head("GET", target, *lines, host=host, token=token))
    assert wire.answer().status == status
    assert entry.upstream.taken() == []


@pytest.mark.parametrize("path", ["/api/v1/namespaces/x/pods/y", "/version", "/apis/apps/v1/deployments?watch=1"])
def test_a_refusal_does_not_tell_whether_a_cluster_exists(entry: Door, path: str) -> None:
    texts = []
    for name in ("prod", "absent"):
        answer = entry.ask("GET", f"/k8s/team-a/{name}{path}", roles=["m:kaas:team-b@writer"])
        body = answer.json()
        body["details"]["causes"] = [cause for cause in body["details"]["causes"] if cause["reason"] != "RequestId"]
        fields = [field for field in answer.fields if field[0] not in {"x-request-id", "content-length"}]
        texts.append((answer.status, json.dumps([body, fields]).replace(name, "NAME")))
    assert texts[0] == texts[1]
    assert texts[0][0] == 403


def test_a_permitted_cluster_that_is_not_there_is_not_found(entry: Door) -> None:
    answer = entry.ask("GET", UNKNOWN)
    assert (answer.status, answer.json()["reason"]) == (404, "NotFound")
    assert answer.json()["message"] == 'cluster "team-a/absent" not found'
    answer = entry.ask("GET", "/sl/team-a/prod/opensearch/")
    assert answer.json()["message"] == 'application "opensearch" of cluster "team-a/prod" not found'


def test_without_a_management_api_there_is_none(make_door: Maker) -> None:
    entry = make_door(management=None)
    answer = entry.ask("GET", "/kaas/api/v1/namespaces", roles=ADMIN)
    assert (answer.status, answer.json()["message"]) == (404, "no management API is configured here")


# credentials


@pytest.mark.parametrize(
    ("lines", "challenge"),
    [
        ((), 'Bearer realm="mosk-proxy"'),
        (("Authorization: Basic YW5uOnNlY3JldA==",), 'Bearer realm="mosk-proxy"'),
        (("Authorization: Negotiate abc",), 'Bearer realm="mosk-proxy"'),
        (("Authorization:",), 'Bearer realm="mosk-proxy"'),
        (("Authorization: Bearer",), "malformed bearer token"),
        (("Authorization: Bearer ",), "malformed bearer token"),
        (("Authorization: Bearer a b",), "malformed bearer token"),
        (("Authorization: Bearer abc",), 'error="invalid_token"'),
        (("Authorization: Bearer " + "a" * 60_000,), 'error="invalid_token"'),
        (("Authorization: Bearer a", "Authorization: Bearer b"), "more than one credential"),
        (("Cookie: __Host-mosk=session",), 'Bearer realm="mosk-proxy"'),
        (("X-Forwarded-Access-Token: abc",), 'Bearer realm="mosk-proxy"'),
    ],
)
@pytest.mark.parametrize("target", [POD, "/kaas/api/v1/namespaces", "/sl/team-a/prod/grafana/"])
def test_a_401_says_what_it_wants(entry: Door, target: str, lines: tuple[str, ...], challenge: str) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", target, *lines, token=None))
    answer = wire.answer()
    found = answer["www-authenticate"] or ""
    assert answer.status == 401
    assert found == challenge if challenge.startswith("Bearer") else challenge in found
    assert (answer.json()["kind"], answer.json()["reason"], answer.json()["code"]) == ("Status", "Unauthorized", 401)
    assert entry.upstream.taken() == []


def test_a_token_in_the_query_is_none(entry: Door) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", f"{POD}?access_token={entry.issuer.token()}", token=None))
    assert wire.answer()["www-authenticate"] == 'Bearer realm="mosk-proxy"'


def test_a_token_among_sub_protocols_counts_for_a_websocket_alone(entry: Door) -> None:
    token = base64.urlsafe_b64encode(entry.issuer.token().encode()).decode().rstrip("=")
    line = f"Sec-WebSocket-Protocol: v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}"
    for lines, status in (
        ((line,), 401),
        ((line, "Connection: Upgrade", "Upgrade: websocket"), 200),
        ((line, "Upgrade: websocket"), 401),
    ):
        wire = entry.connect()
        wire.send(entry.head("GET", POD, *lines, token=None))
        assert wire.answer().status == status


def test_passing_a_token_on_needs_its_audience(make_door: Maker) -> None:
    entry = make_door()
    answer = entry.ask("GET", "/k8s/team-a/other/api/v1/pods")
    assert (answer.status, answer.json()["message"]) == (401, "token not for this service: sign in with the client zzz")
    assert 'error="invalid_token"' in (answer["www-authenticate"] or "")
    assert entry.upstream.taken() == []
    (line,) = entry.audit_lines(1)
    assert (line["decision"], line["granted_by"]) == ("refused", None)
    token = entry.issuer.token()
    wire = entry.connect()
    wire.send(entry.head("GET", "/k8s/team-a/token/api/v1/pods", token=token))
    assert wire.answer().status == 200
    (request,) = entry.upstream.taken()
    assert f"\r\nAuthorization: Bearer {token}\r\n".encode() in request
    assert b"Impersonate" not in request


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ("j\xfcrgen", b"j%C3%BCrgen"),
        ("a b", b"a%20b"),
        ("50%", b"50%25"),
        ("ann,root", b"ann,root"),
        ("ann@example.org", b"ann@example.org"),
    ],
)
def test_a_name_is_sent_percent_encoded(entry: Door, user: str, header: bytes) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", POD, token=entry.issuer.token(user=user)))
    assert wire.answer().status == 200
    assert b"\r\nImpersonate-User: " + header + b"\r\n" in entry.upstream.taken()[0]


@pytest.mark.parametrize("user", ["system:admin", "ann\r\nImpersonate-Group: system:masters", "ann\x00", "\x7f"])
def test_a_name_that_could_be_taken_for_another_is_refused(entry: Door, user: str) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", POD, token=entry.issuer.token(user=user)))
    assert wire.answer().status == 401
    assert entry.upstream.taken() == []


def test_all_groups_go_with_their_prefix(make_door: Maker) -> None:
    entry = make_door(
        credential={"kind": "impersonate", "token_file": "proxy.token", "groups": "all"},
        issuers=[{**NO_LEEWAY[0], "groups_prefix": "oidc:", "username_prefix": "oidc:"}],
    )
    assert entry.ask("GET", POD, roles=[*WRITER, "devs,system:masters", "offline_access"]).status == 200
    (request,) = entry.upstream.taken()
    groups = [line for line in request.split(b"\r\n") if line.startswith(b"Impersonate-Group")]
    assert groups == [
        b"Impersonate-Group: oidc:m:kaas:team-a@writer",
        b"Impersonate-Group: oidc:devs,system:masters",
        b"Impersonate-Group: oidc:offline_access",
    ]
    assert b"\r\nImpersonate-User: oidc:ann\r\n" in request


# what is remembered of a connection is asked again


def test_a_token_that_expires_between_two_requests_is_refused_at_the_second(make_door: Maker) -> None:
    entry = make_door(issuers=NO_LEEWAY)
    head = entry.head("GET", POD, token=entry.issuer.token(exp=int(time.time()) + 2))
    wire = entry.connect()
    wire.send(head)
    assert wire.answer().status == 200
    time.sleep(2.05)
    wire.send(head)
    answer = wire.answer()
    assert (answer.status, answer.json()["message"]) == (401, "token expired")


def test_a_key_that_is_gone_takes_its_tokens_along(make_door: Maker) -> None:
    entry = make_door()
    wire, head = entry.connect(), entry.head("GET", POD)
    wire.send(head)
    assert wire.answer().status == 200
    entry.issuer.file.write_text(key_set("two"))
    other = entry.connect()
    other.send(entry.head("GET", POD, token=entry.issuer.token(kid="two")))
    assert other.answer().status == 200
    wire.send(head)
    assert wire.answer().status == 401
    assert len(entry.upstream.taken()) == 2


def test_another_policy_holds_from_the_next_request_on(make_door: Maker) -> None:
    entry = make_door()
    wire, head = entry.connect(), entry.head("GET", POD)
    wire.send(head)
    assert wire.answer().status == 200
    entry.reload(policy={"system_namespaces": ["team-a"]})
    wire.send(head)
    assert wire.answer().status == 403
    entry.reload()
    wire.send(head)
    assert wire.answer().status == 200


def test_another_credential_is_sent_from_the_next_request_on(make_door: Maker) -> None:
    entry = make_door()
    wire, head = entry.connect(), entry.head("GET", POD)
    for secret in ("secret-of-the-proxy", "another-secret"):
        (entry.config_file.parent / "proxy.token").write_text(secret)
        entry.reload()
        wire.send(head)
        assert wire.answer().status == 200
        (request,) = entry.upstream.taken()
        assert f"\r\nAuthorization: Bearer {secret}\r\n".encode() in request


# redirects of our own


@pytest.mark.parametrize("query", ["", "?", "?orgId=1&x=%2F"])
def test_an_application_without_its_slash_is_redirected_to_itself(entry: Door, query: str) -> None:
    for method in ("GET", "POST"):
        answer = entry.ask(method, f"/sl/team-a/prod/grafana{query}")
        assert (answer.status, answer["location"], answer["content-length"]) == (308, f"/sl/team-a/prod/grafana/{query}", "0")
        assert answer["x-request-id"]
    assert entry.upstream.taken() == []


def test_an_upstreams_redirect_is_handed_over_and_not_followed(make_door: Maker) -> None:
    def script(wire) -> None:
        while wire.request():
            wire.send(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/login?x=1\r\nContent-Length: 0\r\n\r\n" % port[0])

    port: list[int] = []
    entry = make_door(script)
    port.append(entry.upstream.port)
    for target, location in (
        (POD, "/k8s/team-a/prod/login?x=1"),
        ("/kaas/api/v1/namespaces/team-a", "/kaas/login?x=1"),
        ("/sl/team-a/prod/grafana/", "/sl/team-a/prod/grafana/login?x=1"),
    ):
        answer = entry.ask("GET", target, roles=ADMIN)
        assert (answer.status, answer["location"]) == (302, location)
    assert len(entry.upstream.taken()) == 3


# what upstreams may not do to browsers


def test_what_a_pod_serves_is_sandboxed(make_door: Maker) -> None:
    entry = make_door(
        lambda wire: (
            wire.request(),
            wire.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: __Host-mosk=x\r\nSet-Cookie: a=b\r\nClear-Site-Data: *\r\n"
                b"Access-Control-Allow-Origin: *\r\nStrict-Transport-Security: max-age=0\r\nContent-Length: 2\r\n\r\nhi"
            ),
        )
    )
    for target in (f"{POD}/proxy/index.html", "/k8s/team-a/prod/api/v1/namespaces/x/services/https:web:443/proxy/"):
        answer = entry.ask("GET", target)
        names = [name for name, _ in answer.fields]
        assert (answer["content-security-policy"], answer["x-content-type-options"]) == ("sandbox", "nosniff")
        assert names == ["content-type", "x-content-type-options", "content-security-policy", "content-length"]
    answer = entry.ask("GET", "/sl/team-a/prod/alertmanager/")
    assert [(name, value) for name, value in answer.fields if name == "set-cookie"] == [
        ("set-cookie", "a=b; Path=/sl/team-a/prod/alertmanager")
    ]


@pytest.mark.parametrize(("keep_prefix", "path"), [(True, b"/sl/team-a/prod/grafana/login"), (False, b"/login")])
def test_an_application_may_want_its_prefix(make_door: Maker, *, keep_prefix: bool, path: bytes) -> None:
    entry = make_door()
    server = {"url": f"http://127.0.0.1:{entry.upstream.port}", "keep_prefix": keep_prefix}
    entry.reload(clusters=[{"namespace": "team-a", "name": "prod", "stacklight": {"grafana": server}}])
    assert entry.ask("GET", "/sl/team-a/prod/grafana/login?a=b").status == 200
    assert entry.upstream.taken()[0].startswith(b"GET " + path + b"?a=b HTTP/1.1\r\n")


def test_an_application_has_a_host_of_its_own(make_door: Maker) -> None:
    entry = make_door(ui_domain="ui.example")
    wire = entry.connect()
    wire.send(entry.head("GET", "/d/abc?x=1", host="grafana.prod.team-a.ui.example"))
    assert wire.answer().status == 200
    (request,) = entry.upstream.taken()
    assert request.startswith(b"GET /d/abc?x=1 HTTP/1.1\r\n")
    assert b"\r\nX-Forwarded-Host: grafana.prod.team-a.ui.example\r\n" in request
    wire.send(entry.head("GET", "/", host="grafana.prod.team-b.ui.example"))
    assert wire.answer().status == 403


def test_a_base_path_is_put_before_and_taken_away(make_door: Maker) -> None:
    def script(wire) -> None:
        while wire.request():
            wire.send(b"HTTP/1.1 302 Found\r\nLocation: /base/there\r\nContent-Length: 0\r\n\r\n")

    entry = make_door(script)
    server = {"url": f"http://127.0.0.1:{entry.upstream.port}/base/"}
    entry.reload(clusters=[{"namespace": "team-a", "name": "prod", "stacklight": {"grafana": server}}])
    assert entry.ask("GET", "/sl/team-a/prod/grafana/here")["location"] == "/sl/team-a/prod/grafana/there"
    assert entry.upstream.taken()[0].startswith(b"GET /base/here HTTP/1.1\r\n")

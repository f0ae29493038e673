"""The proxy's own pages: who sees which, what their server is told, and what it leaves behind."""

import socket
from collections.abc import Iterator

import pytest
from edge_door import POD, TLS, Door, door

from proxy.edge.own_pages import OWN_UPSTREAM, OwnPages
from proxy.forwarding.pool import Pool, PoolLimits

READER = ("m:kaas:team-a@reader",)
KUBECONFIG = "/console/kubeconfig?cluster=team-a/prod"
PUT_DOWN = "m:k8s:team-a:prod@cluster-admin"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with door(tmp_path_factory.mktemp("door")) as running:
        yield running


@pytest.fixture
def entry(shared: Door) -> Iterator[Door]:
    yield shared
    shared.be_quiet()


def anonymous(entry: Door, method: str, target: str, *lines: str) -> object:
    wire = entry.connect()
    wire.send(entry.head(method, target, *lines, token=None))
    return wire.answer()


def test_a_bearer_token_opens_the_portal_and_a_kubeconfig(entry: Door) -> None:
    portal = entry.ask("GET", "/", "Accept: text/html")
    assert (portal.status, portal["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"team-a" in portal.body
    file = entry.ask("GET", KUBECONFIG, roles=(PUT_DOWN,))
    assert (file.status, file["content-type"]) == (200, "application/yaml; charset=utf-8")
    assert b"server: " in file.body
    assert b"https://entry.example/k8s/team-a/prod" in file.body
    assert entry.upstream.taken() == []


def test_without_sign_in_a_stranger_sees_the_front_page_alone(entry: Door) -> None:
    assert b"bearer token" in anonymous(entry, "GET", "/").body
    for method, target in (("GET", "/console/me"), ("POST", "/"), ("GET", KUBECONFIG), ("GET", "/console/nowhere")):
        answer = anonymous(entry, method, target)
        assert (answer.status, answer.json()["reason"]) == (401, "Unauthorized")
        assert answer["www-authenticate"] == 'Bearer realm="mosk-proxy"'
    assert anonymous(entry, "GET", "/oauth2/start").status == 404


@pytest.mark.parametrize("target", ["/", "/console/me"])
def test_a_bad_token_is_refused_and_not_overlooked(entry: Door, target: str) -> None:
    wire = entry.connect()
    wire.send(entry.head("GET", target, token="bad"))
    assert wire.answer().status == 401


def test_impersonation_is_refused_here_too(entry: Door) -> None:
    assert entry.ask("GET", "/console/me", "Impersonate-User: root").status == 403


def test_pages_know_who_asks_and_by_which_name_and_believe_no_header(entry: Door) -> None:
    ours = "0" * 32
    wire = entry.connect()
    for user in ("ann", "ben", "ann"):
        token = entry.issuer.token(READER, user)
        lines = (f"X-Request-Id: {ours}", "X-Forwarded-Host: evil.example", "Cookie: __Host-mosk=x")
        wire.send(entry.head("GET", "/console/me", *lines, token=token))
        answer = wire.answer()
        assert f"<bdi>{user}</bdi>".encode() in answer.body
        assert answer["x-request-id"] not in {None, ours}
    assert entry.running.edge.visits == {}


def test_a_visit_ends_with_its_request_even_when_the_client_goes_away(entry: Door) -> None:
    edge = entry.running.edge
    served, ends = edge.own_pages, socket.socketpair()

    async def dial() -> socket.socket:
        ends[0].setblocking(False)
        return ends[0]

    def fall_silent() -> None:
        edge.own_pages = OwnPages.served_by(Pool(OWN_UPSTREAM, None, PoolLimits(), edge.tasks, dial=dial), is_tls=False)

    entry.call(fall_silent)
    wire = entry.connect()
    wire.send(entry.head("GET", "/console/me"))
    asked = ends[1].recv(65536)
    (request_id,) = edge.visits
    assert f"\r\nX-Request-Id: {request_id}\r\n".encode() in asked
    wire.reset()
    entry.until(lambda: edge.visits == {})
    ends[1].close()
    edge.own_pages = served


def test_a_visit_is_recorded_with_its_user_and_without_a_role(entry: Door) -> None:
    before = len(entry.audit_lines())
    entry.ask("GET", "/console/me?secret=1", roles=READER)
    line = entry.audit_lines(before + 1)[-1]
    assert (line["user"], line["path"], line["status"], line["decision"]) == ("ann", "/console/me", 200, "allow")
    assert (line["target"], line["upstream"], line["granted_by"]) == (None, None, None)


def test_forms_arrive_with_their_bodies(entry: Door) -> None:
    body = b"session=mine"
    lines = ("Content-Type: application/x-www-form-urlencoded", "Origin: https://entry.example")
    answer = entry.ask("POST", "/console/sessions/end", *lines, body=body)
    assert answer.status == 400
    assert b"You came with a token" in answer.body
    assert entry.ask("POST", "/console/sessions/end", lines[0], "Origin: https://evil.example", body=body).status == 403


def test_connections_to_the_pages_are_kept(entry: Door) -> None:
    pages = entry.running.edge.own_pages
    assert pages is not None
    entry.ask("GET", "/")
    opened = pages.pool.opened
    for _ in range(3):
        entry.ask("GET", "/")
    assert pages.pool.opened == opened
    wire = entry.connect()
    wire.send(entry.head("GET", "/") + entry.head("GET", POD))
    assert wire.answer().status == 200
    assert wire.answer().body == b"ok"


def test_only_the_entry_itself_has_pages(tmp_path) -> None:
    with door(tmp_path, ui_domain="ui.example", listen=TLS) as entry:
        wire = entry.connect()
        wire.send(entry.head("GET", "/oauth2/start", host="grafana.prod.team-a.ui.example"))
        assert wire.answer().status == 404
        portal = entry.ask("GET", "/")
        assert portal["strict-transport-security"] == "max-age=31536000"
        assert "frame-ancestors 'none'" in (portal["content-security-policy"] or "")
        assert (portal["cache-control"], portal["x-content-type-options"]) == ("no-store", "nosniff")
        limited = {"requests_per_user": 1}
        entry.reload(ui_domain="ui.example", listen=TLS, limits=limited)
        assert {entry.ask("GET", "/").status for _ in range(5)} == {200, 429}

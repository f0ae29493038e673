"""What a session cookie opens, what it never opens, and what happens when the session ends (threats, part 1F)."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from edge_door import POD, Answer, Door, Wire, door

from proxy.edge.browser import OpenRequests
from proxy.sessions.key_file import read_or_make_keys
from proxy.sessions.record import Contents
from proxy.sessions.session import Session

ROLES = ("m:kaas@writer", "m:sl:team-a:prod@admin", "m:k8s:team-a:prod@cluster-admin")
GRAFANA = "/sl/team-a/prod/grafana/api/x"
HTML = "Accept: text/html,application/xhtml+xml"
OURS = "Origin: https://entry.example"
SIGN_IN = {"issuer": "https://issuer.example", "client_id": "mosk-proxy"}
SLOW = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def script(wire: Wire) -> None:
    """Answer at once, begin an answer that does not end, or switch."""
    while request := wire.request():
        if b"upgrade: websocket" in request.lower():
            wire.send(SWITCH)
            wire.rest()
        elif b"/slow" in request.partition(b"\r\n")[0]:
            wire.send(SLOW)
            wire.rest()
        else:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")


def clusters(port: int) -> list[dict[str, Any]]:
    server = {"url": f"http://127.0.0.1:{port}"}
    webauth = {"kind": "identity_headers", "user_header": "X-WEBAUTH-USER"}
    apps = {
        "grafana": {**server, "credential": webauth},
        "alerta": {**server, "credential": {"kind": "pass_token", "audience": "kaas"}},
        "prometheus": {**server, "credential": {"kind": "pass_token", "audience": "elsewhere"}},
    }
    return [{"namespace": "team-a", "name": "prod", "api": {**server, "credential": webauth}, "stacklight": apps}]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    sessions = {"store": f"sqlite://{folder}/sessions.db"}
    with door(folder, script, sign_in=SIGN_IN, sessions=sessions) as running:
        running.reload(sign_in=SIGN_IN, sessions=sessions, clusters=clusters(running.upstream.port))
        yield running


@pytest.fixture
def entry(shared: Door) -> Iterator[Door]:
    yield shared
    shared.be_quiet()


def await_in(entry: Door, coroutine: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(coroutine, entry.loop).result(timeout=10)


def signed_in(entry: Door, roles: Sequence[str] = ROLES, user: str = "ann") -> tuple[str, Session]:
    """Begin a session; returns its cookie line and the session."""
    proxy = entry.running
    assert proxy.signing_in is not None
    now, token = time.time(), entry.issuer.token(roles, user)
    authenticator = proxy.edge.site.authenticator
    identity = await_in(entry, authenticator.verify(token.encode()))
    contents = Contents(token, None, now, now + 3600, "", "", "")
    session_id, session = await_in(entry, proxy.signing_in.sessions.create(identity, contents, authenticator.generation))
    return f"Cookie: theirs=1; __Host-mosk={session_id.decode()}", session


def end(entry: Door, session: Session) -> None:
    assert entry.running.signing_in is not None
    await_in(entry, entry.running.signing_in.sessions.end([session.key]))


def ask(entry: Door, method: str, target: str, *lines: str, token: str | None = None) -> Answer:
    wire = entry.connect()
    wire.send(entry.head(method, target, *lines, token=token))
    return wire.answer()


def test_a_cookie_opens_pages_and_applications_and_goes_no_further(entry: Door) -> None:
    cookie, session = signed_in(entry)
    assert b"<bdi>ann</bdi>" in ask(entry, "GET", "/", cookie).body
    assert session.label.encode() in ask(entry, "GET", "/console/sessions", cookie).body
    assert ask(entry, "GET", GRAFANA, cookie).status == 200
    (request,) = entry.upstream.taken()
    assert b"\r\nX-WEBAUTH-USER: ann\r\n" in request
    assert b"__Host-mosk" not in request
    assert b"Cookie: theirs=1" in request


@pytest.mark.parametrize("target", ["/kaas/api/v1/namespaces", POD])
def test_a_cookie_is_no_key_to_an_api_and_nobody_is_redirected_there(entry: Door, target: str) -> None:
    cookie, _ = signed_in(entry)
    wire = entry.connect()
    for path, status in ((GRAFANA, 200), (target, 401), (GRAFANA, 200), (target, 401)):
        wire.send(entry.head("GET", path, cookie, HTML, token=None))
        answer = wire.answer()
        assert (answer.status, answer["location"]) == (status, None)
    assert len(entry.upstream.taken()) == 2


def test_a_bearer_token_is_judged_alone(entry: Door) -> None:
    cookie, _ = signed_in(entry)
    assert ask(entry, "GET", "/console/me", cookie, token="bad").status == 401
    ben = entry.issuer.token(ROLES, "ben")
    assert b"<bdi>ben</bdi>" in ask(entry, "GET", "/console/me", cookie, token=ben).body
    assert ask(entry, "POST", GRAFANA, cookie, token=ben).status == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 403),
        (("Origin: null",), 403),
        (("Origin: https://evil.example",), 403),
        (("Origin: http://entry.example",), 403),
        ((OURS, "Origin: https://evil.example"), 403),
        ((OURS, "Sec-Fetch-Site: cross-site"), 403),
        ((OURS, "Sec-Fetch-Site: same-site"), 403),
        ((OURS, "Sec-Fetch-Site: same-origin"), 200),
        ((OURS,), 200),
    ],
)
def test_what_changes_something_comes_from_a_page_of_ours(entry: Door, lines: tuple[str, ...], status: int) -> None:
    cookie, _ = signed_in(entry)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert ask(entry, method, GRAFANA, cookie, *lines).status == status
    wire = entry.connect()
    wire.send(entry.upgrade(GRAFANA, "websocket", cookie, *lines, token=None))
    assert wire.answer().status == (101 if status == 200 else 403)
    assert len(entry.upstream.taken()) == (5 if status == 200 else 0)


def test_impersonation_is_refused_first(entry: Door) -> None:
    cookie, _ = signed_in(entry)
    answer = ask(entry, "POST", GRAFANA, cookie, "Impersonate-User: root")
    assert (answer.status, answer.json()["message"]) == (403, "impersonation headers are not accepted here")


@pytest.mark.parametrize(
    "cookie", ["Cookie: a=b", "Cookie: __Host-mosk=", "Cookie: __Host-mosk=bad", "Cookie: __Host-mosk=" + "A" * 43]
)
@pytest.mark.parametrize(
    ("method", "target", "lines", "location"),
    [
        ("GET", "/", (HTML,), "/oauth2/start?rd=%2F"),
        ("GET", "/console/me?a=b&c", (HTML, "Sec-Fetch-Mode: navigate"), "/oauth2/start?rd=%2Fconsole%2Fme%3Fa%3Db%26c"),
        ("GET", "/sl/team-a/prod/grafana/", (HTML,), "/oauth2/start?rd=%2Fsl%2Fteam-a%2Fprod%2Fgrafana%2F"),
        ("GET", GRAFANA, (HTML, "Sec-Fetch-Mode: cors"), None),
        ("GET", GRAFANA, ("Accept: */*",), None),
        ("GET", "/", ("Accept: application/json",), None),
        ("POST", "/console/sessions/end", (HTML, OURS), None),
        ("GET", POD, (HTML,), None),
    ],
)
def test_only_people_who_wait_for_a_page_are_sent_to_sign_in(
    entry: Door, cookie: str, method: str, target: str, lines: tuple[str, ...], location: str | None
) -> None:
    answer = ask(entry, method, target, cookie, *lines)
    assert (answer.status, answer["location"]) == (401 if location is None else 302, location)
    if location is None and method == "GET":
        assert answer.json()["reason"] == "Unauthorized"


def test_whoever_is_signed_in_is_never_sent_in_a_circle(entry: Door) -> None:
    cookie, _ = signed_in(entry)
    answer = ask(entry, "GET", "/sl/team-a/prod/prometheus/", cookie, HTML)
    assert (answer.status, answer["location"]) == (401, None)
    bad = ask(entry, "GET", "/", HTML, token="bad")
    assert (bad.status, bad["location"]) == (401, None)
    down = ask(entry, "GET", "/oauth2/start", HTML)
    assert (down.status, down["location"]) == (503, None)
    assert b"the sign-in service does not answer" in down.body


def test_an_application_that_wants_tokens_gets_the_sessions(entry: Door) -> None:
    cookie, session = signed_in(entry)
    assert ask(entry, "GET", "/sl/team-a/prod/alerta/", cookie).status == 200
    assert f"\r\nAuthorization: Bearer {session.contents.id_token}\r\n".encode() in entry.upstream.taken()[0]


def test_repeated_requests_end_with_their_session(entry: Door) -> None:
    cookie, session = signed_in(entry)
    wire, other = entry.connect(), entry.connect()
    head = entry.head("GET", GRAFANA, cookie, token=None)
    for asking in (wire, wire, wire, other, other):
        asking.send(head)
        assert asking.answer().status == 200
    assert len(entry.running.edge.open_requests) == 0
    end(entry, session)
    entry.upstream.taken()
    for asking in (wire, other):
        asking.send(head)
        assert asking.answer().status == 401
    assert entry.upstream.taken() == []


def test_what_was_worked_out_for_an_identity_ends_with_it(entry: Door) -> None:
    cookie, session = signed_in(entry)
    head = entry.head("GET", GRAFANA, cookie, token=None)
    wire = entry.connect()
    for _ in range(3):
        wire.send(head)
        assert wire.answer().status == 200
    other = await_in(entry, entry.running.edge.site.authenticator.verify(entry.issuer.token((), "ben").encode()))
    entry.call(setattr, session, "identity", other)
    wire.send(head)
    assert wire.answer().status == 403


@pytest.mark.parametrize("kind", ["answer", "tunnel"])
def test_what_is_open_is_cut_when_its_session_ends_and_nothing_else(entry: Door, kind: str) -> None:
    cookie, session = signed_in(entry)
    others, _ = signed_in(entry, user="ben")
    wires = []
    for line in (cookie, others):
        wire = entry.connect()
        if kind == "tunnel":
            wire.send(entry.upgrade(GRAFANA, "websocket", line, OURS, token=None))
            assert wire.answer().status == 101
        else:
            wire.send(entry.head("GET", "/sl/team-a/prod/grafana/slow", line, token=None))
            wire.until(b"hello")
        wires.append(wire)
    assert session.key in entry.running.edge.open_requests.open_sessions()
    began = time.monotonic()
    end(entry, session)
    wires[0].rest()
    assert time.monotonic() - began < 1
    assert len(entry.running.edge.open_requests) == 1
    wires[1].sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        wires[1].more()


def test_one_ends_ones_own_session_and_is_answered(entry: Door) -> None:
    cookie, session = signed_in(entry)
    body = f"session={session.label}".encode()
    wire = entry.connect()
    lines = (cookie, OURS, "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}")
    wire.send(entry.head("POST", "/console/sessions/end", *lines, token=None) + body)
    answer = wire.answer()
    assert (answer.status, answer["location"]) == (303, "/")
    assert ask(entry, "GET", "/console/me", cookie).status == 401


def test_sign_out_takes_the_cookie_away_and_needs_our_origin(entry: Door) -> None:
    cookie, session = signed_in(entry)
    assert ask(entry, "POST", "/oauth2/sign_out", cookie, "Origin: https://evil.example").status == 403
    assert session.is_current
    answer = ask(entry, "POST", "/oauth2/sign_out", cookie, OURS)
    assert (answer.status, "__Host-mosk=; " in (answer["set-cookie"] or "")) == (200, True)
    assert not session.is_current


def test_without_a_store_browsers_wait_and_everybody_else_goes_on(tmp_path: Path) -> None:
    read_or_make_keys(tmp_path / "sessions.key")
    sessions = {"store": "redis://127.0.0.1:1/0", "key_file": "sessions.key"}
    with door(tmp_path, script, sign_in=SIGN_IN, sessions=sessions) as entry:
        browsers = entry.running.signing_in
        assert browsers is not None
        entry.until(lambda: browsers.sessions.trouble)
        for target in ("/", GRAFANA):
            answer = ask(entry, "GET", target, HTML, "Cookie: __Host-mosk=" + "A" * 43)
            assert (answer.status, answer["retry-after"], answer["set-cookie"]) == (503, "2", None)
        assert ask(entry, "GET", "/", token=entry.issuer.token(ROLES)).status == 200
        assert entry.ask("GET", "/kaas/api/v1/namespaces", roles=ROLES).status == 200


def test_requests_of_nobody_are_no_trouble() -> None:
    none = OpenRequests()
    none.sessions_ended(frozenset({b"key"}))
    assert (len(none), list(none.open_sessions())) == (0, [])

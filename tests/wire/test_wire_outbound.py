"""What an upstream is sent: the client's harmless fields as they came, then only ours."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.directory.upstream import Credential, IdentityHeaders, Impersonate, NoCredential, PassToken, StaticToken, Upstream
from proxy.errors import Unauthenticated
from proxy.identity.principal import Identity
from proxy.policy.roles import RoleSet
from proxy.routing.request_head import check_header_block
from proxy.wire.outbound import (
    Client,
    Grant,
    OutboundHeaders,
    credential_header_names,
    header_value,
    outbound_headers,
    request_bytes,
)

ROLES = ("m:kaas:team-a@writer", "offline_access", "devs,system:masters")
EFFECTIVE = Grant(("m:k8s:team-a:prod@cluster-admin",), "m:kaas:team-a@writer")
SECRET = b"secret-of-the-proxy"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def identity(**changes) -> Identity:
    known = {
        "issuer": "https://issuer.example",
        "subject": "1234",
        "username": "ann",
        "groups": ROLES,
        "roles": RoleSet.from_strings(ROLES),
        "audiences": frozenset({"k8s"}),
        "expires_at": 1e12,
        "token": b"token.of.ann",
    }
    return Identity(**(known | changes))


def upstream(credential: Credential | None = None, url: tuple[str, str, int] = ("http", "10.0.1.10", 80)) -> Upstream:
    return Upstream("k8s/team-a/prod", *url, credential=credential or NoCredential())


def build(
    *fields: tuple[str, str],
    to: Upstream | None = None,
    who: Identity | None = None,
    grant: Grant = EFFECTIVE,
    upgrade: bytes | None = None,
    credential_names: frozenset[bytes] = frozenset(),
) -> OutboundHeaders:
    given_fields = [(name.encode(), value.encode()) for name, value in [("Host", "Entry.Example:8443"), *fields]]
    block = check_header_block(given_fields, is_http11=True)
    to = to or upstream()
    secret = SECRET if isinstance(to.credential, StaticToken | Impersonate) else None
    return outbound_headers(block, to, secret, who or identity(), grant, upgrade=upgrade, credential_names=credential_names)


def lines(*fields: tuple[str, str], **options) -> list[str]:
    return build(*fields, **options).lines.decode().split("\r\n")[:-1]


OURS = ["Host: 10.0.1.10", "X-Forwarded-Host: entry.example:8443"]


def test_the_clients_fields_keep_order_spelling_and_number_behind_ours() -> None:
    fields = [("X-B", "1"), ("Accept", "a, b"), ("x-b", "2"), ("ACCEPT", "c"), ("X-Empty", "")]
    assert lines(*fields) == [*OURS, *(f"{name}: {value}" for name, value in fields)]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (("http", "10.0.1.10", 80), "10.0.1.10"),
        (("https", "api.example", 443), "api.example"),
        (("https", "api.example", 80), "api.example:80"),
        (("http", "api.example", 443), "api.example:443"),
        (("https", "2001:db8::1", 443), "[2001:db8::1]"),
        (("https", "2001:db8::1", 6443), "[2001:db8::1]:6443"),
    ],
)
def test_host_names_the_upstream(url: tuple[str, str, int], host: str) -> None:
    assert lines(to=upstream(url=url))[0] == f"Host: {host}"


# credentials


def test_no_credential_sends_none() -> None:
    assert lines(("Authorization", "Bearer token.of.ann")) == OURS


def test_pass_token_sends_the_verified_token_and_no_other_bytes() -> None:
    found = lines(("Authorization", "bEaReR   token.of.ann"), to=upstream(PassToken("k8s")))
    assert found == [*OURS, "Authorization: Bearer token.of.ann"]


def test_pass_token_needs_its_audience_and_says_which() -> None:
    with pytest.raises(Unauthenticated, match="sign in with the client prod-k8s") as refusal:
        build(to=upstream(PassToken("prod-k8s")))
    assert refusal.value.error == "invalid_token"


def test_a_static_token_is_all_that_is_sent() -> None:
    assert lines(to=upstream(StaticToken(Path("x")))) == [*OURS, "Authorization: Bearer secret-of-the-proxy"]


def test_impersonation_carries_the_effective_group_alone() -> None:
    assert lines(to=upstream(Impersonate(Path("x")))) == [
        *OURS,
        "Authorization: Bearer secret-of-the-proxy",
        "Impersonate-User: ann",
        "Impersonate-Group: m:k8s:team-a:prod@cluster-admin",
        "Impersonate-Uid: 1234",
        "Impersonate-Extra-Mosk-Issuer: https://issuer.example",
        "Impersonate-Extra-Mosk-Granted-By: m:kaas:team-a@writer",
    ]


def test_all_groups_go_one_a_line_and_a_comma_splits_none() -> None:
    found = lines(to=upstream(Impersonate(Path("x"), groups="all")))
    groups = [line.partition(": ")[2] for line in found if line.startswith("Impersonate-Group")]
    assert groups == ["m:kaas:team-a@writer", "offline_access", "devs,system:masters"]


def test_three_hundred_groups_are_three_hundred_lines() -> None:
    who = identity(groups=tuple(f"oidc:group-{number}" for number in range(300)))
    found = lines(to=upstream(Impersonate(Path("x"), groups="all")), who=who)
    assert sum(line.startswith("Impersonate-Group: oidc:group-") for line in found) == 300


def test_a_client_certificate_needs_no_authorization() -> None:
    block = check_header_block([(b"Host", b"a")], is_http11=True)
    to = upstream(Impersonate(client_certificate_file=Path("c"), client_key_file=Path("k")))
    found = outbound_headers(block, to, None, identity(), EFFECTIVE, upgrade=None, credential_names=frozenset())
    assert b"Authorization" not in found.lines
    assert b"Impersonate-User: ann\r\n" in found.lines


def test_identity_headers_name_the_user_as_far_as_it_is_known() -> None:
    credential = IdentityHeaders("X-WEBAUTH-USER", "X-WEBAUTH-ROLE", "Admin", "X-WEBAUTH-NAME", "X-WEBAUTH-EMAIL")
    assert lines(to=upstream(credential), who=identity(full_name="Ann B")) == [
        *OURS,
        "X-WEBAUTH-USER: ann",
        "X-WEBAUTH-ROLE: Admin",
        "X-WEBAUTH-NAME: Ann%20B",
    ]
    assert lines(to=upstream(IdentityHeaders("X-User"))) == [*OURS, "X-User: ann"]


def test_the_names_that_credentials_set() -> None:
    credential = IdentityHeaders("X-User", "X-ROLE", "Admin", None, "X-Mail")
    assert credential_header_names(credential) == {b"x-user", b"x-role", b"x-mail"}
    assert credential_header_names(Impersonate(Path("x"))) == frozenset()


def test_a_name_that_any_credential_sets_is_taken_from_clients_everywhere() -> None:
    found = lines(("X-Company-User", "root"), ("x-company-USER", "root"), credential_names=frozenset({b"x-company-user"}))
    assert found == OURS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ann", b"ann"),
        ("ann@example.org", b"ann@example.org"),
        ("Ann B", b"Ann%20B"),
        ("50%", b"50%25"),
        ("%41nn", b"%2541nn"),
        ("j\xfcrgen", b"j%C3%BCrgen"),
        ("a,b", b"a,b"),
        ("a\r\nImpersonate-User: root", b"a%0D%0AImpersonate-User:%20root"),
        ("\x00\t\x7f", b"%00%09%7F"),
        ("\ud800", b"%ED%A0%80"),
        ("", b""),
    ],
)
def test_a_name_is_percent_encoded(text: str, value: bytes) -> None:
    assert header_value(text) == value


@given(st.text())
def test_no_name_leaves_its_line_and_no_two_names_look_alike(text: str) -> None:
    value = header_value(text)
    assert all(0x21 <= byte <= 0x7E for byte in value)
    assert value.count(b"%") == sum(value[at : at + 1] == b"%" for at in range(len(value)))
    decoded = b"".join(
        bytes.fromhex(part[:2].decode()) + part[2:] if index else part for index, part in enumerate(value.split(b"%"))
    )
    assert decoded.decode("utf-8", "surrogatepass") == text


# what a client may not say


SECURITY = [
    "Authorization",
    "Impersonate-User",
    "Impersonate-Group",
    "X-Forwarded-Host",
    "Host",
    "X-WEBAUTH-USER",
    "X-Request-Id",
]


@pytest.mark.parametrize(
    "credential", [Impersonate(Path("x")), PassToken("k8s"), StaticToken(Path("x")), IdentityHeaders("X-User")]
)
def test_connection_cannot_remove_what_we_set(credential: Credential) -> None:
    to = upstream(credential)
    expected = lines(to=to)
    for nominated in ([", ".join(SECURITY)], SECURITY):
        found = lines(
            *[("Connection", value) for value in nominated], ("X-User", "root"), to=to, credential_names=frozenset({b"x-user"})
        )
        assert found == expected


def test_fields_that_connection_names_are_dropped() -> None:
    fields = [("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"), ("x-hop", "2"), ("X-End", "3"), ("connection", "Accept")]
    assert lines(*fields, ("Accept", "a")) == [*OURS, "X-End: 3"]


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        ("a=1; b=2", "a=1; b=2"),
        ("a=1;b=2;  c=3", "a=1;b=2;  c=3"),
        ("__Host-mosk=secret", None),
        ("__Host-mosk=secret; a=1", "a=1"),
        ("a=1; __Host-mosk=secret", "a=1"),
        ("a=1; __host-MOSK=secret; b=2", "a=1; b=2"),
        ("a=1;__Host-mosk=x;__Host-mosk=y;b=2", "a=1;b=2"),
        ("__Host-mosk", None),
        ("not__Host-mosk=1", "not__Host-mosk=1"),
        ("a=__Host-mosk=1", "a=__Host-mosk=1"),
    ],
)
def test_our_cookie_is_removed_and_others_stay(cookie: str, kept: str | None) -> None:
    assert lines(("Cookie", cookie), ("cookie", "z=9")) == [*OURS, *([] if kept is None else [f"Cookie: {kept}"]), "cookie: z=9"]


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        ("v5.channel.k8s.io", "v5.channel.k8s.io"),
        ("base64url.bearer.authorization.k8s.io.YQ, v5.channel.k8s.io,v4.channel.k8s.io", "v5.channel.k8s.io,v4.channel.k8s.io"),
        ("v5.channel.k8s.io , base64url.bearer.authorization.k8s.io.YQ", "v5.channel.k8s.io"),
        ("BASE64URL.bearer.authorization.k8s.io.YQ", None),
    ],
)
def test_the_token_among_the_sub_protocols_is_removed(offered: str, kept: str | None) -> None:
    expected = [] if kept is None else [f"Sec-WebSocket-Protocol: {kept}"]
    for upgrade in (b"websocket", None):
        found = lines(("Sec-WebSocket-Protocol", offered), ("Connection", "Upgrade"), ("Upgrade", "websocket"), upgrade=upgrade)
        assert [line for line in found if line.startswith("Sec-")] == expected


# framing


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        ([], []),
        ([("Content-Length", "0")], ["Content-Length: 0"]),
        ([("Content-Length", "007")], ["Content-Length: 7"]),
        ([("transfer-encoding", "Chunked")], ["Transfer-Encoding: chunked"]),
    ],
)
def test_the_framing_is_written_anew(fields: list, framing: list[str]) -> None:
    assert lines(*fields) == [*OURS, *framing]


@pytest.mark.parametrize(
    ("asked", "spelling"),
    [("websocket", "websocket"), ("WebSocket", "websocket"), ("SPDY/3.1", "SPDY/3.1"), ("spdy/3.1", "SPDY/3.1")],
)
def test_a_permitted_upgrade_is_written_in_one_spelling(asked: str, spelling: str) -> None:
    fields = [("Connection", "keep-alive, uPGRADE, Accept"), ("Upgrade", asked), ("Content-Length", "0")]
    found = lines(*fields, ("Accept", "a"), upgrade=asked.lower().encode())
    assert found == [OURS[0], OURS[1], "Connection: Upgrade", f"Upgrade: {spelling}", "Content-Length: 0"]


def test_any_other_upgrade_leaves_an_ordinary_request() -> None:
    fields = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ("TE", "trailers"),
    ]
    assert lines(*fields) == OURS


# ids


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-00", TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-00f067aa0ba902b7-01-extra", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-00f067aa0ba902b7", None),
        ("", None),
        ("00", None),
    ],
)
def test_a_valid_trace_is_continued(value: str, trace_id: str | None) -> None:
    headers = build(("TraceParent", value), ("tracestate", "a=b"))
    assert headers.trace_id == (None if trace_id is None else trace_id.encode())
    assert headers.lines.decode().split("\r\n")[:-1] == OURS


def test_two_traces_are_none() -> None:
    value = f"00-{TRACE}-00f067aa0ba902b7-01"
    assert build(("traceparent", value), ("traceparent", value)).trace_id is None


@pytest.mark.parametrize("trace_id", [None, TRACE])
def test_a_request_is_its_line_then_headers_client_and_ids(trace_id: str | None) -> None:
    headers = OutboundHeaders(b"Host: a\r\n", None if trace_id is None else trace_id.encode())
    client, request_id, span_id = Client.at("192.0.2.7", "https"), b"1" * 32, b"2" * 16
    found = request_bytes("PATCH", b"/a%20b", b"x=%2F", headers, client, request_id, span_id)
    assert found == (
        b"PATCH /a%20b?x=%2F HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
        b"X-Request-Id: 11111111111111111111111111111111\r\n"
        + f"traceparent: 00-{trace_id or '1' * 32}-2222222222222222-01\r\n\r\n".encode()
    )


@pytest.mark.parametrize(("query", "target"), [(None, b"/"), (b"", b"/?"), (b"a", b"/?a")])
def test_an_empty_query_is_not_none(query: bytes | None, target: bytes) -> None:
    found = request_bytes("GET", b"/", query, OutboundHeaders(b"", None), Client.at("::1", "http"), b"", b"")
    assert found.split(b" ")[1] == target


NAME = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=24)
PREFIX = st.sampled_from(["Impersonate-", "X-Remote-", "x-forwarded-", "X-WebAuth-", "X-Original-", "SSL-Client-", "Host", ""])
VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@given(st.lists(st.tuples(st.tuples(PREFIX, NAME).map("".join), VALUE), max_size=8))
def test_nothing_a_client_sends_adds_to_or_takes_from_what_we_set(fields: list[tuple[str, str]]) -> None:
    """Every line is one of ours, or one of the client's, whole and under a name that is not managed."""
    framing = {"content-length", "transfer-encoding", "upgrade", "host", "expect", "connection"}
    fields = [(name, value.strip()) for name, value in fields if name.lower() not in framing]
    ours = lines(to=upstream(Impersonate(Path("x"))))
    found = lines(*fields, to=upstream(Impersonate(Path("x"))))
    assert found[: len(ours)] == ours
    sent = [f"{name}: {value}" for name, value in fields]
    assert all(line in sent for line in found[len(ours) :])
    assert not any(
        line.lower().startswith(("impersonate", "x-remote-", "x-forwarded-", "authorization:")) for line in found[len(ours) :]
    )

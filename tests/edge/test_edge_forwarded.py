"""Where a request came from: nobody in front of us is believed unless the configuration says so."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from edge_door import POD, Door

from proxy.edge.forwarded import client_of
from proxy.routing.request_head import check_header_block

Maker = Callable[..., Door]
TRUSTED = tuple(map(ip_network, ("10.0.0.0/8", "2001:db8::/32")))


def client(peer: str, *fields: tuple[str, str], trusted=TRUSTED) -> tuple[str, str]:
    given = [(b"Host", b"a"), *((name.encode(), value.encode()) for name, value in fields)]
    found = client_of(peer, check_header_block(given, is_http11=True), "https", trusted)
    address, _, rest = found.lines.decode().partition("\r\n")
    assert address == f"X-Forwarded-For: {found.address}"
    return found.address, rest.removeprefix("X-Forwarded-Proto: ").removesuffix("\r\n")


@pytest.mark.parametrize(
    ("peer", "chain", "address"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("192.0.2.1", ["10.0.0.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2,10.0.0.3"], "203.0.113.9"),
        # What a client writes itself stands further left than what the first trusted proxy saw of it.
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.9.9.9, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [","], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("2001:db8::1", ["2001:DB8:1::9, 2001:db8::2"], "2001:db8:1::9"),
        ("2001:db8::1", ["2a00::1"], "2a00::1"),
        ("2001:db8::1", ["[2a00::1]"], "2001:db8::1"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_chain_is_walked_from_our_side(peer: str, chain: list[str], address: str) -> None:
    assert client(peer, *(("x-FORWARDED-for", value) for value in chain))[0] == address


@pytest.mark.parametrize(
    ("peer", "values", "scheme"),
    [
        ("10.0.0.1", ["http"], "http"),
        ("10.0.0.1", ["https"], "https"),
        ("10.0.0.1", ["HTTP"], "https"),
        ("10.0.0.1", ["http, https"], "https"),
        ("10.0.0.1", ["http", "http"], "https"),
        ("10.0.0.1", ["ftp"], "https"),
        ("10.0.0.1", [], "https"),
        ("192.0.2.1", ["http"], "https"),
    ],
)
def test_the_outer_scheme_is_one_of_two(peer: str, values: list[str], scheme: str) -> None:
    assert client(peer, *(("X-Forwarded-Proto", value) for value in values))[1] == scheme


def test_nobody_is_trusted_unless_it_is_said() -> None:
    fields = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "http")]
    for peer in ("127.0.0.1", "10.0.0.1", "::1"):
        assert client(peer, *fields, trusted=()) == (peer, "https")


def test_by_default_no_client_chooses_its_address(entry: Door) -> None:
    answer = entry.ask("GET", POD, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "Forwarded: for=203.0.113.9")
    assert answer.status == 200
    (request,) = entry.upstream.taken()
    assert b"\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n" in request
    (line,) = entry.audit_lines(1)
    assert line["client"] == "127.0.0.1"


def test_a_trusted_proxy_tells_upstreams_and_the_audit_log(make_door: Maker) -> None:
    entry = make_door(trusted_proxies=["127.0.0.0/8"])
    wire = entry.connect()
    for chain, address in (("198.51.100.1, 203.0.113.9", "203.0.113.9"), ("203.0.113.10", "203.0.113.10")):
        wire.send(entry.head("GET", POD, f"X-Forwarded-For: {chain}", "X-Forwarded-Proto: https"))
        assert wire.answer().status == 200
        (request,) = entry.upstream.taken()
        assert f"\r\nX-Forwarded-For: {address}\r\nX-Forwarded-Proto: https\r\n".encode() in request
    assert [line["client"] for line in entry.audit_lines(2)] == ["203.0.113.9", "203.0.113.10"]
    entry.reload(trusted_proxies=[])
    wire.send(entry.head("GET", POD, "X-Forwarded-For: 203.0.113.9"))
    assert wire.answer().status == 200
    assert entry.audit_lines(3)[2]["client"] == "127.0.0.1"

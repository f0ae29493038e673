"""TLS towards upstreams and at the public listener."""

import asyncio
import gc
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from edge_door import POD, TLS, Door, authority, client_tls, server_tls, write_authority, write_pair

from proxy.directory.upstream import Impersonate, Upstream
from proxy.forwarding.tls import SharedContexts, server_context, upstream_context

Maker = Callable[..., Door]


def test_plain_http_needs_no_context() -> None:
    assert upstream_context(Upstream("kaas", "http", "a", 80)) is None


def test_an_upstream_is_verified_against_its_own_authority_alone(tmp_path: Path) -> None:
    ca_file = write_authority(tmp_path / "ca.crt", "authority")
    for upstream in (
        Upstream("kaas", "https", "a", 443, ca_file=ca_file),
        Upstream("kaas", "https", "a", 443, ca_pem=ca_file.read_text()),
    ):
        context = upstream_context(upstream)
        assert context is not None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert [dict(name[0] for name in known["subject"]) for known in context.get_ca_certs()] == [{"commonName": "authority"}]


def test_without_an_authority_the_systems_are_used() -> None:
    context = upstream_context(Upstream("kaas", "https", "a", 443))
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_files_that_cannot_be_used_are_an_oserror(tmp_path: Path) -> None:
    certificate, _ = write_pair(tmp_path, "one")
    _, key = write_pair(tmp_path, "two")
    with pytest.raises(OSError, match="key values mismatch"):
        server_context(certificate, key)
    with pytest.raises(OSError, match="No such file"):
        server_context(tmp_path / "absent", key)
    with pytest.raises(OSError, match="No such file"):
        upstream_context(Upstream("kaas", "https", "a", 443, ca_file=tmp_path / "absent"))
    client = Impersonate(client_certificate_file=certificate, client_key_file=key)
    with pytest.raises(OSError, match="key values mismatch"):
        upstream_context(Upstream("kaas", "https", "a", 443, credential=client))


async def test_upstreams_that_trust_the_same_share_a_context_while_it_is_used(tmp_path: Path) -> None:
    pem = write_authority(tmp_path / "ca.crt", "authority").read_text()
    other = write_authority(tmp_path / "other.crt", "other").read_text()
    certificate, key = write_pair(tmp_path, "client")
    client = Impersonate(client_certificate_file=certificate, client_key_file=key)
    contexts = SharedContexts()
    assert await contexts.context(Upstream("a", "http", "a", 80)) is None
    first = await contexts.context(Upstream("a", "https", "a", 443, ca_pem=pem))
    assert await contexts.context(Upstream("b", "https", "b", 6443, ca_pem=pem)) is first
    unlike = (
        Upstream("c", "https", "a", 443, ca_pem=other),
        Upstream("d", "https", "a", 443, ca_pem=pem, credential=client),
    )
    made = [first, *[await contexts.context(upstream) for upstream in unlike]]
    assert len(set(made)) == 3
    assert isinstance(first, ssl.SSLContext)
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)
    del first, made
    # The thread that made the last one lets go of it when it has something else to do.
    await asyncio.to_thread(gc.collect)
    assert len(contexts._contexts) == 0
    with pytest.raises(OSError, match="No such file"):
        await contexts.context(Upstream("e", "https", "a", 443, ca_file=tmp_path / "absent"))


def test_an_upstream_of_another_authority_is_502_and_gets_no_credential(make_door: Maker, tmp_path: Path) -> None:
    authority("other")
    entry = make_door(upstream_tls=server_tls(tmp_path, by="other"))
    answer = entry.ask("GET", POD)
    assert (answer.status, answer.json()["message"]) == (502, "the upstream refused the connection")
    assert entry.upstream.taken() == []


def test_a_verified_upstream_is_served_over_http_1_1(make_door: Maker, tmp_path: Path) -> None:
    tls, seen = server_tls(tmp_path), []
    tls.set_alpn_protocols(["h2", "http/1.1"])

    def script(wire) -> None:
        wire.request()
        seen.append((wire.sock.selected_alpn_protocol(), wire.sock.version()))
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    entry = make_door(script, upstream_tls=tls)
    assert entry.ask("GET", POD).status == 200
    assert seen == [("http/1.1", "TLSv1.3")]


def test_a_client_certificate_is_shown_and_no_token(make_door: Maker, tmp_path: Path) -> None:
    write_pair(tmp_path, "client", common_name="proxy.example", by="clients")
    shown = []

    def script(wire) -> None:
        shown.append(wire.sock.getpeercert()["subject"])
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    certificate = {"client_certificate_file": str(tmp_path / "client.crt"), "client_key_file": str(tmp_path / "client.key")}
    entry = make_door(
        script,
        upstream_tls=server_tls(tmp_path, client_authority="clients"),
        credential={"kind": "impersonate", **certificate},
    )
    assert entry.ask("GET", POD).status == 200
    assert shown == [((("commonName", "proxy.example"),),)]
    (request,) = entry.upstream.taken()
    assert b"Authorization" not in request
    assert b"Impersonate-User: ann\r\n" in request


def test_the_listener_speaks_http_1_1_over_tls_1_2_and_later(make_door: Maker) -> None:
    entry = make_door(listen=TLS)

    def handshake(context: ssl.SSLContext) -> tuple[str | None, str | None]:
        plain = socket.create_connection(("127.0.0.1", entry.port), timeout=5)
        with plain, context.wrap_socket(plain, server_hostname="entry.example") as sock:
            return sock.version(), sock.selected_alpn_protocol()

    modern = ssl.create_default_context(cadata=(entry.config_file.parent / "authority.crt").read_text())
    modern.set_alpn_protocols(["h2", "http/1.1"])
    assert handshake(modern) == ("TLSv1.3", "http/1.1")
    modern.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(modern) == ("TLSv1.2", "http/1.1")
    assert client_tls().minimum_version <= ssl.TLSVersion.TLSv1_2
    old = ssl.create_default_context(cadata=(entry.config_file.parent / "authority.crt").read_text())
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        handshake(old)


def test_nobody_renegotiates(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    for context in (server_context(*pair), upstream_context(Upstream("kaas", "https", "a", 443))):
        assert context is not None
        assert ssl.OP_NO_RENEGOTIATION in context.options


def test_own_answers_over_tls_pin_the_transport(make_door: Maker) -> None:
    entry = make_door(listen=TLS)
    assert entry.ask("GET", "/")["strict-transport-security"] == "max-age=31536000"
    assert entry.ask("GET", "/nowhere")["strict-transport-security"] == "max-age=31536000"
    wire = entry.connect()
    wire.send(b"GARBAGE\r\n\r\n")
    assert wire.answer()["strict-transport-security"] == "max-age=31536000"
    assert entry.ask("GET", POD)["strict-transport-security"] is None
    (request,) = entry.upstream.taken()
    assert b"X-Forwarded-Proto: https\r\n" in request

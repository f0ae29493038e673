import asyncio
import datetime as dt
import ssl
from ipaddress import ip_address

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from loopback_issuer import Issuer, jwk, key_set, serving

from proxy.identity.claims import IssuerRules
from proxy.issuers.discovery import KeysUnavailable, key_source, one_line
from proxy.issuers.settings import IssuerSettings


async def read(settings):
    return await key_source(settings).read()


async def failure(settings):
    with pytest.raises(KeysUnavailable) as caught:
        await read(settings)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


def answer(**members):
    async def behaviour(request):
        return web.Response(**members)

    return behaviour


async def test_the_keys_are_read_from_where_the_metadata_says():
    async with serving(Issuer()) as issuer:
        assert [key.key_id for key in (await read(issuer.settings())).keys] == ["first"]
        assert issuer.asked == {"discovery": 1, "keys": 1}


async def test_the_issuer_s_last_slash_is_left_out_of_the_address():
    async with serving(Issuer()) as issuer:
        issuer.metadata = {"issuer": issuer.url + "/"}
        rules = IssuerRules(issuer=issuer.url + "/", audiences=frozenset())
        assert (await read(IssuerSettings(rules))).keys


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("https://evil.example", "names another issuer"),
        ("", "names another issuer"),
        (None, "not a discovery document"),
        (7, "not a discovery document"),
    ],
)
async def test_another_issuer_s_metadata_is_refused(name, reason):
    async with serving(Issuer(metadata={"issuer": name})) as issuer:
        assert reason in await failure(issuer.settings())
        assert issuer.asked["keys"] == 0


@pytest.mark.parametrize("suffix", ["/", "x"])
async def test_the_issuer_must_be_named_exactly(suffix):
    async with serving(Issuer()) as issuer:
        issuer.metadata = {"issuer": issuer.url + suffix}
        assert "names another issuer" in await failure(issuer.settings())


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://keys.example/certs", "must be https"),
        ("ftp://127.0.0.1/certs", "must be https"),
        ("file:///etc/passwd", "must be https"),
        ("//127.0.0.1/certs", "must be https"),
        ("certs", "must be https"),
        ("", "must be https"),
        ("https:///certs", "must be https"),
        ("https://user:pass@127.0.0.1/certs", "must be https"),
        ("https://[::1", "not a URL"),
        (7, "not a discovery document"),
    ],
)
async def test_keys_are_fetched_over_https_only(uri, reason):
    async with serving(Issuer(metadata={"jwks_uri": uri})) as issuer:
        assert reason in await failure(issuer.settings())


async def test_an_issuer_that_is_not_on_loopback_must_be_https():
    rules = IssuerRules(issuer="http://keycloak.example/realm", audiences=frozenset())
    assert "must be https" in await failure(IssuerSettings(rules))


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answer(status=302, headers={"Location": "/realm/.well-known/openid-configuration"}), "answered 302"),
        (answer(status=307, headers={"Location": "http://127.0.0.1:1/"}), "answered 307"),
        (answer(status=500, text="no"), "answered 500"),
        (answer(status=404), "answered 404"),
        (answer(status=204), "answered 204"),
        (answer(text="<html><body>maintenance</body></html>", content_type="text/html"), "not a JSON object"),
        (answer(body=b""), "not a JSON object"),
        (answer(body=b"{}"), "without a list of keys"),
        (answer(body=key_set()), "no usable key"),
        (answer(body=b" " * 10_000_000), "longer than"),
        (answer(body=b" " * (1 << 20) + key_set(jwk("first"))), "longer than"),
    ],
)
async def test_an_answer_that_is_no_key_set_is_refused(behaviour, reason):
    async with serving(Issuer(behaviour=behaviour)) as issuer:
        assert reason in await failure(issuer.settings())
        assert issuer.asked == {"discovery": 1, "keys": 1}


async def test_an_endless_answer_is_cut():
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    async with serving(Issuer(behaviour=endless)) as issuer:
        assert "longer than" in await failure(issuer.settings())


async def test_a_compressed_answer_is_not_expanded():
    async def bomb(request):
        response = web.Response(body=key_set(jwk("first")))
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(Issuer(behaviour=bomb)) as issuer:
        assert "not a JSON object" in await failure(issuer.settings())


async def test_an_answer_that_breaks_off_is_refused():
    async def breaking(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(key_set(jwk("first")))
        request.transport.abort()
        return response

    async with serving(Issuer(behaviour=breaking)) as issuer:
        assert await failure(issuer.settings())


@pytest.mark.parametrize(
    ("error", "line"),
    [(OSError("a\nb"), "a"), (OSError(), "OSError"), (OSError("x" * 500), "x" * 200)],
)
def test_an_error_is_told_in_one_line(error, line):
    assert one_line(error) == line


async def test_nobody_listens():
    async with serving(Issuer()) as issuer:
        pass
    assert issuer.url in await failure(issuer.settings())


async def test_a_file_replaces_the_issuer(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk("second")))
    async with serving(Issuer()) as issuer:
        assert [key.key_id for key in (await read(issuer.settings(jwks_file=path))).keys] == ["second"]
        assert not issuer.asked


async def test_a_missing_or_broken_file_is_named(tmp_path):
    settings = Issuer(url="https://issuer.example").settings(jwks_file=tmp_path / "keys.json")
    assert await failure(settings) == f"{tmp_path}/keys.json: No such file or directory"
    (tmp_path / "keys.json").write_bytes(b"{")
    assert await failure(settings) == f"{tmp_path}/keys.json: not a JSON object"


@pytest.fixture(scope="module", name="certificate")
def _certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


async def test_an_issuer_has_its_own_authorities(certificate, tmp_path):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
    async with serving(Issuer(), tls=tls) as issuer:
        assert (await read(issuer.settings(ca_file=certificate / "tls.crt"))).keys
        assert "certificate" in (await failure(issuer.settings())).lower()
        issuer.metadata = {"jwks_uri": "http://127.0.0.1:1/certs"}
        assert "must be https, as the issuer is" in await failure(issuer.settings(ca_file=certificate / "tls.crt"))
        missing = await failure(issuer.settings(ca_file=tmp_path / "none.crt"))
        assert missing == f"{tmp_path}/none.crt: No such file or directory"
        (tmp_path / "none.crt").write_text("no certificate")
        assert f"{tmp_path}/none.crt" in await failure(issuer.settings(ca_file=tmp_path / "none.crt"))
        await asyncio.sleep(0)

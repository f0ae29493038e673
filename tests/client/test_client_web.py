import os
import subprocess
import sys
import time

import pytest
from aiohttp import web as server

from proxy.client.errors import ClientError
from proxy.client.web import Answer, require_protected, web
from proxy.demo.certificates import CertificateAuthority
from proxy.demo.loopback import listening_socket, serving


async def failure(asked) -> str:
    with pytest.raises(ClientError) as caught:
        await asked
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://issuer.example/x", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("http://issuer.example/", False),
        ("http://127.0.0.1.evil.example/", False),
        ("https://ann:secret@issuer.example/", False),
        ("file:///etc/passwd", False),
        ("javascript:alert(1)", False),
        ("//issuer.example", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_credentials_go_out_protected_or_not_at_all(url, safe):
    if safe:
        require_protected(url)
    else:
        with pytest.raises(ClientError, match=r"must be https|is not a URL"):
            require_protected(url)


async def test_an_answer_is_read_with_the_server_s_clock(issuer, client):
    answer = await client.get(f"{issuer.url}/certs")
    assert (answer.status, list(answer.document())) == (200, ["keys"])
    assert abs(answer.date - time.time()) < 5


async def test_no_redirect_is_followed(issuer, client):
    issuer.answers["certs"] = lambda form: server.Response(status=302, headers={"Location": f"{issuer.url}/elsewhere"})
    assert (await client.get(f"{issuer.url}/certs")).status == 302
    assert issuer.count("elsewhere") == 0


async def test_a_long_answer_is_not_read_to_its_end(issuer, client):
    issuer.answers["certs"] = lambda form: server.Response(body=b"x" * (1 << 20) + b"y")
    assert "longer than 1048576 bytes" in await failure(client.get(f"{issuer.url}/certs"))
    assert len((await client.get(f"{issuer.url}/certs", max_bytes=1 << 21)).body) == (1 << 20) + 1


async def test_a_silent_server_is_given_up(issuer):
    issuer.answers["certs"] = lambda form: time.sleep(0.3) or server.Response()
    async with web(None, 0.1) as client:
        assert await failure(client.get(f"{issuer.url}/certs")) == f"{issuer.url}/certs: no answer within 0.1 s"


async def test_nobody_there_is_one_line(client):
    assert "127.0.0.1:9" in await failure(client.get("http://127.0.0.1:9/"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_told(body):
    with pytest.raises(ClientError, match="https://x: answered 200 without a JSON object"):
        Answer("https://x", 200, body, None).document()


async def test_an_authority_is_believed_beside_those_of_the_system(tmp_path):
    authority = CertificateAuthority(tmp_path)
    context = authority.issue("server").ssl_context()
    application = server.Application()

    async def hello(request):
        return server.Response(text="hello")

    application.router.add_get("/", hello)
    async with serving(application, listening_socket(), context) as origin:
        async with web(authority.file.read_text(), 2) as client:
            assert (await client.get(f"{origin}/")).body == b"hello"
        async with web(None, 2) as client:
            assert (await failure(client.get(f"{origin}/"))).endswith("; give its authority with --ca-file")


def test_the_proxy_of_the_environment_is_used_as_by_kubectl():
    expected = {
        "https://entry.example/": "http://proxy.example:3128",
        "https://inside.corp.example/": None,
        "https://127.0.0.1:8443/": None,
        "https://localhost/": None,
    }
    asked = "import sys; from proxy.client.web import proxy_for; print({url: proxy_for(url) for url in sys.argv[1:]})"
    environment = {**os.environ, "HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": ".corp.example"}
    environment = {name: value for name, value in environment.items() if name not in {"https_proxy", "no_proxy"}}
    command = [sys.executable, "-c", asked, *expected]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == f"{expected}\n"

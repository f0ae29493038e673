"""The issuer's endpoints on the wire: how we authenticate, what we believe, how often and how long we ask."""

import asyncio
import time
from base64 import b64decode
from dataclasses import replace

import pytest
from scripted_issuer import CLIENT, ScriptedIssuer, answering, hang, refusing, serving
from signin_desk import QUICK, settings_for

from proxy.demo.certificates import CertificateAuthority
from proxy.demo.loopback import listening_socket, port_of
from proxy.demo.loopback import serving as serving_tls
from proxy.demo.provider import Provider as DemoProvider
from proxy.signin.failures import IssuerRefused, IssuerUnavailable
from proxy.signin.provider import Provider, authenticated


@pytest.fixture
async def make_provider(issuer: ScriptedIssuer, authority_file):
    made = []

    def make(patience=QUICK, **changes):
        url = changes.pop("issuer", issuer.url)
        made.append(Provider(settings_for(url, **({"ca_file": authority_file} | changes)), patience))
        return made[-1]

    yield make
    for provider in made:
        await provider.close()


async def test_tokens_are_exchanged_and_refreshed(issuer: ScriptedIssuer, make_provider):
    provider = make_provider()
    issuer.behaviour = answering(200, '{"id_token": "i", "access_token": "a", "refresh_token": "r", "expires_in": 300}')
    answer = await provider.exchange("the-code", "the-verifier")
    assert (answer.id_token, answer.access_token, answer.refresh_token) == ("i", "a", "r")
    assert "i" not in repr(answer).removeprefix("TokenAnswer")
    await provider.refresh("the-refresh-token")
    assert issuer.asked == [
        {
            "grant_type": "authorization_code",
            "code": "the-code",
            "redirect_uri": "https://entry.example/oauth2/callback",
            "code_verifier": "the-verifier",
        },
        {"grant_type": "refresh_token", "refresh_token": "the-refresh-token"},
    ]


async def test_a_secret_is_form_encoded_in_basic_credentials(issuer: ScriptedIssuer, make_provider):
    issuer.behaviour = answering(200, "{}")
    await make_provider(client_secret="s3c:ret%/ +é").refresh("r")
    kind, _, credentials = issuer.headers[0]["Authorization"].partition(" ")
    assert (kind, b64decode(credentials).decode()) == ("Basic", f"{CLIENT}:s3c%3Aret%25%2F+%2B%C3%A9")
    assert "Cookie" not in issuer.headers[0]


@pytest.mark.parametrize(
    ("method", "body", "has_header"),
    [
        ("client_secret_basic", "a=1", True),
        ("client_secret_post", "a=1&client_id=me&client_secret=s%26x", False),
        ("none", "a=1&client_id=me", False),
    ],
)
def test_each_way_to_authenticate(method, body, has_header):
    text, headers = authenticated(method, "me", "s&x", {"a": "1"})
    assert (text, "Authorization" in headers) == (body, has_header)
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_an_issuer_that_wants_the_secret_in_the_form_gets_it_there(issuer: ScriptedIssuer, make_provider):
    issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    issuer.behaviour = answering(200, "{}")
    await make_provider(client_secret="s3cret").refresh("r")
    assert (issuer.asked[0]["client_id"], issuer.asked[0]["client_secret"]) == (CLIENT, "s3cret")


async def test_an_error_of_the_issuer_is_told_apart_from_its_absence(issuer: ScriptedIssuer, make_provider):
    provider = make_provider()
    issuer.behaviour = refusing("invalid_grant")
    with pytest.raises(IssuerRefused) as refusal:
        await provider.refresh("r")
    assert refusal.value.code == "invalid_grant"
    for behaviour in (
        refusing("server_error", 500),
        refusing("invalid_grant", 502),
        answering(400, "no"),
        answering(200, "no"),
        hang,
    ):
        issuer.behaviour = behaviour
        with pytest.raises(IssuerUnavailable) as trouble:
            await provider.refresh("secret-token")
        assert issuer.url in trouble.value.detail
        assert "secret-token" not in trouble.value.detail


async def test_redirects_are_not_followed(issuer: ScriptedIssuer, make_provider):
    issuer.behaviour = answering(307, "")
    with pytest.raises(IssuerUnavailable, match="does not answer"):
        await make_provider().refresh("r")
    assert len(issuer.asked) == 1


async def test_metadata_are_read_as_often_as_their_use_wants(issuer: ScriptedIssuer, make_provider):
    provider = make_provider(replace(QUICK, fresh_for_browsers=0.05))
    for _ in range(3):
        await provider.metadata()
        await provider.metadata_for_browsers()
    assert issuer.reads == 1
    await asyncio.sleep(0.06)
    await provider.metadata()
    assert issuer.reads == 1
    await provider.metadata_for_browsers()
    assert issuer.reads == 2


async def test_a_crowd_asks_once(issuer: ScriptedIssuer, make_provider):
    provider = make_provider(replace(QUICK, fresh_for_browsers=5))
    await asyncio.gather(*(provider.metadata_for_browsers() for _ in range(50)))
    assert issuer.reads == 1


async def test_a_crowd_in_front_of_a_dead_issuer_costs_one_attempt(make_provider):
    async with serving(ScriptedIssuer()) as dying:
        url = dying.url
    provider = make_provider(replace(QUICK, cool_down=30), issuer=url)
    began = time.monotonic()
    outcomes = await asyncio.gather(*(provider.metadata_for_browsers() for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {IssuerUnavailable}
    assert time.monotonic() - began < 1
    assert url in repr(provider)


async def test_an_issuer_that_comes_back_is_used_again(issuer: ScriptedIssuer, make_provider):
    provider = make_provider()
    issuer.metadata["issuer"] = "https://other.example"
    with pytest.raises(IssuerUnavailable) as trouble:
        await provider.metadata()
    assert "names another issuer" in trouble.value.detail
    del issuer.metadata["issuer"]
    assert (await provider.metadata()).issuer == issuer.url
    assert repr(provider) == f"Provider({issuer.url}, answers)"


async def test_a_refresh_token_is_revoked_where_that_is_possible(issuer: ScriptedIssuer, make_provider):
    assert await make_provider().revoke("the-refresh-token") is True
    assert issuer.revoked == [{"token": "the-refresh-token", "token_type_hint": "refresh_token"}]
    issuer.metadata["revocation_endpoint"] = None
    assert await make_provider().revoke("the-refresh-token") is False


async def test_the_authority_of_the_issuer_is_asked_for(tmp_path, make_provider):
    authority = CertificateAuthority(tmp_path)
    with listening_socket() as listener:
        origin = f"https://127.0.0.1:{port_of(listener)}"
        demo = DemoProvider(origin, "https://entry.example")
        async with serving_tls(demo.application(), listener, authority.issue("provider").ssl_context()):
            assert (await make_provider(issuer=demo.issuer, ca_file=authority.file).metadata()).issuer == demo.issuer
            for ca_file in (None, tmp_path / "absent.crt"):
                with pytest.raises(IssuerUnavailable):
                    await make_provider(issuer=demo.issuer, ca_file=ca_file).metadata()


async def test_closing_before_use_is_no_problem(make_provider):
    await make_provider().close()

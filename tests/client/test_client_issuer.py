import json
import time
from dataclasses import replace

import pytest
from aiohttp import web as server

from proxy.client.errors import ClientError, SessionEnded
from proxy.client.issuer import Issuer, discover, refresh, refusal, revoke
from proxy.client.logins import Tokens
from proxy.client.web import Answer


async def failure(asked, kind=ClientError) -> str:
    with pytest.raises(kind) as caught:
        await asked
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_what_an_issuer_offers_is_read(issuer, client):
    found = await discover(client, issuer.url, "kaas")
    assert found.metadata.token_endpoint == f"{issuer.url}/token"
    issuer.metadata = {"device_authorization_endpoint": None, "revocation_endpoint": None, "unknown": 7}
    found = await discover(client, issuer.url, "kaas")
    assert (found.metadata.device_authorization_endpoint, found.metadata.revocation_endpoint) == (None, None)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": "https://evil.example"}, "names another issuer, https://evil.example"),
        ({"issuer": "https://evil.example\n\x1b[2J"}, "names another issuer, https://evil.example [2J"),
        ({"token_endpoint": None}, "is not a discovery document"),
        ({"authorization_endpoint": "file:///usr/bin/xeyes"}, "must be https"),
        ({"authorization_endpoint": "calculator:"}, "must be https"),
        ({"token_endpoint": "http://evil.example/token"}, "http://evil.example/token: must be https"),
        ({"jwks_uri": "http://evil.example/certs"}, "must be https"),
        ({"device_authorization_endpoint": "http://evil.example/"}, "must be https"),
        ({"revocation_endpoint": "http://evil.example/"}, "must be https"),
    ],
)
async def test_metadata_that_cannot_be_trusted_are_refused(issuer, client, metadata, reason):
    issuer.metadata = metadata
    assert reason in await failure(discover(client, issuer.url, "kaas"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda form: server.Response(status=404), "answered 404; is this the issuer?"),
        (lambda form: server.Response(text="<html>"), "is not a discovery document"),
    ],
)
async def test_another_server_is_told(issuer, client, answer, reason):
    issuer.answers["openid-configuration"] = answer
    assert reason in await failure(discover(client, issuer.url, "kaas"))


def kept(issuer, **changes) -> Tokens:
    issuer.refresh_tokens.add("r1")
    return replace(Tokens("old", "r1", "f150d839", 0, 300), **changes)


async def test_a_refresh_gives_the_next_tokens(issuer, client):
    new = await refresh(client, issuer.url, "kaas", kept(issuer))
    assert issuer.asked[1] == ("token", {"client_id": "kaas", "grant_type": "refresh_token", "refresh_token": "r1"})
    assert issuer.refresh_tokens == {new.refresh_token}
    assert new.expires_at - new.issued_at == 300


async def test_a_refresh_token_that_does_not_rotate_is_kept(issuer, client):
    issuer.answers["token"] = lambda form: server.json_response({"id_token": issuer.mint()})
    assert (await refresh(client, issuer.url, "kaas", kept(issuer))).refresh_token == "r1"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (lambda issuer: {"access_token": "x"}, "gave no ID token; does the client 'kaas' have the scope openid?"),
        (lambda issuer: {"id_token": 7}, "gave no ID token"),
        (lambda issuer: {"id_token": issuer.mint(), "refresh_token": 7}, "gave no ID token"),
        (lambda issuer: {"id_token": issuer.mint(sub="somebody")}, "token for another user (sub)"),
        (lambda issuer: {"id_token": issuer.mint(key="foreign")}, "signature not valid (ES256 by key 'first')"),
        (lambda issuer: {"id_token": issuer.mint(aud="k8s")}, "token not for this service"),
        (lambda issuer: {"id_token": "x"}, "token malformed"),
    ],
)
async def test_what_cannot_be_believed_is_not_kept(issuer, client, document, reason):
    issuer.answers["token"] = lambda form: server.json_response(document(issuer))
    assert reason in await failure(refresh(client, issuer.url, "kaas", kept(issuer)))


async def test_a_session_that_is_over_is_told_apart(issuer, client):
    over = kept(issuer, refresh_token="used up")
    said = await failure(refresh(client, issuer.url, "kaas", over), SessionEnded)
    assert said == f"{issuer.url}/token: invalid_grant: Token is not active"


@pytest.mark.parametrize(
    ("offset", "said"),
    [(-420, "this machine's clock is 7 minutes behind the issuer's; set it right"), (1000, "17 minutes ahead of the issuer's")],
)
async def test_a_clock_that_is_off_is_named(issuer, client, offset, said):
    found = replace(await discover(client, issuer.url, "kaas"), clock=lambda: time.time() + offset)
    answer = await found.ask_for_tokens({"grant_type": "refresh_token", "refresh_token": kept(issuer).refresh_token})
    assert said in await failure(found.granted(answer))


async def test_a_token_that_is_old_by_a_good_clock_is_only_old(issuer, client):
    issuer.answers["token"] = lambda form: server.json_response(issuer.tokens(iat=1000, exp=1300))
    assert (await failure(refresh(client, issuer.url, "kaas", kept(issuer)))).endswith("seconds ago)")


async def test_an_answer_without_a_date_says_nothing_of_clocks(issuer, client):
    found = await discover(client, issuer.url, "kaas")
    answer = Answer(f"{issuer.url}/token", 200, json.dumps(issuer.tokens(iat=1000, exp=1300)).encode(), None)
    assert "clock" not in await failure(found.granted(answer))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda form: server.Response(status=503), "answered 503"),
        (lambda form: server.json_response({"keys": []}), "no usable key"),
        (lambda form: server.Response(text="<html>"), "not a JSON object"),
    ],
)
async def test_without_keys_nothing_is_believed(issuer, client, answer, reason):
    issuer.answers["certs"] = answer
    assert reason in await failure(refresh(client, issuer.url, "kaas", kept(issuer)))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "invalid_client"}', "https://i: invalid_client"),
        (b'{"error": "x", "error_description": "two\\nlines \\u001b[2J"}', "https://i: x: two lines [2J"),
        (b"{}", "https://i: 400"),
        (b"<html>", "https://i: answered 400 without a JSON object"),
    ],
)
def test_a_refusal_is_told_in_one_line(body, said):
    assert str(refusal(Answer("https://i", 400, body, None))) == said


async def test_a_session_is_ended_where_that_is_offered(issuer, client):
    found = await discover(client, issuer.url, "kaas")
    kept(issuer)
    assert await revoke(found, "r1") is True
    assert issuer.asked[-1] == ("revoke", {"token": "r1", "token_type_hint": "refresh_token", "client_id": "kaas"})
    assert issuer.refresh_tokens == set()
    issuer.metadata = {"revocation_endpoint": None}
    assert await revoke(await discover(client, issuer.url, "kaas"), "r1") is False


async def test_a_session_that_is_not_ended_is_told(issuer, client):
    issuer.answers["revoke"] = lambda form: server.json_response({"error": "unsupported_token_type"}, status=400)
    found: Issuer = await discover(client, issuer.url, "kaas")
    assert "unsupported_token_type" in await failure(revoke(found, "r1"))

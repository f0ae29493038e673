import pytest
from aiohttp import web as server

from proxy.client.device import Patience, next_interval, sign_in_with_device
from proxy.client.errors import ClientError
from proxy.client.issuer import discover
from proxy.client.web import Answer


class Time:
    """Passes only by sleeping."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


async def sign_in(issuer, client, time=None):
    shown, time = [], time or Time()
    found = await discover(client, issuer.url, "kaas")
    granted = await sign_in_with_device(found, ("openid",), shown.append, Patience(time.sleep, lambda: time.now))
    return shown[0], granted


async def test_a_user_signs_in_on_another_machine(issuer, client):
    time = Time()
    issuer.device_words = ["authorization_pending", "slow_down", "authorization_pending"]
    invitation, granted = await sign_in(issuer, client, time)
    assert (invitation.url, invitation.user_code, invitation.is_code_in_url) == (f"{issuer.url}/page", "ABCD-EFGH", False)
    assert granted.claims["preferred_username"] == "ann"
    assert time.slept == [5, 5, 10, 10]
    started, polled = (next(form for name, form in issuer.asked if name == wanted) for wanted in ("device", "token"))
    assert (started["client_id"], started["scope"], started["code_challenge_method"]) == ("kaas", "openid", "S256")
    assert polled["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"
    assert len(polled["code_verifier"]) >= 43


async def test_an_address_with_the_code_in_it_is_preferred(issuer, client):
    usual = {"device_code": "d", "user_code": "A\x1b[2J", "verification_uri": f"{issuer.url}/page", "expires_in": 60}
    issuer.answers["device"] = lambda form: server.json_response(
        usual | {"verification_uri_complete": f"{issuer.url}/page?user_code=A"}
    )
    invitation, _ = await sign_in(issuer, client)
    assert (invitation.url, invitation.user_code, invitation.is_code_in_url) == (f"{issuer.url}/page?user_code=A", "A [2J", True)


@pytest.mark.parametrize(
    ("words", "reason", "slept"),
    [
        (["access_denied"], "the sign-in was refused", [5]),
        (["expired_token"], "nobody has entered the code in time", [5]),
        (["authorization_pending"] * 99, "nobody has entered the code in time", [5] * 11),
        (["invalid_client"], "token: invalid_client", [5]),
    ],
)
async def test_it_ends_without_a_token(issuer, client, words, reason, slept):
    time, issuer.device_words = Time(), words
    with pytest.raises(ClientError, match=reason):
        await sign_in(issuer, client, time)
    assert time.slept == slept


async def test_an_issuer_that_does_not_answer_is_asked_less_often(issuer, client):
    time, issuer.metadata = Time(), {"token_endpoint": "http://127.0.0.1:9/"}
    with pytest.raises(ClientError, match="nobody has entered"):
        await sign_in(issuer, client, time)
    assert time.slept == [5, 10, 20]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda form: server.json_response({"error": "unauthorized_client"}, status=400), "device: unauthorized_client"),
        (lambda form: server.json_response({"device_code": "d"}), "is not an answer of RFC 8628"),
        (
            lambda form: server.json_response(
                {"device_code": "d", "user_code": "A", "verification_uri": "http://evil.example", "expires_in": 60}
            ),
            "http://evil.example: must be https",
        ),
    ],
)
async def test_a_sign_in_that_does_not_begin_is_told(issuer, client, answer, reason):
    issuer.answers["device"] = answer
    with pytest.raises(ClientError) as caught:
        await sign_in(issuer, client)
    assert reason in str(caught.value)


async def test_an_issuer_without_devices_is_told(issuer, client):
    issuer.metadata = {"device_authorization_endpoint": None}
    with pytest.raises(ClientError, match="offers no sign-in for devices; leave --device out"):
        await sign_in(issuer, client)


def test_the_wait_never_grows_beyond_a_minute():
    assert [next_interval(None, 5), next_interval(None, 40)] == [10, 60]
    with pytest.raises(ClientError, match="answered 503 without a JSON object"):
        next_interval(Answer("https://i/token", 503, b"", None), 5)

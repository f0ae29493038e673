"""The demonstration's provider as its clients meet it: over TLS, with a real HTTP client, flow by flow."""

import re
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import KeySet

from proxy.demo.certificates import CertificateAuthority
from proxy.demo.loopback import listening_socket, port_of, serving
from proxy.demo.people import BY_USERNAME, PEOPLE
from proxy.demo.provider import Provider
from proxy.demo.provider.tokens import new_key

PROXY_URL = "https://127.0.0.1:8443"
CALLBACK = f"{PROXY_URL}/oauth2/callback"
SECRET = {"client_id": "mosk-proxy", "client_secret": "mosk-proxy-secret"}
VERIFIER = "v" * 50
CHALLENGE = {"code_challenge": create_s256_code_challenge(VERIFIER), "code_challenge_method": "S256"}
KEY = new_key()
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


class Visitor:
    """A browser or a client: keeps cookies, follows no redirect by itself."""

    def __init__(self, http: aiohttp.ClientSession, provider: Provider) -> None:
        self.http, self.provider, self.issuer = http, provider, provider.issuer

    def url(self, name: str) -> str:
        return f"{self.issuer}/protocol/openid-connect/{name}"

    async def token(self, **form: str) -> tuple[int, dict[str, object]]:
        async with self.http.post(self.url("token"), data=form) as answer:
            return answer.status, await answer.json()

    def auth_url(self, **parameters: str) -> str:
        query = {
            "client_id": "mosk-proxy",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile",
            "state": "s1",
            "nonce": "n1",
            **CHALLENGE,
        } | parameters
        return f"{self.url('auth')}?{urlencode({name: value for name, value in query.items() if value})}"

    async def sign_in(self, username: str = "kaas-writer", **parameters: str) -> dict[str, str]:
        """Pick a user on the page; the parameters that came back to the client."""
        async with self.http.post(self.auth_url(**parameters), data={"username": username}, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
            return query_of(answer.headers["Location"])

    async def redeem(self, code: str, **form: str) -> tuple[int, dict[str, object]]:
        whole = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **SECRET}
        return await self.token(**{name: value for name, value in (whole | form).items() if value})

    async def claims(self, token: object) -> dict[str, object]:
        """The claims of a token, its signature checked with the published keys."""
        async with self.http.get(self.url("certs")) as answer:
            keys = KeySet.import_key_set(await answer.json())
        decoded = jwt.decode(str(token), keys, ["RS256"])
        assert decoded.header["typ"] == "JWT"
        return decoded.claims


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass
class Certified:
    """A server's certificate, and who vouches for it."""

    authority_file: Path
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    authority = CertificateAuthority(tmp_path_factory.mktemp("ca"))
    return Certified(authority.file, authority.issue("provider").ssl_context())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def visitor(certified: Certified, clock: Clock) -> AsyncIterator[Visitor]:
    async with provider_for(certified, clock) as found:
        yield found


@asynccontextmanager
async def provider_for(certified: Certified, clock: Clock) -> AsyncIterator[Visitor]:
    with listening_socket() as listener:
        async with provider_on(listener, certified, clock) as visitor:
            yield visitor


@asynccontextmanager
async def provider_on(listener: socket.socket, certified: Certified, clock: Clock) -> AsyncIterator[Visitor]:
    provider = Provider(f"https://127.0.0.1:{port_of(listener)}", PROXY_URL, key=KEY, clock=clock, wall=clock)
    trust = ssl.create_default_context(cafile=certified.authority_file)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    async with (
        serving(provider.application(), listener, certified.context),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        yield Visitor(http, provider)


async def test_discovery_names_every_endpoint_under_the_issuer(visitor: Visitor) -> None:
    async with visitor.http.get(f"{visitor.issuer}/.well-known/openid-configuration") as answer:
        document = await answer.json()
    assert document["issuer"] == visitor.issuer
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert {name for name in document if name.endswith(("_endpoint", "jwks_uri"))} == {
        "authorization_endpoint",
        "token_endpoint",
        "device_authorization_endpoint",
        "userinfo_endpoint",
        "end_session_endpoint",
        "jwks_uri",
    }
    for name, url in document.items():
        if name.endswith(("_endpoint", "jwks_uri")):
            async with visitor.http.get(url) as answer:
                assert answer.status != 404, name


async def test_key_set_publishes_no_private_part(visitor: Visitor) -> None:
    async with visitor.http.get(visitor.url("certs")) as answer:
        (key,) = (await answer.json())["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"}


async def test_code_flow_gives_tokens_with_keycloaks_claims(visitor: Visitor, clock: Clock) -> None:
    back = await visitor.sign_in("team-a-and-b-reader")
    assert back["state"] == "s1"
    assert back["iss"] == visitor.issuer
    status, tokens = await visitor.redeem(back["code"])
    assert status == 200
    identity = await visitor.claims(tokens["id_token"])
    access = await visitor.claims(tokens["access_token"])
    about_both = {
        "iss": visitor.issuer,
        "aud": ["mosk-proxy", "kaas", "k8s", "sl"],
        "azp": "mosk-proxy",
        "sub": BY_USERNAME["team-a-and-b-reader"].subject,
        "sid": back["session_state"],
        "iam_roles": ["m:kaas:team-a@reader", "m:kaas:team-b@reader"],
        "preferred_username": "team-a-and-b-reader",
        "name": "Team A And B Reader Sample",
        "email": "team-a-and-b-reader@example.test",
        "iat": int(clock.now),
        "exp": int(clock.now) + 300,
        "auth_time": int(clock.now),
    }
    assert identity | about_both == identity
    assert access | about_both == access
    assert (identity["typ"], access["typ"]) == ("ID", "Bearer")
    assert identity["nonce"] == "n1"
    assert identity["at_hash"]
    assert identity["jti"] != access["jti"]


async def test_user_without_roles_has_no_role_claim(visitor: Visitor) -> None:
    status, tokens = await visitor.token(
        grant_type="password", client_id="kaas", username="no-roles", password="no-roles", scope="openid"
    )
    assert status == 200
    claims = await visitor.claims(tokens["id_token"])
    assert "iam_roles" not in claims
    assert claims["aud"] == "kaas"


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.username)
async def test_every_sample_user_can_sign_in(visitor: Visitor, person) -> None:
    back = await visitor.sign_in(person.username)
    _, tokens = await visitor.redeem(back["code"])
    assert (await visitor.claims(tokens["id_token"])).get("iam_roles", []) == list(person.roles)


async def test_replayed_code_is_refused_and_ends_the_session(visitor: Visitor) -> None:
    back = await visitor.sign_in()
    status, tokens = await visitor.redeem(back["code"])
    assert status == 200
    assert await visitor.redeem(back["code"]) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid 'code' in request."},
    )
    refreshed, _ = await visitor.token(grant_type="refresh_token", refresh_token=str(tokens["refresh_token"]), **SECRET)
    assert refreshed == 400


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_verifier": "w" * 50}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": "https://elsewhere.test/"}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": ""}, "invalid_client"),
        ({"client_id": "kaas", "client_secret": ""}, "invalid_grant"),
        ({"code": "made-up"}, "invalid_grant"),
    ],
)
async def test_code_is_good_only_for_the_client_that_asked(visitor: Visitor, change: dict[str, str], error: str) -> None:
    back = await visitor.sign_in()
    status, answer = await visitor.redeem(**({"code": back["code"]} | change))
    assert status in {400, 401}
    assert answer["error"] == error


async def test_code_expires_after_a_minute(visitor: Visitor, clock: Clock) -> None:
    back = await visitor.sign_in()
    clock.now += 61
    status, answer = await visitor.redeem(back["code"])
    assert (status, answer["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": "", "code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"scope": "openid root"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_refusals_that_the_client_is_told(visitor: Visitor, change: dict[str, str], error: str) -> None:
    async with visitor.http.get(visitor.auth_url(**change), allow_redirects=False) as answer:
        assert answer.status == 302
        back = query_of(answer.headers["Location"])
    assert answer.headers["Location"].startswith(CALLBACK)
    assert back | {"error": error, "state": "s1", "iss": visitor.issuer} == back


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://elsewhere.test/"},
        {"redirect_uri": f"{CALLBACK}/more"},
        {"redirect_uri": ""},
        {"redirect_uri": 'https://"quoted"/'},
        {"client_id": "unknown"},
        {"client_id": ""},
        {"client_id": "kaas", "redirect_uri": "http://127.0.0.1.elsewhere.test:8000/"},
        {"client_id": "kaas", "redirect_uri": "https://127.0.0.1:8000/"},
        {"client_id": "kaas", "redirect_uri": "http://user@localhost:8000/"},
        {"client_id": "kaas", "redirect_uri": "http://[::1"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nobody_is_sent_to_a_place_the_client_did_not_register(
    visitor: Visitor, change: dict[str, str], method: str
) -> None:
    form = {"username": "kaas-writer"} if method == "POST" else None
    async with visitor.http.request(method, visitor.auth_url(**change), data=form, allow_redirects=False) as answer:
        assert answer.status == 400
        assert "Location" not in answer.headers


@pytest.mark.parametrize("uri", ["http://localhost:8000", "http://127.0.0.1:18000/callback", "http://[::1]:1/"])
async def test_public_client_may_listen_on_any_loopback_port(visitor: Visitor, uri: str) -> None:
    back = await visitor.sign_in(client_id="kaas", redirect_uri=uri)
    status, tokens = await visitor.redeem(back["code"], client_id="kaas", client_secret="", redirect_uri=uri)
    assert status == 200
    assert (await visitor.claims(tokens["id_token"]))["azp"] == "kaas"


async def test_sign_in_page_works_without_script_and_forbids_any(visitor: Visitor) -> None:
    async with visitor.http.get(visitor.auth_url()) as answer:
        text, headers = await answer.text(), answer.headers
    assert re.findall(r'<button name="username" value="([^"]+)">', text) == [person.username for person in PEOPLE]
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert f"form-action 'self' {PROXY_URL};" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in text
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("form", [{"username": "somebody"}, {}])
async def test_unknown_user_is_asked_again(visitor: Visitor, form: dict[str, str]) -> None:
    device = await begin_device(visitor)
    for url, hidden in ((visitor.auth_url(), {}), (device["verification_uri"], {"user_code": device["user_code"]})):
        async with visitor.http.post(url, data=hidden | form, allow_redirects=False) as answer:
            assert 'value="kaas-writer"' in await answer.text()
            assert not answer.cookies


async def test_sign_in_page_quotes_nothing_unescaped(visitor: Visitor) -> None:
    async with visitor.http.get(f"{visitor.issuer}/device?user_code=%3Cscript%3E") as answer:
        assert "<script" not in await answer.text()


async def test_second_client_finds_the_person_signed_in_until_asked_to_sign_in_again(visitor: Visitor) -> None:
    first = await visitor.sign_in()
    async with visitor.http.get(
        visitor.auth_url(client_id="kaas", redirect_uri="http://localhost:8000/"), allow_redirects=False
    ) as answer:
        assert query_of(answer.headers["Location"])["session_state"] == first["session_state"]
    async with visitor.http.get(visitor.auth_url(prompt="login"), allow_redirects=False) as answer:
        assert answer.status == 200
    assert (await visitor.sign_in("kaas-reader"))["session_state"] != first["session_state"]


async def test_cookie_goes_to_the_provider_only(visitor: Visitor) -> None:
    async with visitor.http.post(visitor.auth_url(), data={"username": "kaas-writer"}, allow_redirects=False) as answer:
        (cookie,) = answer.cookies.values()
        back = query_of(answer.headers["Location"])
    assert (cookie["path"], cookie["secure"], cookie["httponly"], cookie["samesite"]) == ("/auth/realms/iam", True, True, "Lax")
    assert cookie.value != back["session_state"]


@pytest.mark.parametrize("path", ["protocol/openid-connect/auth", "device", "protocol/openid-connect/logout"])
async def test_foreign_page_cannot_submit_a_form(visitor: Visitor, path: str) -> None:
    url = visitor.auth_url() if path.endswith("auth") else f"{visitor.issuer}/{path}"
    form = {"username": "kaas-writer", "confirm": "yes"}
    async with visitor.http.post(url, data=form, headers={"Origin": "https://elsewhere.test"}, allow_redirects=False) as answer:
        assert answer.status == 403


async def test_refresh_token_rotates_and_a_used_one_ends_the_session(visitor: Visitor) -> None:
    back = await visitor.sign_in()
    _, first = await visitor.redeem(back["code"])
    status, second = await visitor.token(grant_type="refresh_token", refresh_token=str(first["refresh_token"]), **SECRET)
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    claims = await visitor.claims(second["id_token"])
    assert (claims["sid"], claims["typ"]) == (back["session_state"], "ID")
    assert "nonce" not in claims
    replayed, answer = await visitor.token(grant_type="refresh_token", refresh_token=str(first["refresh_token"]), **SECRET)
    assert (replayed, answer["error"]) == (400, "invalid_grant")
    assert (await visitor.token(grant_type="refresh_token", refresh_token=str(second["refresh_token"]), **SECRET))[0] == 400


@pytest.mark.parametrize("other", [{"client_id": "kaas"}, {"client_id": "mosk-proxy", "client_secret": "wrong"}])
async def test_refresh_token_serves_its_own_client(visitor: Visitor, other: dict[str, str]) -> None:
    back = await visitor.sign_in()
    _, tokens = await visitor.redeem(back["code"])
    status, _ = await visitor.token(grant_type="refresh_token", refresh_token=str(tokens["refresh_token"]), **other)
    assert status in {400, 401}


async def test_refresh_token_expires(visitor: Visitor, clock: Clock) -> None:
    _, tokens = await visitor.token(grant_type="password", client_id="kaas", username="kaas-writer", password="kaas-writer")
    clock.now += 1801
    assert (await visitor.token(grant_type="refresh_token", refresh_token=str(tokens["refresh_token"]), client_id="kaas"))[
        0
    ] == 400


@pytest.mark.parametrize(("username", "password"), [("kaas-writer", "kaas-reader"), ("unknown", "unknown")])
async def test_wrong_password_is_refused(visitor: Visitor, username: str, password: str) -> None:
    status, answer = await visitor.token(grant_type="password", client_id="kaas", username=username, password=password)
    assert (status, answer["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("form", [{"grant_type": "client_credentials"}, {"grant_type": 'a"b'}, {}])
async def test_other_grant_types_are_refused(visitor: Visitor, form: dict[str, str]) -> None:
    status, answer = await visitor.token(client_id="kaas", **form)
    assert status == 400
    assert answer["error"] in {"unsupported_grant_type", "invalid_request"}


@pytest.mark.parametrize("credentials", ["bW9zay1wcm94eTpt/w==", "é", "x", "OjE=", "bW9zay1wcm94eTp3cm9uZw=="])
async def test_unreadable_or_wrong_basic_credentials_are_refused(visitor: Visitor, credentials: str) -> None:
    form = {"grant_type": "password", "username": "kaas-writer", "password": "kaas-writer"}
    async with visitor.http.post(visitor.url("token"), data=form, headers={"Authorization": f"Basic {credentials}"}) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"] == "invalid_client"


async def test_basic_credentials_are_accepted(visitor: Visitor) -> None:
    form = {"grant_type": "password", "username": "kaas-writer", "password": "kaas-writer"}
    async with visitor.http.post(
        visitor.url("token"), data=form, headers={"Authorization": aiohttp.encode_basic_auth("mosk-proxy", "mosk-proxy-secret")}
    ) as answer:
        assert answer.status == 200


async def test_token_endpoint_reads_forms_only(visitor: Visitor) -> None:
    for request in (
        {"json": {"grant_type": "password"}},
        {"data": aiohttp.FormData({"grant_type": "password"}, default_to_multipart=True)},
    ):
        async with visitor.http.post(visitor.url("token"), **request) as answer:
            assert answer.status == 415


async def begin_device(visitor: Visitor) -> dict[str, str]:
    async with visitor.http.post(
        visitor.url("auth/device"), data={"client_id": "kaas", "scope": "openid", **CHALLENGE}
    ) as answer:
        assert answer.status == 200
        device: dict[str, str] = await answer.json()
        return device


async def poll_device(visitor: Visitor, device: dict[str, str], **form: str) -> tuple[int, dict[str, object]]:
    whole = {"grant_type": DEVICE_GRANT, "client_id": "kaas", "device_code": device["device_code"], "code_verifier": VERIFIER}
    return await visitor.token(**(whole | form))


async def test_device_flow_waits_for_a_person(visitor: Visitor, clock: Clock) -> None:
    device = await begin_device(visitor)
    assert device["verification_uri"] == f"{visitor.issuer}/device"
    status, answer = await poll_device(visitor, device)
    assert (status, answer["error"]) == (400, "authorization_pending")
    _, answer = await poll_device(visitor, device)
    assert answer["error"] == "slow_down"
    async with visitor.http.get(device["verification_uri_complete"]) as page:
        assert f'value="{device["user_code"]}"' in await page.text()
    typed = {"user_code": device["user_code"].lower(), "username": "kaas-writer"}
    async with visitor.http.post(device["verification_uri"], data=typed) as page:
        assert "signed in as kaas-writer" in await page.text()
    clock.now += 5
    status, tokens = await poll_device(visitor, device)
    assert status == 200
    assert (await visitor.claims(tokens["id_token"]))["preferred_username"] == "kaas-writer"
    assert (await poll_device(visitor, device))[0] == 400


async def test_device_may_be_denied(visitor: Visitor) -> None:
    device = await begin_device(visitor)
    async with visitor.http.post(device["verification_uri"], data={"user_code": device["user_code"], "deny": "yes"}):
        pass
    _, answer = await poll_device(visitor, device)
    assert answer["error"] == "access_denied"


async def test_device_code_expires(visitor: Visitor, clock: Clock) -> None:
    device = await begin_device(visitor)
    clock.now += 601
    _, answer = await poll_device(visitor, device)
    assert answer["error"] == "expired_token"
    async with visitor.http.get(device["verification_uri_complete"]) as page:
        assert page.status == 404


async def test_device_flow_demands_the_verifier_and_the_client(visitor: Visitor) -> None:
    async with visitor.http.post(visitor.url("auth/device"), data={"client_id": "kaas", "scope": "openid"}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")
    for change, error in (({"code_verifier": "w" * 50}, "invalid_grant"), ({"client_id": "k8s"}, "unauthorized_client")):
        device = await begin_device(visitor)
        async with visitor.http.post(
            device["verification_uri"], data={"user_code": device["user_code"], "username": "kaas-writer"}
        ):
            pass
        _, answer = await poll_device(visitor, device, **change)
        assert answer["error"] == error


async def test_user_code_page_asks_when_there_is_no_code(visitor: Visitor) -> None:
    async with visitor.http.get(f"{visitor.issuer}/device") as page:
        assert 'name="user_code"' in await page.text()


async def test_userinfo_answers_a_living_session(visitor: Visitor, clock: Clock) -> None:
    back = await visitor.sign_in()
    _, tokens = await visitor.redeem(back["code"])
    async with visitor.http.get(visitor.url("userinfo"), headers={"Authorization": f"Bearer {tokens['access_token']}"}) as answer:
        assert (await answer.json())["iam_roles"] == ["m:kaas@writer"]
    for token in (str(tokens["id_token"]), str(tokens["access_token"])[:-4] + "AAAA", "x", "é"):
        async with visitor.http.get(visitor.url("userinfo"), headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 401
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    clock.now += 301
    async with visitor.http.get(visitor.url("userinfo"), headers={"Authorization": f"Bearer {tokens['access_token']}"}) as answer:
        assert answer.status == 401


async def test_sign_out_with_the_id_token_ends_the_session_and_returns(visitor: Visitor) -> None:
    back = await visitor.sign_in()
    _, tokens = await visitor.redeem(back["code"])
    wish = {"id_token_hint": str(tokens["id_token"]), "post_logout_redirect_uri": f"{PROXY_URL}/", "state": "bye"}
    async with visitor.http.get(visitor.url("logout"), params=wish, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, f"{PROXY_URL}/?state=bye")
    assert (await visitor.token(grant_type="refresh_token", refresh_token=str(tokens["refresh_token"]), **SECRET))[0] == 400
    async with visitor.http.get(visitor.auth_url(), allow_redirects=False) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "change", [{"post_logout_redirect_uri": "https://elsewhere.test/"}, {"id_token_hint": "forged"}, {"client_id": "unknown"}]
)
async def test_sign_out_sends_nobody_elsewhere(visitor: Visitor, change: dict[str, str]) -> None:
    back = await visitor.sign_in()
    _, tokens = await visitor.redeem(back["code"])
    wish = {"id_token_hint": str(tokens["id_token"]), "post_logout_redirect_uri": f"{PROXY_URL}/"} | change
    async with visitor.http.get(visitor.url("logout"), params=wish, allow_redirects=False) as answer:
        assert "Location" not in answer.headers


async def test_sign_out_without_a_token_asks_first(visitor: Visitor) -> None:
    await visitor.sign_in()
    async with visitor.http.get(visitor.url("logout")) as answer:
        assert 'name="confirm"' in await answer.text()
    async with visitor.http.get(visitor.auth_url(), allow_redirects=False) as answer:
        assert answer.status == 302
    async with visitor.http.post(visitor.url("logout"), data={"confirm": "yes"}) as answer:
        assert "signed out" in await answer.text()
    async with visitor.http.get(visitor.auth_url(), allow_redirects=False) as answer:
        assert answer.status == 200


async def test_minted_token_lives_as_long_as_told(visitor: Visitor, clock: Clock) -> None:
    token = visitor.provider.mint_id_token(BY_USERNAME["kaas-reader"], "mosk-proxy", 3600)
    claims = await visitor.claims(token)
    assert (claims["exp"], claims["typ"]) == (int(clock.now) + 3600, "ID")
    assert claims["aud"] == ["mosk-proxy", "kaas", "k8s", "sl"]


def test_private_keys_are_for_their_owner(tmp_path: Path) -> None:
    written = CertificateAuthority(tmp_path).issue("server")
    assert written.key_file.stat().st_mode & 0o077 == 0

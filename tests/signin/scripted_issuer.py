"""An issuer on loopback that does what a test tells it, and tokens that it signs."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

KEY = rsa.generate_private_key(65537, 2048)
CLIENT = "mosk-proxy"
SUBJECT, SID = "f150d839", "sid-1"


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def half_hash(token: str) -> str:
    return base64url(hashlib.sha256(token.encode()).digest()[:16])


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@dataclass
class ScriptedIssuer:
    """`behaviour` answers the token endpoint in place of the rules below; `asked` are the forms that came there."""

    url: str = ""
    clock: Callable[[], float] = time.time
    lifetime: int = 300
    metadata: dict = field(default_factory=dict)
    claims: dict = field(default_factory=dict)
    answer: dict = field(default_factory=dict)
    behaviour: Callable | None = None
    revocation: Callable | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    revoked: list[dict[str, str]] = field(default_factory=list)
    reads: int = 0
    challenges: dict[str, tuple[str, str]] = field(default_factory=dict)
    refresh_tokens: int = 0

    def mint(self, *, header: dict | None = None, **claims: object) -> str:
        now = int(self.clock())
        payload = {
            "iss": self.url,
            "sub": SUBJECT,
            "sid": SID,
            "aud": [CLIENT, "kaas"],
            "azp": CLIENT,
            "typ": "ID",
            "iat": now,
            "exp": now + self.lifetime,
            "preferred_username": "ann",
            "iam_roles": ["m:kaas@reader"],
        }
        whole = {name: value for name, value in (payload | claims | self.claims).items() if value is not None}
        return jwt.encode(whole, KEY, "RS256", headers={"kid": "first", "typ": "JWT"} | (header or {}))

    def logout_token(self, **claims: object) -> str:
        event = {"http://schemas.openid.net/event/backchannel-logout": {}}
        now = int(self.clock())
        payload = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 120,
            "jti": base64url(bytes(str(time.monotonic_ns()), "ascii")),
        }
        whole = {**payload, "events": event, "sub": SUBJECT, "sid": SID, **claims}
        header = whole.pop("header", {"typ": "logout+jwt"})
        return jwt.encode(
            {name: value for name, value in whole.items() if value is not None}, KEY, "RS256", headers={"kid": "first", **header}
        )

    def signs_in(self, location: str, **changes: str | None) -> str:
        """The query with which a browser comes back that was sent to `location`."""
        sent = query_of(location)
        assert sent["code_challenge_method"] == "S256"
        code = base64url(hashlib.sha256(sent["state"].encode()).digest())
        self.challenges[code] = (sent["code_challenge"], sent["nonce"])
        back = {"state": sent["state"], "code": code, "iss": self.url} | changes
        return "&".join(f"{name}={value}" for name, value in back.items() if value is not None)

    async def _discovery(self, request: web.Request) -> web.Response:
        self.reads += 1
        endpoints = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/certs",
            "end_session_endpoint": f"{self.url}/logout",
            "revocation_endpoint": f"{self.url}/revoke",
            "authorization_response_iss_parameter_supported": True,
        }
        whole = endpoints | self.metadata
        return web.json_response({name: value for name, value in whole.items() if value is not None})

    async def _certs(self, request: web.Request) -> web.Response:
        key = {**RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "first", "use": "sig"}
        return web.json_response({"keys": [key]})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        self.headers.append(dict(request.headers))
        if self.behaviour is not None:
            return await self.behaviour(form)
        nonce = None
        if form["grant_type"] == "authorization_code":
            challenge, nonce = self.challenges.pop(form["code"], ("", ""))
            if base64url(hashlib.sha256(form["code_verifier"].encode()).digest()) != challenge:
                return web.json_response({"error": "invalid_grant", "error_description": "Code not valid"}, status=400)
        return web.json_response(self.tokens(nonce))

    def tokens(self, nonce: str | None = None, **claims: object) -> dict:
        self.refresh_tokens += 1
        access_token = f"access-{self.refresh_tokens}"
        id_token = self.mint(**({"nonce": nonce, "at_hash": half_hash(access_token)} | claims))
        whole = {
            "access_token": access_token,
            "id_token": id_token,
            "refresh_token": f"refresh-{self.refresh_tokens}",
        } | self.answer
        return {name: value for name, value in whole.items() if value is not None}

    async def _revoke(self, request: web.Request) -> web.Response:
        self.revoked.append({name: str(value) for name, value in (await request.post()).items()})
        return web.Response() if self.revocation is None else await self.revocation(self.revoked[-1])


@asynccontextmanager
async def serving(issuer: ScriptedIssuer, port: int = 0) -> AsyncIterator[ScriptedIssuer]:
    application = web.Application()
    application.add_routes(
        [
            web.get("/realm/.well-known/openid-configuration", issuer._discovery),
            web.get("/realm/certs", issuer._certs),
            web.post("/realm/token", issuer._token),
            web.post("/realm/revoke", issuer._revoke),
        ]
    )
    server = TestServer(application, host="127.0.0.1", port=port)
    await server.start_server(shutdown_timeout=0.01)
    issuer.url = issuer.url or str(server.make_url("/realm"))
    try:
        yield issuer
    finally:
        await server.close()


async def hang(form: dict[str, str]) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


def answering(status: int, text: str, content_type: str = "application/json") -> Callable:
    async def answer(form: dict[str, str]) -> web.Response:
        return web.Response(status=status, text=text, content_type=content_type)

    return answer


def refusing(code: str, status: int = 400) -> Callable:
    return answering(status, json.dumps({"error": code, "error_description": "no"}))

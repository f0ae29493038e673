"""A small OpenID issuer on loopback whose behaviour a test can change while it runs, and tokens signed by it."""

import asyncio
import base64
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from proxy.identity.claims import IssuerRules
from proxy.issuers.authenticator import Authenticator
from proxy.issuers.settings import IssuerSettings, Rhythm

PRIVATE = {name: rsa.generate_private_key(65537, 2048) for name in ("first", "second", "third")}

# No waiting in tests: everything that may be short is, and what a test waits for is long.
QUICK = Rhythm(
    refresh=60,
    file_refresh=0.02,
    attempt=0.4,
    patience=0.3,
    cool_down=60,
    first_retry=0.01,
    last_retry=0.05,
    last_kept_retry=0.05,
)


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def jwk(name: str, **members: object) -> dict:
    return {**RSAAlgorithm.to_jwk(PRIVATE[name].public_key(), as_dict=True), "kid": name, "use": "sig", **members}


def key_set(*keys: dict) -> bytes:
    return json.dumps({"keys": keys}).encode()


def mint(issuer: str, key: str = "first", header: dict | None = None, **claims: object) -> bytes:
    now = int(time.time())
    payload = {
        "iss": issuer,
        "sub": "f150d839",
        "aud": "kaas",
        "iat": now,
        "exp": now + 300,
        "preferred_username": "ann",
        "iam_roles": ["m:kaas@reader"],
        **claims,
    }
    head = {"alg": "RS256", "typ": "JWT", "kid": key} if header is None else header
    signing_input = b".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, payload))
    return signing_input + b"." + base64url(jwt.get_algorithm_by_name("RS256").sign(signing_input, PRIVATE[key]))


@dataclass
class Issuer:
    """What the issuer answers: bytes, or a handler of its own; and how often it was asked."""

    url: str = ""
    keys: bytes = field(default_factory=lambda: key_set(jwk("first")))
    metadata: dict = field(default_factory=dict)
    behaviour: object = None
    asked: Counter = field(default_factory=Counter)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def discovery(self, request: web.Request) -> web.StreamResponse:
        self.asked["discovery"] += 1
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/certs", **self.metadata})

    async def certs(self, request: web.Request) -> web.StreamResponse:
        self.asked["keys"] += 1
        if self.behaviour is not None:
            return await self.behaviour(request)
        return web.Response(body=self.keys, content_type="application/json")

    def settings(self, **others: object) -> IssuerSettings:
        rules = IssuerRules(issuer=self.url, audiences=frozenset({"kaas"}))
        return IssuerSettings(rules, **others)


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


@asynccontextmanager
async def serving(issuer: Issuer, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Issuer]:
    application = web.Application()
    application.router.add_get("/realm/.well-known/openid-configuration", issuer.discovery)
    application.router.add_get("/realm/certs", issuer.certs)
    server = TestServer(application, host="127.0.0.1", port=port, scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls, shutdown_timeout=0.01)
    issuer.url = issuer.url or str(server.make_url("/realm"))
    try:
        yield issuer
    finally:
        await server.close()


@asynccontextmanager
async def running(*settings: IssuerSettings, rhythm: Rhythm = QUICK, **others: object) -> AsyncIterator[Authenticator]:
    authenticator = Authenticator(settings, rhythm=rhythm, **others)
    task = asyncio.get_running_loop().create_task(authenticator.run())
    try:
        yield authenticator
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)

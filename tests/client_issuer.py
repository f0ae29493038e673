"""An OpenID issuer on loopback in a thread of its own, so that commands with their own event loop can ask it; a test may change how it
answers while it runs."""

import asyncio
import base64
import hashlib
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from proxy.client.entry import Entry

ENTRY = Entry.parse("https://entry.example")
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("first", "foreign")}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(name: str) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(KEYS[name].public_key(), as_dict=True), "kid": name, "use": "sig", "alg": "ES256"}


@dataclass
class Issuer:
    """`claims` are put into every token; `lifetime` in seconds; `answers` replace what an endpoint would say, by its name."""

    url: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    lifetime: int = 300
    answers: dict[str, Callable[[dict[str, str]], web.StreamResponse]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)
    device_words: list[str] = field(default_factory=list)

    def mint(self, *, key: str = "first", kid: str = "first", algorithm: str = "ES256", **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "iss": self.url,
            "sub": "f150d839",
            "aud": "kaas",
            "azp": "kaas",
            "iat": now,
            "exp": now + self.lifetime,
            "preferred_username": "ann",
            "iam_roles": ["m:kaas:team-a@writer"],
            **self.claims,
            **claims,
        }
        head = {"alg": algorithm, "typ": "JWT", "kid": kid}
        body = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (head, payload))
        signature = jwt.get_algorithm_by_name("ES256").sign(body.encode(), KEYS[key])
        return f"{body}.{base64url(signature)}"

    def count(self, name: str) -> int:
        return sum(asked == name for asked, _ in self.asked)

    def tokens(self, **claims: Any) -> dict[str, Any]:
        refresh_token = secrets.token_urlsafe()
        self.refresh_tokens.add(refresh_token)
        return {"id_token": self.mint(**claims), "refresh_token": refresh_token, "access_token": "x", "token_type": "Bearer"}

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/certs",
            "device_authorization_endpoint": f"{self.url}/device",
            "revocation_endpoint": f"{self.url}/revoke",
            **self.metadata,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post() or request.query).items()}
        name = request.path.rpartition("/")[2]
        self.asked.append((name, form))
        if name in self.answers:
            return self.answers[name](form)
        return getattr(self, f"answer_{name.replace('-', '_')}")(form)

    def answer_openid_configuration(self, form: dict[str, str]) -> web.StreamResponse:
        return web.json_response(self.discovery())

    def answer_certs(self, form: dict[str, str]) -> web.StreamResponse:
        return web.json_response({"keys": [jwk("first")]})

    def answer_device(self, form: dict[str, str]) -> web.StreamResponse:
        codes = {"device_code": "d" * 20, "user_code": "ABCD-EFGH", "verification_uri": f"{self.url}/page"}
        return web.json_response(codes | {"expires_in": 60, "interval": 5})

    def answer_revoke(self, form: dict[str, str]) -> web.StreamResponse:
        self.refresh_tokens.discard(form["token"])
        return web.Response()

    def answer_auth(self, query: dict[str, str]) -> web.StreamResponse:
        code = secrets.token_urlsafe()
        self.codes[code] = query
        raise web.HTTPFound(f"{query['redirect_uri']}?code={code}&state={query['state']}&session_state=1")

    def answer_token(self, form: dict[str, str]) -> web.StreamResponse:
        match form.get("grant_type"):
            case "authorization_code":
                asked = self.codes.pop(form["code"])
                assert form["redirect_uri"] == asked["redirect_uri"]
                assert base64url(hashlib.sha256(form["code_verifier"].encode()).digest()) == asked["code_challenge"]
                return web.json_response(self.tokens(nonce=asked["nonce"]))
            case "refresh_token" if form["refresh_token"] in self.refresh_tokens:
                self.refresh_tokens.discard(form["refresh_token"])
                return web.json_response(self.tokens())
            case "refresh_token":
                # Reuse of a rotated token ends the session.
                self.refresh_tokens.clear()
                return web.json_response({"error": "invalid_grant", "error_description": "Token is not active"}, status=400)
        word = self.device_words.pop(0) if self.device_words else ""
        return web.json_response({"error": word}, status=400) if word else web.json_response(self.tokens())


@contextmanager
def serving(issuer: Any, tls: ssl.SSLContext | None = None) -> Iterator[Any]:
    """Serve an issuer, or whatever else answers by `handle`, while the context lasts; its `url` is set."""
    loop, started = asyncio.new_event_loop(), threading.Event()

    async def start() -> web.AppRunner:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", issuer.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        issuer.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}/realm"
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield issuer
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)

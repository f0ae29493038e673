"""A desk for browsers on a port of its own, as the entry offers it: the sign-in's own paths over TLS, for several workers."""

import asyncio
import html
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import web
from e2e_http import Api
from e2e_world import certificate

from proxy.forwarding.tasks import TaskSet
from proxy.identity.claims import IssuerRules
from proxy.issuers.authenticator import Authenticator
from proxy.issuers.settings import IssuerSettings
from proxy.sessions.opening import OpenedSessions, opened
from proxy.sessions.settings import SessionSettings
from proxy.signin.granted import Visitor
from proxy.signin.outcomes import Accepted, Outcome, Redirected, Refused, SignedOut
from proxy.signin.room import SignInRoom, sign_in_room
from proxy.signin.settings import SignInSettings

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Streams:
    """What is open in the name of sessions at one worker, and when it was cut, by the event loop's time."""

    open: set[bytes] = field(default_factory=set)
    cut_at: dict[bytes, float] = field(default_factory=dict)

    def open_sessions(self) -> frozenset[bytes]:
        return frozenset(self.open)

    def sessions_ended(self, keys: frozenset[bytes]) -> None:
        self.cut_at |= dict.fromkeys(keys & self.open, asyncio.get_running_loop().time())
        self.open -= keys


@dataclass
class Worker:
    """What one worker of the entry holds for browsers."""

    room: SignInRoom
    opened: OpenedSessions
    streams: Streams


class Desk:
    """Answers the paths below /oauth2 with the first of its workers; `asked` are the bodies of back-channel requests."""

    def __init__(self, url: str, workers: list[Worker]) -> None:
        self.url = url
        self.workers = workers
        self.asked: list[bytes] = []

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/oauth2/start", self._start),
                web.get("/oauth2/callback", self._callback),
                web.post("/oauth2/sign_out", self._sign_out),
                web.post("/oauth2/backchannel-logout", self._backchannel),
            ]
        )
        return application

    async def _start(self, request: web.Request) -> web.Response:
        return answered(await self.workers[0].room.sign_in.start(request.query_string, cookie_lines(request)))

    async def _callback(self, request: web.Request) -> web.Response:
        visitor = Visitor(request.headers.get("User-Agent", ""), request.remote or "")
        return answered(
            await self.workers[0].room.sign_in.callback(request.rel_url.raw_query_string, cookie_lines(request), visitor)
        )

    async def _sign_out(self, request: web.Request) -> web.Response:
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        return answered(await self.workers[0].room.sign_out.sign_out(cookie_lines(request), origin, site))

    async def _backchannel(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append(body)
        return answered(await self.workers[0].room.sign_out.backchannel_logout(request.headers.get("Content-Type"), body))


def cookie_lines(request: web.Request) -> list[bytes]:
    return [line.encode("latin-1") for line in request.headers.getall("Cookie", [])]


def answered(outcome: Outcome) -> web.Response:
    """An outcome, as plainly as it can be shown."""
    match outcome:
        case Redirected():
            response = web.Response(status=outcome.status, headers={"Location": outcome.location})
        case Refused():
            response = web.json_response({"cause": outcome.cause, "message": outcome.message}, status=outcome.status)
        case SignedOut():
            response = web.Response(text="signed out")
        case Accepted():
            response = web.Response()
    # Keycloak would keep its connection beyond the end of a test.
    response.force_close()
    for cookie in getattr(outcome, "cookies", ()):
        response.headers.add("Set-Cookie", cookie)
    return response


@asynccontextmanager
async def serving_desk(folder: Path, ca: Path, issuer: str, port: int, count: int = 2) -> AsyncIterator[Desk]:
    """Open the desk on a port, with `count` workers that share a store in `folder`."""
    folder.mkdir()
    certificate(folder / "tls", ca)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    url = f"https://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(_worker(folder, ca, issuer, url)) for _ in range(count)]
        desk = Desk(url, workers)
        runner = web.AppRunner(desk.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        yield desk


@asynccontextmanager
async def _worker(folder: Path, ca: Path, issuer: str, url: str) -> AsyncIterator[Worker]:
    loop = asyncio.get_running_loop()
    rules = IssuerRules(issuer, frozenset({"kaas"}), extra_audiences=frozenset({"browsers"}), leeway_seconds=2)
    authenticator = Authenticator([IssuerSettings(rules, ca_file=ca)])
    async with AsyncExitStack() as stack:
        reading = loop.create_task(authenticator.run())
        stack.push_async_callback(asyncio.gather, reading, return_exceptions=True)
        stack.callback(reading.cancel)
        sessions = await stack.enter_async_context(opened(SessionSettings(folder / "sessions.db")))
        tasks = TaskSet(loop)
        stack.push_async_callback(tasks.close)
        room = sign_in_room(
            SignInSettings(url, issuer, "browsers", "browsers-secret", ca_file=ca), sessions, authenticator, tasks
        )
        stack.push_async_callback(room.close)
        streams = Streams()
        sessions.sessions.watchers.append(streams)
        yield Worker(room, sessions, streams)


class Person:
    """Somebody with a browser of their own: follows redirects, fills Keycloak's form, keeps cookies by host and port."""

    def __init__(self, http: aiohttp.ClientSession, desk: Desk, name: str) -> None:
        self.http, self.desk, self.name = http, desk, name
        self.jars: dict[str, dict[str, str]] = {}
        self.seen: list[str] = []

    @property
    def session_id(self) -> bytes:
        return self.jars[urlsplit(self.desk.url).netloc]["__Host-mosk"].encode()

    async def ask(self, method: str, url: str, **others: object) -> tuple[int, str, str]:
        """Send one request; returns status, `Location` and body."""
        self.seen.append(url)
        jar = self.jars.setdefault(urlsplit(url).netloc, {})
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} | dict(others.pop("headers", {}))
        async with self.http.request(method, url, headers=headers, allow_redirects=False, **others) as answer:
            for line in answer.headers.getall("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    jar[name] = morsel.value
                    if morsel["max-age"] == "0":
                        del jar[name]
            return answer.status, answer.headers.get("Location", ""), await answer.text()

    async def sign_in(self, target: str = "/console/me") -> tuple[int, str, str]:
        """Go from the entry to Keycloak and back; returns the entry's answer."""
        _, location, text = await self.ask("GET", f"{self.desk.url}/oauth2/start?{urlencode({'rd': target})}")
        assert location, text
        status, back, page = await self.ask("GET", location)
        if status == 200:
            action = html.unescape(re.search(r'<form[^>]* action="([^"]+)"', page)[1])
            status, back, page = await self.ask("POST", action, data={"username": self.name, "password": self.name})
        assert back.startswith(self.desk.url), page
        return await self.ask("GET", back)

    async def sign_out(self) -> tuple[int, str, str]:
        return await self.ask(
            "POST", f"{self.desk.url}/oauth2/sign_out", headers={"Origin": self.desk.url, "Sec-Fetch-Site": "same-origin"}
        )


@dataclass
class Administrator:
    """Keycloak's administration of the realm `iam`."""

    api: Api
    token: Callable[[], str]

    def ask(self, method: str, path: str, document: object = None) -> object:
        admin = Api(self.api.url, self.api.ca, self.token())
        body = None if document is None else json.dumps(document).encode()
        answer = admin.ask(method, f"/admin/realms/iam{path}", body, {"Content-Type": "application/json"})
        assert answer.status < 300, answer
        return json.loads(answer.body) if answer.body else None

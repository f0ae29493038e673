"""The obvious build as a peer: an aiohttp application with a `ClientSession`, PyJWT and a dictionary of verified tokens, on uvloop.

    python -m bench.peer_aiohttp CONFIGURATION

It does what mosk-proxy is measured at: verifies the token once, asks for the role that belongs to the path, takes the prefix off,
replaces the credential, sets impersonation headers, writes a JSON line. No limits, no metrics, no traces.
"""

import asyncio
import json
import logging
import ssl
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import msgspec
import uvloop
from aiohttp import web

from bench.identities import AUDIENCES
from bench.peers import Peer
from bench.site import Site

NAME = "aiohttp"
MOST_REMEMBERED = 10_000
SMALL = 64 << 10
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")
)
log = logging.getLogger("edge")


class Configuration(msgspec.Struct, frozen=True):
    """`clusters` maps the prefix of a path to the role it needs and the upstream behind it."""

    port: int
    issuer: str
    key_set_file: str
    log_file: str
    clusters: dict[str, tuple[str, str]]
    certificate_file: str | None = None
    key_file: str | None = None


def peer(site: Site) -> Peer:
    """The application of this module."""
    return Peer(NAME, version(NAME), lambda port, tls: command(site, port, tls=tls))


def command(site: Site, port: int, *, tls: bool) -> list[str]:
    """Write the configuration; returns how to start the application with it."""
    file = site.folder / f"aiohttp-{port}.json"
    file.write_bytes(msgspec.json.encode(configuration(site, port, tls=tls)))
    return [sys.executable, "-m", "bench.peer_aiohttp", str(file)]


def configuration(site: Site, port: int, *, tls: bool) -> Configuration:
    """The same clusters, roles, keys and certificate that mosk-proxy is given."""
    return Configuration(
        port,
        site.issuer,
        str(site.key_set_file),
        str(site.folder / f"aiohttp-{port}.log"),
        {cluster.prefix: (cluster.role, f"http://127.0.0.1:{site.port(cluster)}") for cluster in site.clusters},
        str(site.certificate_file) if tls else None,
        str(site.key_file) if tls else None,
    )


class Door:
    """The application's one handler and what it needs."""

    def __init__(self, given: Configuration, session: aiohttp.ClientSession) -> None:
        self.given = given
        self.session = session
        self.keys = {key.key_id: key for key in jwt.PyJWKSet.from_json(Path(given.key_set_file).read_text()).keys}
        self.verified: dict[str, dict[str, Any]] = {}

    def claims(self, request: web.Request) -> dict[str, Any]:
        """Claims of a valid token; raises HTTPUnauthorized."""
        _, _, token = request.headers.get("Authorization", "").partition(" ")
        known = self.verified.get(token)
        if known and known["exp"] > time.time():
            return known
        try:
            key = self.keys[jwt.get_unverified_header(token).get("kid")]
            found: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCES, issuer=self.given.issuer)
        except (jwt.InvalidTokenError, KeyError):
            raise web.HTTPUnauthorized from None
        if len(self.verified) >= MOST_REMEMBERED:
            self.verified.clear()
        self.verified[token] = found
        return found

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Judge, forward, write a line."""
        began = time.perf_counter()
        claims: dict[str, Any] = {}
        status = 500
        try:
            claims = self.claims(request)
            answer = await self.forward(request, claims)
            status = answer.status
        except web.HTTPException as refused:
            status = refused.status
            raise
        else:
            return answer
        finally:
            took = round((time.perf_counter() - began) * 1000, 3)
            said = {"user": claims.get("preferred_username"), "method": request.method, "path": request.path}
            log.info(json.dumps({"time": time.time(), "client": request.remote, "status": status, "duration_ms": took} | said))

    async def forward(self, request: web.Request, claims: dict[str, Any]) -> web.StreamResponse:
        """Send the request to where its path points; raises HTTPForbidden, HTTPNotFound, HTTPBadGateway."""
        prefix = "/".join(request.path.split("/", 4)[:4])
        if prefix not in self.given.clusters:
            raise web.HTTPNotFound
        role, upstream = self.given.clusters[prefix]
        if role not in claims["iam_roles"]:
            raise web.HTTPForbidden
        url = upstream + request.raw_path.removeprefix(prefix)
        headers = self.outgoing(request, claims, role)
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self.tunnel(request, url, headers)
            body = request.content if request.can_read_body else None
            async with self.session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
                return await relay(request, answer)
        except aiohttp.ClientError as failure:
            raise web.HTTPBadGateway from failure

    def outgoing(self, request: web.Request, claims: dict[str, Any], role: str) -> dict[str, str]:
        """Headers for the upstream."""
        dropped = HOP_BY_HOP | {"authorization", "host"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
        return headers | {
            "Authorization": "Bearer the-proxys-own-token",
            "Impersonate-User": claims["preferred_username"],
            "Impersonate-Group": role,
            "X-Forwarded-For": request.remote or "",
        }

    async def tunnel(self, request: web.Request, url: str, headers: dict[str, str]) -> web.StreamResponse:
        """Messages of a WebSocket both ways."""
        offered = [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket-")}
        async with self.session.ws_connect(url, headers=headers, protocols=offered, max_msg_size=0) as there:
            here = web.WebSocketResponse(protocols=offered, compress=False, max_msg_size=0)
            await here.prepare(request)
            back = asyncio.gather(pass_on(there, here))
            try:
                await pass_on(here, there)
            finally:
                back.cancel()
            return here


async def pass_on(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse, sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse
) -> None:
    """Messages one way, until there are no more."""
    async for message in source:
        if message.type is aiohttp.WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)
    await sink.close()


async def relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """The upstream's answer: at once when it is small, otherwise as it comes."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
    if answer.content_length is not None and answer.content_length <= SMALL:
        headers.pop("Content-Length", None)
        return web.Response(status=answer.status, headers=headers, body=await answer.read())
    relayed = web.StreamResponse(status=answer.status, headers=headers)
    await relayed.prepare(request)
    async for part in answer.content.iter_any():
        await relayed.write(part)
    await relayed.write_eof()
    return relayed


async def serve(given: Configuration) -> None:
    """Listen until ended from outside."""
    context = None
    if given.certificate_file:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(given.certificate_file, given.key_file)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", Door(given, session).handle)
        runner = web.AppRunner(app, access_log=None, max_field_size=65536, max_line_size=65536)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", given.port, ssl_context=context, backlog=4096).start()
        await asyncio.Event().wait()


def main() -> None:
    """Read the configuration and serve."""
    given = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Configuration)
    logging.basicConfig(filename=given.log_file, level=logging.INFO, format="%(message)s")
    uvloop.run(serve(given))


if __name__ == "__main__":
    main()

"""A running proxy and a scripted upstream for tests that speak bytes over real sockets.

The proxy runs on uvloop in a thread of its own, so that a test may block on its sockets and read like a transcript.
"""

import asyncio
import contextlib
import functools
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from ruamel.yaml import YAML

from proxy.app import RunningProxy, running
from proxy.settings import load

ISSUER = "https://issuer.example"
WRITER = ("m:kaas:team-a@writer",)
POD = "/k8s/team-a/prod/api/v1/namespaces/default/pods/web"

Script = Callable[["Wire"], None]


class Wire:
    """One socket, read in the units of HTTP."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.was_cut = False
        sock.settimeout(10)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def more(self) -> bool:
        """Read once; False at the end of the stream or after a reset."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            self.was_cut = True
            return False
        self.buffer += data
        return bool(data)

    def until(self, end: bytes) -> bytes:
        """Read up to and including `end`; what is there when the stream ends before."""
        while end not in self.buffer:
            if not self.more():
                taken, self.buffer = self.buffer, b""
                return taken
        taken, _, self.buffer = self.buffer.partition(end)
        return taken + end

    def exactly(self, size: int) -> bytes:
        pieces, self.buffer = [self.buffer], b""
        missing = size - len(pieces[0])
        while missing > 0 and self.more():
            pieces.append(self.buffer)
            missing -= len(self.buffer)
            self.buffer = b""
        taken = b"".join(pieces)
        self.buffer = taken[size:]
        return taken[:size]

    def rest(self) -> bytes:
        """Read to the end of the stream."""
        while self.more():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def is_reset(self) -> bool:
        """Whether the stream breaks off instead of ending."""
        self.rest()
        return self.was_cut

    def is_ended(self) -> bool:
        """Whether the stream ends without another byte."""
        return self.rest() == b""

    def request(self) -> bytes:
        """Read one request: head and body by Content-Length or chunks."""
        head = self.until(b"\r\n\r\n")
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return head + self.until(b"0\r\n\r\n")
        size = next((int(line.split(b":")[1]) for line in lower.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return head + self.exactly(size)

    def answer(self) -> "Answer":
        """Read one answer."""
        head = self.until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]
        status = int(lines[0].split(" ")[1]) if head else 0
        return Answer(status, fields, self._body(dict(fields), status))

    def _body(self, fields: dict[str, str], status: int) -> bytes:
        if status == 101 or status < 200:
            return b""
        if fields.get("transfer-encoding") == "chunked":
            return self._chunks()
        return self.exactly(int(fields.get("content-length", 0)))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.until(b"\r\n") or b"0", 16):
            body += self.exactly(size)
            self.exactly(2)
        while self.until(b"\r\n") not in {b"\r\n", b""}:
            pass  # a trailer
        return body

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.sock.close()


@dataclass
class Answer:
    """One answer as a client saw it; field names in lower case."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key == name), None)

    def json(self) -> Any:
        return json.loads(self.body)


def ok(wire: Wire) -> None:
    """Answer every request with 200 and two bytes."""
    while wire.request():
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")


def answering(*answers: bytes, close: bool = False) -> Callable[[Wire], None]:
    """Make a script that gives these answers to the requests of a connection, in order."""

    def script(wire: Wire) -> None:
        for answer in answers:
            if not wire.request():
                return
            wire.send(answer)
        if not close:
            wire.rest()

    return script


@dataclass
class Upstream:
    """A server that follows a script on each connection and keeps what arrived."""

    script: Script = ok
    tls: ssl.SSLContext | None = None
    requests: "queue.Queue[bytes]" = field(default_factory=queue.Queue)
    connections: int = 0
    serving: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                self.serving += 1
                self.open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self.open.append(sock)
            self.script(_Recorded(sock, self.requests))
        except (OSError, ValueError):
            pass  # the proxy ended the connection, or the test is over
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            sock.close()
            self.serving -= 1

    def taken(self) -> list[bytes]:
        """Return what arrived since the last time, request by request."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self.requests.get_nowait())
        return found

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.open:
            sock.close()


class _Recorded(Wire):
    def __init__(self, sock: socket.socket, requests: "queue.Queue[bytes]") -> None:
        super().__init__(sock)
        self._requests = requests

    def request(self) -> bytes:
        request = super().request()
        if request:
            self._requests.put(request)
        return request


@functools.cache
def signing_key(kid: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def key_set(*kids: str) -> str:
    public = {kid: json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signing_key(kid).public_key())) for kid in kids}
    return json.dumps({"keys": [{**key, "kid": kid, "use": "sig"} for kid, key in public.items()]})


class Issuer:
    """Signs tokens; its key set is a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self.file.write_text(key_set("one"))

    def token(self, roles: Sequence[str] = WRITER, user: str = "ann", kid: str = "one", **claims: Any) -> str:
        now = int(time.time())
        known = {"iss": ISSUER, "aud": ["kaas", "k8s"], "sub": f"id-of-{user}", "preferred_username": user, "iat": now}
        return jwt.encode(
            {**known, "exp": now + 3600, "iam_roles": list(roles), **claims}, signing_key(kid), "RS256", headers={"kid": kid}
        )


@functools.cache
def authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, _certificate(name, key, key, name, is_authority=True)


def write_authority(path: Path, name: str = "authority") -> Path:
    path.write_bytes(authority(name)[1].public_bytes(serialization.Encoding.PEM))
    return path


def write_pair(
    folder: Path, stem: str = "tls", *, common_name: str = "entry.example", by: str = "authority"
) -> tuple[Path, Path]:
    """Write a certificate and its key for `common_name` and 127.0.0.1, signed by an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, issuer = authority(by)
    certificate = _certificate(common_name, key, signer, issuer.subject.rfc4514_string().removeprefix("CN="))
    pair = folder / f"{stem}.crt", folder / f"{stem}.key"
    pair[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pair[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return pair


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, issuer: str, *, is_authority: bool = False
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if is_authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def server_tls(folder: Path, *, by: str = "authority", client_authority: str | None = None) -> ssl.SSLContext:
    """Return a context for a scripted upstream; with `client_authority` it wants a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, "upstream", common_name="upstream.example", by=by))
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(write_authority(folder / "clients.crt", client_authority))
    return context


@functools.cache
def client_tls() -> ssl.SSLContext:
    """Return a context that believes the authority."""
    pem = authority("authority")[1].public_bytes(serialization.Encoding.PEM).decode()
    return ssl.create_default_context(cadata=pem)


@dataclass(eq=False)
class Door:
    """A running proxy. `audit_lines` reads what it has recorded so far."""

    running: RunningProxy
    port: int
    admin_url: str
    upstream: Upstream
    issuer: Issuer
    audit_file: Path
    loop: asyncio.AbstractEventLoop
    config_file: Path
    is_tls: bool = False
    wires: list[Wire] = field(default_factory=list)

    def connect(self) -> Wire:
        """Open a connection; `hang_up` closes it if the test does not."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        if self.is_tls:
            sock = client_tls().wrap_socket(sock, server_hostname="entry.example", suppress_ragged_eofs=False)
        wire = Wire(sock)
        self.wires.append(wire)
        return wire

    def hang_up(self) -> None:
        while self.wires:
            self.wires.pop().sock.close()

    def head(
        self,
        method: str,
        target: str,
        *lines: str,
        roles: Sequence[str] = WRITER,
        host: str = "entry.example",
        token: str | None = "",
    ) -> bytes:
        """Return a request's head; `token` None sends no credential, empty one for `roles`."""
        fields = [f"Host: {host}"]
        if token is not None:
            fields.append(f"Authorization: Bearer {token or self.issuer.token(roles)}")
        return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, *lines, "", ""]).encode("latin-1")

    def upgrade(self, target: str, protocol: str, *lines: str, method: str = "GET", **changes: Any) -> bytes:
        """Return the head of a request to switch to another protocol."""
        return self.head(method, target, "Connection: Upgrade", f"Upgrade: {protocol}", *lines, **changes)

    def ask(self, method: str, target: str, *lines: str, roles: Sequence[str] = WRITER, body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        with contextlib.closing((wire := self.connect()).sock):
            length = (f"Content-Length: {len(body)}",) if body else ()
            wire.send(self.head(method, target, *lines, *length, roles=roles) + body)
            return wire.answer()

    def audit_lines(self, at_least: int = 0) -> list[dict[str, Any]]:
        """Return all lines, after waiting a little for so many of them."""
        deadline = time.monotonic() + 5
        while True:
            lines = [json.loads(line) for line in self.audit_file.read_text().splitlines()]
            if len(lines) >= at_least or time.monotonic() > deadline:
                return lines
            time.sleep(0.02)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function inside the proxy's loop."""
        done: queue.Queue[Any] = queue.Queue()
        self.loop.call_soon_threadsafe(lambda: done.put(function(*arguments)))
        return done.get(timeout=5)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the proxy's loop: what sockets receive meanwhile is looked at in one go."""
        reached, released = threading.Event(), threading.Event()

        def hold() -> None:
            reached.set()
            released.wait(5)

        self.loop.call_soon_threadsafe(hold)
        assert reached.wait(5)
        try:
            yield
        finally:
            released.set()

    def reload(self, **changes: Any) -> None:
        """Write another configuration and read it."""
        write_configuration(self.config_file, self.upstream, **changes)
        reloader = self.running.reloader
        asyncio.run_coroutine_threadsafe(reloader.reload("a test"), self.loop).result(timeout=10)

    def until(self, condition: Callable[[], Any], seconds: float = 5) -> None:
        """Wait for something to become true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.005)

    def be_quiet(self) -> None:
        """Wait until no client is there and the upstream has no connection left that carries a request."""
        self.hang_up()
        edge = self.running.edge
        self.until(lambda: not edge.connections)
        self.until(lambda: self.upstream.serving == sum(pool.idle for pool in edge.site.pools.values()))
        self.upstream.taken()


def configuration(
    upstream_port: int, *, over_tls: bool = False, credential: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """Return a configuration whose targets all lead to one upstream; `changes` replace top-level keys, `credential` that of the APIs."""
    server = {"url": f"http://127.0.0.1:{upstream_port}"}
    if over_tls:
        server = {"url": f"https://127.0.0.1:{upstream_port}", "ca_file": "authority.crt"}
    impersonate = {"credential": credential or {"kind": "impersonate", "token_file": "proxy.token"}}
    grafana = {"kind": "identity_headers", "user_header": "X-WEBAUTH-USER", "role_header": "X-WEBAUTH-ROLE", "role": "Admin"}
    return {
        "public_url": "https://entry.example",
        "listen": {"address": "127.0.0.1", "port": 1},
        "admin": {"address": "127.0.0.1", "port": 2},
        "issuers": [{"issuer": ISSUER, "audiences": ["kaas", "k8s"], "jwks_file": "jwks.json"}],
        "management": {**server, **impersonate, "cluster": "default/kaas-mgmt"},
        "clusters": [
            {
                "namespace": "team-a",
                "name": "prod",
                "api": {**server, **impersonate},
                "stacklight": {
                    "grafana": {**server, "credential": grafana},
                    "prometheus": {**server, "credential": {"kind": "identity_headers", "user_header": "X-Company-User"}},
                    "alertmanager": server,
                },
            },
            {"namespace": "team-a", "name": "token", "api": {**server, "credential": {"kind": "pass_token", "audience": "k8s"}}},
            {"namespace": "team-a", "name": "other", "api": {**server, "credential": {"kind": "pass_token", "audience": "zzz"}}},
        ],
        "audit": {"path": "audit.log"},
        **changes,
    }


def write_configuration(file: Path, upstream: Upstream, **changes: Any) -> None:
    with file.open("w") as opened:
        YAML(typ="safe").dump(configuration(upstream.port, over_tls=upstream.tls is not None, **changes), opened)


TLS = {"address": "127.0.0.1", "port": 1, "tls": {"certificate_file": "tls.crt", "key_file": "tls.key"}}


@contextlib.contextmanager
def door(folder: Path, script: Script = ok, upstream_tls: ssl.SSLContext | None = None, **changes: Any) -> Iterator[Door]:
    """Run a proxy with a scripted upstream until the context is left; `listen=TLS` makes it speak TLS."""
    folder.mkdir(parents=True, exist_ok=True)
    upstream, issuer = Upstream(script, upstream_tls), Issuer(folder)
    (folder / "proxy.token").write_text("secret-of-the-proxy")
    write_pair(folder)
    write_authority(folder / "authority.crt", "authority")
    config_file = folder / "mosk-proxy.yaml"
    write_configuration(config_file, upstream, **changes)
    started: queue.Queue[Door | BaseException] = queue.Queue()
    is_tls = "tls" in changes.get("listen", {})
    stop = asyncio.Event()

    async def main() -> None:
        settings = load(config_file)
        # Any free port: a configuration file cannot ask for that.
        listen, admin = (block.model_copy(update={"port": 0}) for block in (settings.listen, settings.admin))
        settings = settings.model_copy(update={"listen": listen, "admin": admin})
        async with running(settings, config_file) as proxy:
            while not all(state.ready for state in proxy.edge.site.authenticator.states):
                await asyncio.sleep(0.01)
            port = int(proxy.url.rpartition(":")[2])
            loop = asyncio.get_running_loop()
            audit_file = folder / "audit.log"
            started.put(Door(proxy, port, proxy.admin_url, upstream, issuer, audit_file, loop, config_file, is_tls))
            await stop.wait()

    def thread() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(main())
        except BaseException as error:
            started.put(error)
            raise

    worker = threading.Thread(target=thread, daemon=True)
    worker.start()
    found = started.get(timeout=20)
    if isinstance(found, BaseException):
        raise found
    try:
        yield found
    finally:
        found.hang_up()
        found.loop.call_soon_threadsafe(stop.set)
        worker.join(timeout=20)
        upstream.close()
        assert not upstream.errors

"""One request from its head to its audit line: judged, carried, answered, recorded.

Theory of operation. `begin` runs to the end without waiting when the token is known: one judgement, one write to the upstream.
Only an unknown key set makes it wait, in a named task. From then on the exchange drives: it calls back here, and this writes to the
client's connection. `_finish` does its work exactly once, whatever happens; it alone counts and records.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from proxy.edge.answers import error_answer, front_page, is_api_target, redirect_answer
from proxy.edge.browser import is_navigation, known_session, remember_session, require_same_origin, sign_in_location
from proxy.edge.gateway import credential, judge, known_identity
from proxy.edge.memory import BlockMemory, JudgedRequest
from proxy.edge.own_pages import is_sign_in, require_page
from proxy.edge.recording import Record
from proxy.edge.site import Site
from proxy.edge.verdict import Admission, AnyTarget, Carriage, Redirect
from proxy.edge.visit import Visit
from proxy.errors import BodyTooLarge, Malformed, NoRoute, RequestError, Unauthenticated, Unavailable
from proxy.forwarding.connection import UpstreamConnection
from proxy.forwarding.exchange import Exchange, Request, Stage
from proxy.forwarding.tunnel import Tunnel
from proxy.identity.principal import Identity
from proxy.routing.request_head import RequestHead
from proxy.routing.target import ClusterApi, ManagementApi, MonitoringUi, OwnPage, Target
from proxy.sessions.session import Session
from proxy.signin.browser_authenticator import BrowserAuthenticator
from proxy.wire.outbound import Client, request_bytes

if TYPE_CHECKING:
    from proxy.edge.client_connection import ClientConnection
    from proxy.edge.context import Edge

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_OK, _SWITCHING = 200, 101


class Transaction:
    """One request on `connection`. It is the exchange's client side (`forwarding.exchange.Downstream`)."""

    __slots__ = (
        "_bytes_in",
        "_client",
        "_connection",
        "_edge",
        "_ends_at",
        "_exchange",
        "_has_visit",
        "_head",
        "_is_ending",
        "_is_finished",
        "_memory",
        "_record",
        "_session",
        "_site",
        "_span_id",
        "_stream_kind",
        "_tunnel",
    )

    def __init__(
        self, edge: "Edge", connection: "ClientConnection", head: RequestHead, client: Client, memory: BlockMemory
    ) -> None:
        self._edge = edge
        self._connection = connection
        self._head = head
        self._client = client
        self._memory = memory
        self._site: Site = memory.site
        request_id, self._span_id = edge.ids.take()
        self._record = Record(request_id, head, client.address, edge.loop.time())
        self._exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._session: Session | None = None
        self._stream_kind: str | None = None
        self._bytes_in = 0
        self._ends_at = 0.0
        self._is_ending = self._is_finished = self._has_visit = False
        edge.counters.in_flight += 1

    def __repr__(self) -> str:
        record = self._record
        return f"Transaction({record.request_id.decode()}, {self._head.method} {record.target}, {self._exchange!r})"

    @property
    def is_stream(self) -> bool:
        """Whether it is a long-running request or a tunnel that nobody has asked to end yet."""
        return self._stream_kind is not None and not self._is_ending

    @property
    def awaits_tunnel(self) -> bool:
        """Whether the client's next bytes may belong to a tunnel."""
        exchange = self._exchange
        return (self._head.block if exchange is None else exchange.request).upgrade is not None

    def begin(self, line: bytes, judged: JudgedRequest | None) -> None:
        """Judge and send, or refuse.

        `line` are the bytes of a request line that may be remembered, or empty; `judged` is what is known of it.
        """
        head, record, edge, memory = self._head, self._record, self._edge, self._memory
        try:
            record.is_written = edge.may_record()
            target = record.target = (
                self._site.routes.resolve(head.method, None if memory.is_public_host else head.block.host_text, head.target)
                if judged is None
                else judged.target
            )
            if not record.is_written:
                raise Unavailable("the audit log cannot take more", retry_after=5)
            edge.refuse_when_draining()
            if isinstance(target, OwnPage):
                self._begin_own_page(target)
                return
            if memory.session_id is not None and target.kind == "sl":
                self._begin_with_session(target, line, judged)
                return
            identity = known_identity(memory, edge.wall_clock())
            if identity is None:
                edge.tasks.start(self._verify(target), f"verify a token for request {record.request_id.decode()}")
            else:
                edge.memories.keep(memory)
                self._carry(target, identity, line, judged)
        except RequestError as error:
            self.refuse(error)

    # what the client's connection tells

    def body(self, data: bytes) -> None:
        """Take body bytes."""
        self._bytes_in += len(data)
        limit = self._edge.settings.body_bytes
        if limit is not None and self._bytes_in > limit:
            self.refuse(BodyTooLarge(f"the request body is longer than {limit} bytes"))
        elif self._exchange is not None:
            self._exchange.body(data)
        else:
            self._connection.keep_early_body(data)

    def body_complete(self) -> None:
        """Note that the request is whole."""
        if self._exchange is not None:
            self._exchange.body_complete()

    def client_gone(self) -> None:
        """End everything: nobody waits for the answer."""
        if self._exchange is not None:
            self._exchange.cancel()
        if self._tunnel is None:
            self._finish()

    def pause_answer(self) -> None:
        """Hold the answer back while the client does not keep up."""
        if self._exchange is not None:
            self._exchange.pause_answer()

    def resume_answer(self) -> None:
        """Let the answer come again."""
        if self._exchange is not None:
            self._exchange.resume_answer()

    def expire(self, now: float) -> None:
        """End what is overdue: an answer, a stream's longest life."""
        settings = self._edge.settings
        if self._ends_at and now > self._ends_at:
            self.end_stream()
        elif self._exchange is not None:
            self._exchange.expire(now, settings.response_seconds, settings.body_idle_seconds)

    def end_stream(self) -> None:
        """End a long-running request so that its client may retry on it."""
        self._is_ending = True
        if self._tunnel is not None:
            self._tunnel.close()
        elif self._exchange is not None:
            self._exchange.end_stream()

    def session_ended(self) -> None:
        """Cut what is under way: whoever it was begun for is signed out."""
        if self._tunnel is not None:
            self._tunnel.abort()
        else:
            self.refuse(Unauthenticated("the session has ended", error=""))

    def refuse(self, error: RequestError) -> None:
        """Answer with an error, unless an answer was begun: then the transfer is aborted."""
        if self._is_finished:
            return
        exchange, record = self._exchange, self._record
        if exchange is not None and exchange.stage is Stage.ANSWERING:
            exchange.cancel()
            self.answer_broken(error)
            return
        record.error = without_traces(error)
        record.status = int(error.status)
        if exchange is not None:
            exchange.cancel()
        if error.detail:
            self._edge.log_refusal(record.request_id.decode(), error)
        self._answer_error(error)

    # Downstream: what the exchange tells

    def write_answer(self, pieces: Sequence[bytes]) -> None:
        self._connection.write(pieces)

    def ready_for_body(self) -> None:
        if self._head.block.expects_continue:
            self._connection.write((_CONTINUE,))

    def pause_body(self) -> None:
        self._connection.pause_body()

    def resume_body(self) -> None:
        self._connection.resume_body()

    def answer_done(self, *, keep_alive: bool) -> None:
        self._finish()
        self._connection.finished(keep_alive=keep_alive)

    def answer_failed(self, error: RequestError) -> None:
        self.refuse(error)

    def answer_broken(self, error: RequestError) -> None:
        self._record.error = without_traces(error)
        self._edge.log_refusal(self._record.request_id.decode(), error)
        self._finish()
        self._connection.abort_hard()

    def switch(self, head: bytes, upstream: UpstreamConnection, early: bytes) -> None:
        self._record.status = _SWITCHING
        connection = self._connection
        connection.write((head,))
        self._tunnel = Tunnel(connection.transport, upstream.detach(), self._tunnel_closed)
        self._tunnel.start(connection.become_tunnel(), early)

    # the steps of begin

    async def _verify(self, target: Target) -> None:
        """Wait for a key set; the client may be gone when it is there."""
        try:
            identity = await self._site.authenticator.verify(credential(self._head.block))
            if self._is_finished:
                return
            if isinstance(target, OwnPage):
                self._carry_own_page(target, identity)
            else:
                self._carry(target, identity)
        except RequestError as error:
            self.refuse(error)

    def _begin_with_session(self, target: Target, line: bytes = b"", judged: JudgedRequest | None = None) -> None:
        pages, memory, edge = self._edge.own_pages, self._memory, self._edge
        if pages is None or pages.browsers is None:
            raise Unauthenticated("no credential: send a bearer token", error="")
        session = known_session(pages.browsers, memory)
        if session is None:
            name = f"find the session of request {self._record.request_id.decode()}"
            edge.tasks.start(self._verify_session(pages.browsers, target), name)
        else:
            edge.memories.keep(memory)
            self._carry_session(target, session, line, judged)

    async def _verify_session(self, browsers: BrowserAuthenticator, target: Target) -> None:
        """Wait for the store, and perhaps for the issuer."""
        memory = self._memory
        try:
            session = await browsers.verify(memory.session_id or b"")
            if not self._is_finished:
                remember_session(memory, session)
                self._carry_session(target, session)
        except RequestError as error:
            self.refuse(error)

    def _carry_session(self, target: Target, session: Session, line: bytes = b"", judged: JudgedRequest | None = None) -> None:
        """Send what is permitted to the user of a session, if the request is one that the user can have meant."""
        identity, head = session.identity, self._head
        if identity is None:
            raise Unauthenticated("not signed in", error="")
        self._record.identity = identity
        self._session = session
        if not head.block.impersonates:
            require_same_origin(head, self._edge.settings.public_scheme)
        if isinstance(target, OwnPage):
            self._carry_own_page(target, identity)
        else:
            # Our own pages are short, and one of them ends sessions: its answer must not be cut by that.
            self._edge.open_requests.begin(session.key, self)
            self._carry(target, identity, line, judged)

    def _carry(self, target: AnyTarget, identity: Identity, line: bytes = b"", judged: JudgedRequest | None = None) -> None:
        """Send what is permitted; `judged` counts only for the very identity that it was worked out for."""
        record, edge = self._record, self._edge
        record.identity = identity
        if edge.limits.requests_per_user is not None:
            edge.limits.request(identity, record.started)
        if judged is not None and judged.carriage.admission.identity is not identity:
            judged = None
        verdict = judge(self._site, self._head, target, identity, self._memory) if judged is None else judged.carriage
        if isinstance(verdict, Redirect):
            record.allowed = verdict.allowed
            self._redirect(verdict)
            return
        admission = verdict.admission
        record.allowed = admission.allowed
        record.pool = admission.pool
        block = self._head.block
        if block.has_body:
            self._check_body_length()
        is_long_running = target.is_long_running
        if is_long_running or admission.upgrade is not None:
            self._start_stream(target, identity, is_tunnel=admission.upgrade is not None)
        elif line and judged is None:
            self._memory.keep_request(line, self._head, target, verdict)
        self._send(verdict, admission, is_long_running=is_long_running)
        if block.has_body and self._exchange is not None:
            self._connection.hand_over_body(self._exchange)

    def _send(self, carriage: Carriage, admission: Admission, *, is_long_running: bool) -> None:
        head, record = self._head, self._record
        block = head.block
        request = Request(
            head.method,
            request_bytes(
                head.method, carriage.path, carriage.query, admission.headers, self._client, record.request_id, self._span_id
            ),
            admission.rules,
            block.has_body,
            block.is_chunked,
            block.is_http11,
            block.keep_alive and self._connection.may_keep_alive(),
            is_long_running,
            admission.upgrade,
        )
        exchange = self._exchange = Exchange(self, admission.pool, request, record.started)
        exchange.start()

    def _check_body_length(self) -> None:
        limit, length = self._edge.settings.body_bytes, self._head.block.content_length
        if limit is not None and length is not None and length > limit:
            raise BodyTooLarge(f"the request body is longer than {limit} bytes")

    def _start_stream(self, target: AnyTarget, identity: Identity, *, is_tunnel: bool) -> None:
        """Count a stream, bound its life and record its beginning."""
        edge = self._edge
        edge.limits.stream_started(identity)
        kind = self._stream_kind = "tunnel" if is_tunnel else _kind_of_stream(target)
        edge.counters.streams[kind] += 1
        self._ends_at = self._record.started + edge.settings.stream_seconds
        if edge.settings.stream_follows_token:
            ends_at = identity.expires_at if self._session is None else self._session.ends_at
            self._ends_at = min(self._ends_at, self._record.started + ends_at - edge.wall_clock())
        self._record.start(edge)

    def _redirect(self, verdict: Redirect) -> None:
        self._redirect_to(verdict.location, HTTPStatus.PERMANENT_REDIRECT)

    def _redirect_to(self, location: bytes, status: HTTPStatus) -> None:
        self._record.status = int(status)
        keep_alive = self._may_keep_alive()
        request_id, is_tls = self._record.request_id.decode(), self._edge.settings.is_tls
        answer = redirect_answer(location, request_id, keep_alive=keep_alive, is_tls=is_tls, status=status)
        self._answer_ourselves(answer, keep_alive=keep_alive)

    def _begin_own_page(self, target: OwnPage) -> None:
        memory, edge = self._memory, self._edge
        is_front = target.path == b"/" and target.method in {"GET", "HEAD"} and not edge.has_sessions
        if is_front and not memory.block.authorization:
            self._serve_front_page(target)
            return
        require_page(target, is_public_host=memory.is_public_host, has_sign_in=edge.has_sessions)
        if is_sign_in(target):
            self._carry_own_page(target, None)
            return
        if memory.session_id is not None:
            self._begin_with_session(target)
            return
        identity = known_identity(memory, edge.wall_clock())
        if identity is None:
            edge.tasks.start(self._verify(target), f"verify a token for request {self._record.request_id.decode()}")
        else:
            edge.memories.keep(memory)
            self._carry_own_page(target, identity)

    def _carry_own_page(self, target: OwnPage, identity: Identity | None) -> None:
        """Send a request to the server of our own pages, and tell it who asks."""
        record, edge, block = self._record, self._edge, self._head.block
        pages = edge.own_pages
        record.identity = identity
        if identity is not None:
            edge.limits.request(identity, record.started)
        if pages is None:
            raise NoRoute("There is nothing at this path")
        carriage = pages.carriage(self._site, self._head, target, identity)
        if block.has_body:
            self._check_body_length()
        edge.visits[record.request_id.decode()] = Visit(identity, self._session, record.client, block.cookies)
        self._has_visit = True
        self._send(carriage, carriage.admission, is_long_running=False)
        if block.has_body and self._exchange is not None:
            self._connection.hand_over_body(self._exchange)

    def _serve_front_page(self, target: OwnPage) -> None:
        self._record.status = _OK
        keep_alive = self._may_keep_alive()
        request_id, is_tls = self._record.request_id.decode(), self._edge.settings.is_tls
        page = front_page(request_id, keep_alive=keep_alive, is_tls=is_tls, with_body=target.method != "HEAD")
        self._answer_ourselves(page, keep_alive=keep_alive)

    def _answer_error(self, error: RequestError) -> None:
        head, record = self._head, self._record
        is_unknown = record.identity is None and record.target is not None and self._memory.is_public_host
        location = sign_in_location(head, error) if is_unknown and self._edge.has_sessions else None
        if location is not None:
            self._redirect_to(location, HTTPStatus.FOUND)
            return
        keep_alive = self._may_keep_alive() and not isinstance(error, Malformed)
        answer = error_answer(
            error,
            self._record.request_id.decode(),
            as_page=is_navigation(head.block) and not is_api_target(head.target),
            keep_alive=keep_alive,
            is_tls=self._edge.settings.is_tls,
            with_body=head.method != "HEAD",
            with_warning=_is_discovery(self._record.target),
        )
        self._answer_ourselves(answer, keep_alive=keep_alive)

    def _may_keep_alive(self) -> bool:
        """Whether the connection may go on behind an answer of our own.

        Not when it comes before the request's body was read, nor when what follows may have been meant for a tunnel.
        """
        connection, block = self._connection, self._head.block
        return block.upgrade is None and block.keep_alive and not connection.has_unread_body() and connection.may_keep_alive()

    def _answer_ourselves(self, data: bytes, *, keep_alive: bool) -> None:
        self._connection.write((data,))
        self._finish()
        self._connection.finished(keep_alive=keep_alive)

    # the end

    def _tunnel_closed(self) -> None:
        self._finish()
        self._connection.tunnel_closed()

    def _finish(self) -> None:
        """Count and record; the first call counts, the others are the same end seen from elsewhere."""
        if self._is_finished:
            return
        self._is_finished = True
        edge, record, exchange = self._edge, self._record, self._exchange
        # The two know each other: left so, each request would wait for the garbage collector.
        self._exchange = None
        edge.counters.in_flight -= 1
        if self._session is not None:
            edge.open_requests.end(self._session.key, self)
        if self._has_visit:
            edge.visits.pop(record.request_id.decode(), None)
        if self._stream_kind is not None and record.identity is not None:
            edge.limits.stream_ended(record.identity)
            edge.counters.streams[self._stream_kind] -= 1
        if record.target is None and isinstance(record.error, Malformed):
            edge.malformed(record.error, self._connection.peer)
            return
        bytes_in, bytes_out = self._bytes_in, 0
        if self._tunnel is not None:
            bytes_in, bytes_out = self._tunnel.client.received, self._tunnel.upstream.received
        elif exchange is not None:
            bytes_out = exchange.bytes_out
            record.status = record.status or exchange.status or None
        record.end(edge, bytes_in, bytes_out, is_stream=self._stream_kind is not None)


def without_traces(error: RequestError) -> RequestError:
    """Take from a refusal that is kept what holds its frames, which hold the request, which holds the refusal."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def _is_discovery(target: Target | None) -> bool:
    """Whether a Kubernetes API is asked what there is, not for an object."""
    return isinstance(target, ManagementApi | ClusterApi) and not target.info.is_resource_request


def _kind_of_stream(target: AnyTarget) -> str:
    """Name a long-running request that is no tunnel, as metrics do."""
    match target:
        case ManagementApi(info=info) | ClusterApi(info=info):
            return "watch" if info.verb == "watch" else info.subresource or "other"
        case MonitoringUi():
            return "other"

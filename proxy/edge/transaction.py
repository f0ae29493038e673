"""One request from its head to its audit line: judged, carried, answered, recorded.

Theory of operation. `begin` runs to the end without waiting when the token is known: one judgement, one write to the upstream.
Only an unknown key set makes it wait, in a named task. From then on the exchange drives: it calls back here, and this writes to the
client's connection. `_finish` is reached exactly once, whatever happens; it alone counts and records.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from proxy.edge.answers import error_answer, front_page, is_api_target, redirect_answer
from proxy.edge.events import AuditEvent, audit_line
from proxy.edge.gateway import BlockMemory, Carriage, Redirect, Site, credential, judge, kind_of, known_identity
from proxy.errors import BodyTooLarge, Forbidden, Malformed, NoRoute, RequestError
from proxy.forwarding.connection import UpstreamConnection
from proxy.forwarding.exchange import Exchange, Request, Stage
from proxy.forwarding.pool import Pool
from proxy.forwarding.tunnel import Tunnel
from proxy.identity.principal import Identity
from proxy.policy.decision import Allowed
from proxy.routing.request_head import RequestHead
from proxy.routing.target import ClusterApi, ManagementApi, MonitoringUi, OwnPage, Target
from proxy.wire.outbound import request_bytes

if TYPE_CHECKING:
    from proxy.edge.client_connection import ClientConnection
    from proxy.edge.context import Edge

log = logging.getLogger("mosk_proxy.edge")

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_SWITCHING: Final = 101


class Transaction:
    """One request on `connection`. It is the exchange's client side (`forwarding.exchange.Downstream`)."""

    __slots__ = (
        "_allowed",
        "_bytes_in",
        "_connection",
        "_edge",
        "_ends_at",
        "_error",
        "_exchange",
        "_head",
        "_identity",
        "_is_finished",
        "_is_stream",
        "_pool",
        "_request_id",
        "_site",
        "_span_id",
        "_started",
        "_status",
        "_target",
        "_tunnel",
    )

    def __init__(self, edge: "Edge", connection: "ClientConnection", head: RequestHead) -> None:
        self._edge = edge
        self._connection = connection
        self._head = head
        self._site: Site = edge.site
        self._request_id, self._span_id = edge.ids.take()
        self._started = edge.loop.time()
        self._target: Target | None = None
        self._identity: Identity | None = None
        self._allowed: Allowed | None = None
        self._exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._error: RequestError | None = None
        self._pool: Pool | None = None
        self._status: int | None = None
        self._bytes_in = 0
        self._ends_at = 0.0
        self._is_stream = False
        self._is_finished = False
        edge.counters.in_flight += 1

    def __repr__(self) -> str:
        return f"Transaction({self._request_id}, {self._head.method} {self._target}, {self._exchange!r})"

    @property
    def is_stream(self) -> bool:
        """Whether it is a long-running request or a tunnel."""
        return self._is_stream

    @property
    def awaits_tunnel(self) -> bool:
        """Whether the client's next bytes may belong to a tunnel."""
        return self._head.block.upgrade is not None

    def begin(self) -> None:
        """Judge and send, or refuse."""
        try:
            self._edge.refuse_when_closing()
            head = self._head
            target = self._target = self._site.routes.resolve(head.method, head.block.host.decode(), head.target)
            if isinstance(target, OwnPage):
                self._serve_own_page(target)
                return
            memory = self._connection.memory_for(self._site)
            identity = known_identity(self._site, head.block, memory, self._edge.wall_clock())
            if identity is None:
                self._edge.tasks.start(self._verify(target, memory), f"verify a token for request {self._request_id}")
            else:
                self._carry(target, identity, memory)
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
        if self._tunnel is not None:
            self._tunnel.close()
        elif self._exchange is not None:
            self._exchange.end_stream()

    def refuse(self, error: RequestError) -> None:
        """Answer with an error, unless an answer was begun: then the transfer is aborted."""
        if self._is_finished:
            return
        self._error = error
        exchange = self._exchange
        if exchange is not None:
            was_answering = exchange.stage is Stage.ANSWERING
            exchange.cancel()
            if was_answering:
                self._finish()
                self._connection.abort_hard()
                return
        if error.detail:
            self._edge.log_refusal(self._request_id, error)
        self._status = int(error.status)
        head = self._head
        keep_alive = self._may_keep_alive() and not isinstance(error, Malformed)
        as_page = head.block.accepts_html and not is_api_target(head.target)
        data = error_answer(
            error,
            self._request_id,
            as_page=as_page,
            keep_alive=keep_alive,
            is_tls=self._edge.settings.is_tls,
            with_body=head.method != "HEAD",
        )
        self._answer_ourselves(data, keep_alive=keep_alive)

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
        self._error = error
        self._edge.log_refusal(self._request_id, error)
        self._finish()
        self._connection.abort_hard()

    def switch(self, head: bytes, upstream: UpstreamConnection, early: bytes) -> None:
        self._status = _SWITCHING
        connection = self._connection
        connection.write((head,))
        self._tunnel = Tunnel(connection.transport, upstream.detach(), self._tunnel_closed)
        self._tunnel.start(connection.become_tunnel(), early)

    # the steps of begin

    async def _verify(self, target: ManagementApi | ClusterApi | MonitoringUi, memory: BlockMemory) -> None:
        """Wait for a key set; the client may be gone when it is there."""
        try:
            identity = await self._site.authenticator.verify(credential(self._head.block))
            if not self._is_finished:
                self._carry(target, identity, memory)
        except RequestError as error:
            self.refuse(error)

    def _carry(self, target: ManagementApi | ClusterApi | MonitoringUi, identity: Identity, memory: BlockMemory) -> None:
        self._identity = identity
        edge = self._edge
        edge.limits.request(identity, self._started)
        verdict = judge(self._site, self._head, target, identity, memory)
        self._allowed = verdict.allowed
        if isinstance(verdict, Redirect):
            self._redirect(verdict)
            return
        self._check_body_length()
        self._pool = verdict.pool
        is_long_running = not isinstance(target, MonitoringUi) and target.info.is_long_running
        if is_long_running or verdict.upgrade is not None:
            self._start_stream(identity)
        self._send(verdict, is_long_running=is_long_running)

    def _send(self, verdict: Carriage, *, is_long_running: bool) -> None:
        block, method = self._head.block, self._head.method
        head = request_bytes(
            method, verdict.path, verdict.query, verdict.headers, self._request_id.encode(), self._span_id.encode()
        )
        request = Request(
            method=method,
            head=head,
            rules=verdict.rules,
            has_body=block.has_body,
            is_chunked=block.is_chunked,
            is_http11=block.is_http11,
            keep_alive=self._may_keep_alive(),
            is_long_running=is_long_running,
            upgrade=verdict.upgrade,
        )
        exchange = self._exchange = Exchange(self, verdict.pool, request, self._started)
        exchange.start()
        self._connection.hand_over_body(exchange)

    def _check_body_length(self) -> None:
        limit, length = self._edge.settings.body_bytes, self._head.block.content_length
        if limit is not None and length is not None and length > limit:
            raise BodyTooLarge(f"the request body is longer than {limit} bytes")

    def _start_stream(self, identity: Identity) -> None:
        """Count a stream, bound its life and record its beginning: its end may be hours away."""
        edge = self._edge
        edge.limits.stream_started(identity)
        self._is_stream = True
        edge.counters.streams[self._stream_kind()] += 1
        self._ends_at = self._started + edge.settings.stream_seconds
        if edge.settings.stream_follows_token:
            self._ends_at = min(self._ends_at, self._started + identity.expires_at - edge.wall_clock())
        self._connection.forget_block()
        self._record("start", None)

    def _stream_kind(self) -> str:
        if self._head.block.upgrade is not None or not isinstance(self._target, ManagementApi | ClusterApi):
            return "tunnel"
        info = self._target.info
        return info.verb if info.verb == "watch" else info.subresource or "other"

    def _redirect(self, verdict: Redirect) -> None:
        self._status = 308
        keep_alive = self._may_keep_alive()
        data = redirect_answer(verdict.location, self._request_id, keep_alive=keep_alive, is_tls=self._edge.settings.is_tls)
        self._answer_ourselves(data, keep_alive=keep_alive)

    def _serve_own_page(self, target: OwnPage) -> None:
        if target.path != b"/" or target.method not in {"GET", "HEAD"}:
            raise NoRoute("There is nothing at this path")
        self._status = 200
        keep_alive = self._may_keep_alive()
        data = front_page(
            self._request_id, keep_alive=keep_alive, is_tls=self._edge.settings.is_tls, with_body=target.method != "HEAD"
        )
        self._answer_ourselves(data, keep_alive=keep_alive)

    def _may_keep_alive(self) -> bool:
        return self._head.block.keep_alive and self._connection.may_keep_alive()

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
        edge, counters = self._edge, self._edge.counters
        counters.in_flight -= 1
        if self._is_stream and self._identity is not None:
            edge.limits.stream_ended(self._identity)
            counters.streams[self._stream_kind()] -= 1
        if isinstance(self._error, Malformed) and self._target is None:
            edge.malformed(self._error, self._head.peer)
            return
        seconds = edge.loop.time() - self._started
        exchange = self._exchange
        if self._status is None and exchange is not None:
            self._status = exchange.status or None
        kind = kind_of(self._target)
        counters.requests[kind, self._verb() or "none", self._status or 0] += 1
        counters.durations[kind].add(seconds)
        counters.decisions[kind, self._decision()] += 1
        self._record("end", seconds)

    def _decision(self) -> str:
        if self._allowed is not None or (self._target is not None and self._error is None):
            return "allow"
        return "deny" if isinstance(self._error, Forbidden) else "refused"

    def _verb(self) -> str | None:
        match self._target:
            case ManagementApi(info=info) | ClusterApi(info=info):
                return info.verb
            case MonitoringUi(method=method):
                return method.lower()
            case _:
                return None

    def _surface(self) -> str | None:
        if self._allowed is not None:
            return self._allowed.surface
        return self._error.surface if isinstance(self._error, Forbidden) else None

    def _reason(self) -> str | None:
        if self._error is not None:
            return self._error.message
        if self._status is None:
            return "the client ended the request"
        return None

    def _bytes(self) -> tuple[int, int]:
        if self._tunnel is not None:
            return self._tunnel.client.received, self._tunnel.upstream.received
        return self._bytes_in, 0 if self._exchange is None else self._exchange.bytes_out

    def _record(self, stage: str, seconds: float | None) -> None:
        edge, head, allowed, pool = self._edge, self._head, self._allowed, self._pool
        bytes_in, bytes_out = self._bytes()
        edge.counters.bytes_in += bytes_in
        edge.counters.bytes_out += bytes_out
        if edge.audit is None:
            return
        is_own = self._target is None or isinstance(self._target, OwnPage)
        event = AuditEvent(
            time=edge.stamp(),
            stage=stage,
            request_id=self._request_id,
            client=self._connection.client_address(),
            user=None if self._identity is None else self._identity.username,
            roles=None if allowed is None or allowed.granted_by is None else (allowed.granted_by,),
            granted_by=None if allowed is None else allowed.granted_by,
            through=None if allowed is None else allowed.through,
            target=None if is_own else str(self._target) if pool is None else pool.name,
            verb=self._verb(),
            method=head.method,
            path=head.target.partition(b"?")[0].decode("ascii"),
            surface=self._surface(),
            decision=self._decision(),
            reason=self._reason(),
            upstream=None if pool is None else pool.address,
            status=self._status,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            duration_ms=None if seconds is None else round(seconds * 1000, 3),
        )
        edge.audit(audit_line(event))

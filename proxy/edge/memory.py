"""What was worked out for a header block, so that the next request with the same bytes need not work it out again.

Clients repeat their header block byte for byte and change the request line alone. A block that was checked, and whose token was
believed, is kept for all connections of the worker: its checked form, its identity, the lines that upstreams were sent for it, and
the last few request lines that were permitted behind it, since many clients ask the same again and again (a dashboard, a controller).
The key is the block's own bytes, from the CRLF that ends the request line to the empty line, so that a hit proves that llhttp and our
own checks have passed exactly these bytes; the same holds for a request line and its judgement. What may change is checked at each
use: the identity's expiry, its keys, whether its session is current, the site. Whatever else a judgement depends on is part of the site.

Two generations bound it: when the young one is full it becomes the old one, and what is used again returns to the young.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from msgspec import Struct

from proxy.edge.site import Site
from proxy.edge.verdict import Admission, AnyTarget, Carriage
from proxy.identity.principal import Identity
from proxy.routing.request_head import HeaderBlock, RequestHead
from proxy.routing.target import ClusterRef
from proxy.sessions.session import Session
from proxy.wire.outbound import OutboundHeaders

HeadersKey: TypeAlias = tuple[str, str | None, bytes | None]
# All of a target that the judgement of a request to a cluster depends on: cluster, verb, whether it writes, whose answer rules hold.
AdmissionKey: TypeAlias = tuple[ClusterRef, str, bool, bool]

_MOST_BLOCKS: Final = 1024
_MOST_BYTES: Final = 2 << 20
_MOST_HEADERS: Final = 4
_MOST_ADMISSIONS: Final = 32
_MOST_REQUESTS: Final = 16
_LONGEST_LINE: Final = 512


class JudgedRequest(Struct, frozen=True):
    """A request that was permitted; it holds for the identity of its carriage alone."""

    head: RequestHead
    target: AnyTarget
    carriage: Carriage


@dataclass(slots=True)
class BlockMemory:
    """One block: `raw` are its bytes when it may be kept, empty otherwise.

    `headers` depends on the upstream's name, on the role that granted, and on the protocol to switch to. `requests` are the last
    few request lines: one that was seen once has no judgement yet, because most are never seen again.
    """

    site: Site
    block: HeaderBlock
    raw: bytes
    is_public_host: bool = False
    session_id: bytes | None = field(default=None, repr=False)
    session: Session | None = None
    session_identity: Identity | None = None
    identity: Identity | None = None
    generation: object = None
    headers: dict[HeadersKey, OutboundHeaders] = field(default_factory=dict)
    admissions: dict[AdmissionKey, Admission] = field(default_factory=dict)
    requests: dict[bytes, JudgedRequest | None] = field(default_factory=dict)

    def forget(self) -> None:
        """Drop all that followed from the identity."""
        self.headers.clear()
        self.admissions.clear()
        self.requests.clear()

    def keep_admission(self, key: AdmissionKey, admission: Admission) -> None:
        """Remember what was granted, for a few clusters and verbs at a time."""
        if len(self.admissions) >= _MOST_ADMISSIONS:
            self.admissions.clear()
        self.admissions[key] = admission

    def keep_request(self, line: bytes, head: RequestHead, target: AnyTarget, carriage: Carriage) -> None:
        """Remember the judgement of a request line that comes a second time, for a few short lines at a time."""
        requests = self.requests
        if line in requests:
            requests[line] = JudgedRequest(head, target, carriage)
        elif len(line) <= _LONGEST_LINE:
            if len(requests) >= _MOST_REQUESTS:
                requests.clear()
            requests[line] = None

    def keep_headers(self, key: HeadersKey, headers: OutboundHeaders) -> None:
        """Remember what an upstream is sent, for a few upstreams at a time."""
        if len(self.headers) >= _MOST_HEADERS:
            self.headers.clear()
        self.headers[key] = headers


class BlockMemories:
    """The blocks of one worker, at most twice _MOST_BLOCKS of them and twice _MOST_BYTES."""

    __slots__ = ("_old", "_young", "_young_bytes")

    def __init__(self) -> None:
        self._young: dict[bytes, BlockMemory] = {}
        self._old: dict[bytes, BlockMemory] = {}
        self._young_bytes = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, raw: bytes, site: Site) -> BlockMemory | None:
        """Return what is known of a block; nothing outlives a reload."""
        memory = self._young.get(raw)
        if memory is None:
            memory = self._old.pop(raw, None)
            if memory is None:
                return None
            self.keep(memory)
        return memory if memory.site is site else None

    def keep(self, memory: BlockMemory) -> None:
        """Remember a block whose token was believed; one that may not be repeated is not kept."""
        raw = memory.raw
        if not raw or self._young.get(raw) is memory:
            return
        if len(self._young) >= _MOST_BLOCKS or self._young_bytes + len(raw) > _MOST_BYTES:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[raw] = memory
        self._young_bytes += len(raw)

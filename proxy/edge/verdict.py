"""What a judgement says of a request that may go through."""

from typing import TypeAlias

from msgspec import Struct

from proxy.forwarding.pool import Pool
from proxy.identity.principal import Identity
from proxy.policy.decision import Allowed
from proxy.routing.target import ClusterApi, ManagementApi, MonitoringUi
from proxy.wire.inbound import AnswerRules
from proxy.wire.outbound import OutboundHeaders

AnyTarget: TypeAlias = ManagementApi | ClusterApi | MonitoringUi


class Admission(Struct, frozen=True):
    """Permitted and known: all that a target's path and query do not change. `path_prefix` is put before an upstream's path."""

    allowed: Allowed
    identity: Identity
    pool: Pool
    rules: AnswerRules
    headers: OutboundHeaders
    upgrade: bytes | None
    path_prefix: bytes


class Carriage(Struct, frozen=True):
    """Permitted, known, and ready to be sent."""

    admission: Admission
    path: bytes
    query: bytes | None


class Redirect(Struct, frozen=True):
    """Permitted, and asked for without its slash."""

    allowed: Allowed
    location: bytes

"""Everything that judgements depend on, in one value that a reload swaps whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from msgspec.structs import replace

from proxy.directory.clusters import Directory
from proxy.directory.upstream import Upstream
from proxy.forwarding.pool import Pool
from proxy.issuers.authenticator import Authenticator
from proxy.policy.policy import Policy
from proxy.routing.routes import Routes
from proxy.wire.inbound import AnswerRules, authorities

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """What judgements depend on. `pools` and `answers` are keyed by the upstream's name; `answers` holds what `answer_rules` makes."""

    routes: Routes
    policy: Policy
    directory: Directory
    authenticator: Authenticator
    pools: Mapping[str, Pool]
    answers: Mapping[str, tuple[AnswerRules, AnswerRules]]
    credential_names: frozenset[bytes]
    trusted_proxies: Networks


def answer_rules(upstream: Upstream) -> tuple[AnswerRules, AnswerRules]:
    """Make the rules for an upstream's answers.

    The usual ones first; then, for a Kubernetes API, those for what its `proxy` subresource serves, and for an application those
    under a host name of its own.
    """
    prefix, names = b"/" + upstream.name.encode(), authorities(upstream.scheme, upstream.host, upstream.port)
    if upstream.name.startswith("sl/"):
        by_path = AnswerRules(prefix, names, upstream.base_path, is_kubernetes=False)
        return by_path, replace(by_path, prefix=b"")
    usual = AnswerRules(prefix, names, upstream.base_path)
    return usual, replace(usual, is_sandboxed=True)

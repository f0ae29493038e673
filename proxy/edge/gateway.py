"""The judgement of a request, top to bottom: WHAT, WHO, MAY, WHERE, HOW.

`judge` is total, synchronous and asked once.
What is judged is what is sent: the upstream's path is the target's own.
"""

from typing import Final

from proxy.directory.upstream import Upstream
from proxy.edge.memory import AdmissionKey, BlockMemory
from proxy.edge.site import Site
from proxy.edge.verdict import Admission, AnyTarget, Carriage, Redirect
from proxy.errors import Forbidden, NoRoute, Unauthenticated
from proxy.identity.credentials import bearer
from proxy.identity.principal import Identity
from proxy.policy.decision import Allowed, Denied
from proxy.policy.explanation import forbidden_message
from proxy.policy.policy import Policy
from proxy.routing.request_head import HeaderBlock, RequestHead
from proxy.routing.target import ClusterApi, ManagementApi, MonitoringUi
from proxy.wire.outbound import Grant, OutboundHeaders, outbound_headers

_SPDY: Final = frozenset({"exec", "attach", "portforward", "proxy"})


def known_identity(memory: BlockMemory, now: float) -> Identity | None:
    """Return whom the token of a block speaks for, None if that takes a question to its issuer; raises Unauthenticated.

    `now` in seconds since the epoch.
    """
    authenticator = memory.site.authenticator
    identity = memory.identity
    if identity is not None and now < identity.expires_at and memory.generation is authenticator.generation:
        authenticator.counters.hits += 1
        return identity
    memory.forget()
    memory.identity = identity = authenticator.known(credential(memory.block))
    memory.generation = authenticator.generation
    return identity


def credential(block: HeaderBlock) -> bytes:
    """Return the bearer token of a request; raises Unauthenticated without exactly one well-formed token."""
    token = bearer(block.authorization, block.websocket_protocols if block.upgrade == b"websocket" else ())
    if token is None:
        raise Unauthenticated("no credential: send a bearer token", error="")
    return token


def judge(site: Site, head: RequestHead, target: AnyTarget, identity: Identity, memory: BlockMemory) -> Carriage | Redirect:
    """Decide about one authenticated request; raises Forbidden, NoRoute (permitted but not there) and Unauthenticated."""
    if head.block.impersonates:
        raise Forbidden("impersonation headers are not accepted here")
    key = _admission_key(target) if head.block.upgrade is None else None
    admission = None if key is None else memory.admissions.get(key)
    if admission is None or admission.identity is not identity:
        verdict = _judge(site, head, target, identity, memory)
        if isinstance(verdict, Redirect):
            return verdict
        admission = verdict
        if key is not None:
            memory.keep_admission(key, admission)
    return Carriage(admission, admission.path_prefix + target.path, target.query)


def _admission_key(target: AnyTarget) -> AdmissionKey | None:
    """Return what the policy looks at in a request to a cluster's API, None for other targets, of which it sees more."""
    if not isinstance(target, ClusterApi):
        return None
    info = target.info
    return target.ref, info.verb, info.is_write, _is_special(target)


def _judge(site: Site, head: RequestHead, target: AnyTarget, identity: Identity, memory: BlockMemory) -> Admission | Redirect:
    decision = site.policy.authorize(identity.roles, target)
    if isinstance(decision, Denied):
        raise _forbidden(site.policy, identity, target, decision)
    upstream = site.directory.find(target)
    if upstream is None:
        raise NoRoute(_not_there(target))
    if isinstance(target, MonitoringUi) and target.is_bare:
        return Redirect(decision, target.prefix + b"/" + (b"" if target.query is None else b"?" + target.query))
    asked = head.block.upgrade
    upgrade = None if asked is None else permitted_upgrade(asked, target)
    key = (upstream.name, decision.granted_by, upgrade)
    headers = memory.headers.get(key)
    if headers is None:
        headers = _outbound(site, head.block, upstream, target, identity, decision, upgrade)
        memory.keep_headers(key, headers)
    rules = site.answers[upstream.name][_is_special(target)]
    return Admission(decision, identity, site.pools[upstream.name], rules, headers, upgrade, _path_prefix(upstream, target))


def permitted_upgrade(asked: bytes, target: AnyTarget) -> bytes | None:
    """Return the protocol that a request may switch to; any other token makes it an ordinary request (docs/data-plane.md)."""
    if asked == b"websocket":
        return asked
    if asked == b"spdy/3.1" and not isinstance(target, MonitoringUi) and target.info.subresource in _SPDY:
        return asked
    return None


def _forbidden(policy: Policy, identity: Identity, target: AnyTarget, denied: Denied) -> Forbidden:
    would_grant = policy.would_grant(target)
    return Forbidden(
        forbidden_message(identity.username, target, denied, would_grant), would_grant=would_grant, surface=denied.surface
    )


def _not_there(target: AnyTarget) -> str:
    match target:
        case ManagementApi():
            return "no management API is configured here"
        case ClusterApi(ref=ref):
            return f'cluster "{ref}" not found'
        case MonitoringUi(ref=ref, app=app):
            return f'application "{app}" of cluster "{ref}" not found'


def _outbound(
    site: Site,
    block: HeaderBlock,
    upstream: Upstream,
    target: AnyTarget,
    identity: Identity,
    allowed: Allowed,
    upgrade: bytes | None,
) -> OutboundHeaders:
    secret = site.pools[upstream.name].secret
    grant = Grant(_groups(site.policy, target, identity), allowed.granted_by or "")
    return outbound_headers(block, upstream, secret, identity, grant, upgrade=upgrade, credential_names=site.credential_names)


def _groups(policy: Policy, target: AnyTarget, identity: Identity) -> tuple[str, ...]:
    """Which groups an impersonated request carries (the contract's section 3)."""
    match target:
        case ClusterApi():
            return (policy.effective_group(target),)
        case ManagementApi():
            return tuple(identity.groups_prefix + role for role in identity.roles.kaas_strings)
        case MonitoringUi():
            return ()


def _path_prefix(upstream: Upstream, target: AnyTarget) -> bytes:
    kept = target.prefix if upstream.keep_prefix and isinstance(target, MonitoringUi) else b""
    return upstream.base_path + kept


def _is_special(target: AnyTarget) -> bool:
    """Whether the second of the upstream's answer rules holds."""
    if isinstance(target, MonitoringUi):
        return not target.prefix
    return target.info.subresource == "proxy" or target.info.verb == "proxy"

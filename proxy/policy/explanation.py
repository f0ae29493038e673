"""Words for decisions: `explain`, the 403 body, pages and audit lines all say the same.

The sentence is the one kubectl users know (apiserver, `responsewriters/errors.go`, `forbiddenMessage`), with the cluster added. It
never depends on whether the cluster or the application exists.
"""

from dataclasses import dataclass
from http import HTTPStatus

from proxy.errors import Misdirected, RequestError
from proxy.policy.decision import Allowed, Denied
from proxy.policy.policy import Policy
from proxy.policy.roles import RoleSet
from proxy.routing.target import ClusterApi, ManagementApi, MonitoringUi, OwnPage, RequestInfo, Target


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer of `explain`, with exactly the keys of its JSON form; `status` is 200, or the status of the refusal."""

    allowed: bool
    target: str | None
    verb: str | None
    surface: str | None
    granted_by: str | None
    through: tuple[str, ...]
    would_grant: tuple[str, ...]
    status: int
    reason: str


def explain(policy: Policy, roles: RoleSet, asked: Target | RequestError) -> Explanation:
    """Explain the answer to a request: to its target, or to the error that routing raised instead of one."""
    if isinstance(asked, RequestError):
        # A host that is not ours is nowhere, too: the contract knows 400, 403 and 404 here.
        status = HTTPStatus.NOT_FOUND if isinstance(asked, Misdirected) else asked.status
        return Explanation(False, None, None, None, None, (), (), int(status), asked.message)
    decision = policy.authorize(roles, asked)
    target = None if isinstance(asked, OwnPage) else str(asked)
    match decision:
        case Allowed(granted_by=granted_by, through=through, surface=surface, verb=verb):
            reason = allowed_message(decision)
            return Explanation(True, target, verb, surface, granted_by, through, (), int(HTTPStatus.OK), reason)
        case Denied(surface=surface, verb=verb):
            would_grant = policy.would_grant(asked)
            reason = forbidden_message(None, asked, decision, would_grant)
            status = HTTPStatus.FORBIDDEN
            return Explanation(False, target, verb, surface, None, (), would_grant, int(status), reason)


def allowed_message(allowed: Allowed) -> str:
    """Say who granted what, and through which inclusions."""
    if allowed.granted_by is None:
        return "the proxy's own pages need no role"
    return " includes ".join((allowed.granted_by, *allowed.through)) + f", which may {allowed.verb} on {allowed.surface}"


def forbidden_message(username: str | None, target: Target, denied: Denied, would_grant: tuple[str, ...]) -> str:
    """Say in one line what was refused and which roles would grant it; without a username, of the roles that were asked about."""
    who = "These roles" if username is None else f"User {quoted(username)}"
    right = f"{'write' if denied.is_write else 'read'} on {denied.surface} in {denied.scope}"
    return f"{who} cannot {denied.verb} {_what(target)}; {right} is granted by {', '.join(would_grant) or 'no role'}"


def _what(target: Target) -> str:
    match target:
        case ManagementApi(info=info, path=path):
            return f"{_kubernetes(info, path)} of the management API"
        case ClusterApi(ref=ref, info=info, path=path):
            return f'{_kubernetes(info, path)} of cluster "{ref}"'
        case MonitoringUi(ref=ref, app=app):
            return f'application "{app}" of cluster "{ref}"'
        case OwnPage(path=path):
            return f"path {quoted(path.decode())}"


def _kubernetes(info: RequestInfo, path: bytes) -> str:
    if info.resource is None:
        return f"path {quoted(path.decode())}"
    resource = info.resource if info.subresource is None else f"{info.resource}/{info.subresource}"
    where = "at the cluster scope" if info.namespace is None else f"in the namespace {quoted(info.namespace)}"
    return f"resource {quoted(resource)} in API group {quoted(info.api_group)} {where}"


def quoted(text: str) -> str:
    """Quote text that somebody else chose so that it stays on one line and inside its quotes."""
    return '"' + "".join(_visible(character) for character in text) + '"'


def _visible(character: str) -> str:
    if character in {'"', "\\"}:
        return f"\\{character}"
    return character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")

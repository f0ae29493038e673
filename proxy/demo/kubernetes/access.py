"""Who calls: the user of the bearer token, or the one that this user impersonates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import Refused, bad_request, unauthorized

_EXTRA = "impersonate-extra-"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom the API acts for; `through` is the impersonating user."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    through: str | None = None

    def user_info(self) -> Document:
        """As in the status of a SelfSubjectReview."""
        return {
            "username": self.user,
            **({"uid": self.uid} if self.uid else {}),
            "groups": list(self.groups),
            **({"extra": {name: list(values) for name, values in self.extra.items()}} if self.extra else {}),
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived here; the headers are without the token."""

    method: str
    path: str
    query: str
    caller: Caller
    headers: CIMultiDictProxy[str]


def seen(request: web.BaseRequest, caller: Caller) -> Seen:
    """What is remembered of a request."""
    headers = CIMultiDict(request.headers)
    headers.popall("Authorization", None)
    return Seen(request.method, request.path, request.query_string, caller, CIMultiDictProxy(headers))


def authenticate(headers: CIMultiDictProxy[str], tokens: Mapping[str, str]) -> Caller:
    """Raises Refused: 401 without a known token, 400 when an impersonation names no user."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    user = tokens.get(token.strip()) if scheme.lower() == "bearer" else None
    if user is None:
        raise unauthorized()
    impersonated = headers.getall("Impersonate-User", [])
    extra = _extra(headers)
    groups = tuple(headers.getall("Impersonate-Group", []))
    uid = headers.get("Impersonate-Uid", "")
    if impersonated:
        return Caller(impersonated[0], (*groups, "system:authenticated"), uid, extra, through=user)
    if groups or uid or extra:
        raise _nobody_impersonated()
    return Caller(user, ("system:authenticated",))


def _extra(headers: CIMultiDictProxy[str]) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys(name.lower() for name in headers if name.lower().startswith(_EXTRA))
    return {unquote(name.removeprefix(_EXTRA)): tuple(headers.getall(name)) for name in names}


def _nobody_impersonated() -> Refused:
    return bad_request("an impersonation of groups, uid or extra needs Impersonate-User")

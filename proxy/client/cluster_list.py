"""The clusters that the management API lists, through the entry and with the user's own token."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec

from proxy.client.errors import ClientError, printable
from proxy.client.targets import ListedCluster, Reach
from proxy.client.web import Answer, Web
from proxy.routing.paths import is_dns_label, is_dns_subdomain
from proxy.routing.target import ClusterRef

_GROUP: Final = "/kaas/apis/cluster.k8s.io/v1alpha1"
_PAGE: Final = 250
_MOST_PAGES: Final = 100
_MAX_PAGE_BYTES: Final = 64 << 20
_AT_ONCE: Final = 8


class _Metadata(msgspec.Struct):
    namespace: str
    name: str


class _Object(msgspec.Struct):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct, rename={"continue_": "continue"}):
    continue_: str = ""


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)


@dataclass(frozen=True, slots=True)
class Listing:
    """What could be listed: `clusters`, and of which projects nothing is known, by the reason; the key None means all of them."""

    clusters: tuple[ListedCluster, ...] = ()
    unknown: tuple[tuple[str | None, str], ...] = ()

    def covers(self, ref: ClusterRef) -> bool:
        """Whether a cluster that is not in it can be said to be gone."""
        return not any(project in {None, ref.namespace} for project, _ in self.unknown)


async def list_clusters(web: Web, origin: str, token: str, reach: Reach) -> Listing:
    """List what the roles may list; what fails is in the listing as unknown."""
    if reach.reaches_every_project():
        return await _listing(web, origin, token, None)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def list_project(project: str) -> Listing:
        async with turn:
            return await _listing(web, origin, token, project)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(list_project(project), name=f"clusters of {project}") for project in reach.projects()]
    return _joined(task.result() for task in tasks)


def _joined(listings: Iterable[Listing]) -> Listing:
    clusters: tuple[ListedCluster, ...] = ()
    unknown: tuple[tuple[str | None, str], ...] = ()
    for listing in listings:
        clusters, unknown = clusters + listing.clusters, unknown + listing.unknown
    return Listing(clusters, unknown)


async def _listing(web: Web, origin: str, token: str, project: str | None) -> Listing:
    path = f"{_GROUP}/clusters" if project is None else f"{_GROUP}/namespaces/{project}/clusters"
    try:
        return Listing(tuple([cluster async for cluster in _clusters(web, f"{origin}{path}", token)]))
    except ClientError as error:
        return Listing(unknown=((project, str(error)),))


async def _clusters(web: Web, url: str, token: str) -> AsyncIterator[ListedCluster]:
    following = ""
    for _ in range(_MOST_PAGES):
        page = await _page(web, f"{url}?limit={_PAGE}{following}", token)
        for item in page.items:
            if (cluster := _cluster(item)) is not None:
                yield cluster
        if not page.metadata.continue_:
            return
        following = f"&continue={quote(page.metadata.continue_, safe='')}"
    raise ClientError(f"{url}: lists more than {_MOST_PAGES * _PAGE} clusters")


async def _page(web: Web, url: str, token: str) -> _Page:
    answer = await web.get(url, {"Authorization": f"Bearer {token}"}, max_bytes=_MAX_PAGE_BYTES)
    if answer.status != HTTPStatus.OK:
        raise ClientError(f"{answer.url}: answered {answer.status}{_message(answer)}")
    try:
        return msgspec.json.decode(answer.body, type=_Page)
    except (ValueError, RecursionError):
        raise ClientError(f"{answer.url}: is not a list of clusters") from None


def _message(answer: Answer) -> str:
    try:
        message = answer.document().get("message")
    except ClientError:
        return ""
    return f": {printable(message)}" if message else ""


def _cluster(item: msgspec.Raw) -> ListedCluster | None:
    """Return a cluster; None for an object that is none, because one broken object must not spoil the rest."""
    try:
        found = msgspec.json.decode(item, type=_Object)
        document = msgspec.json.decode(item)
    except (ValueError, RecursionError):
        return None
    namespace, name = found.metadata.namespace, found.metadata.name
    if not is_dns_label(namespace) or not is_dns_subdomain(name):
        return None
    return ListedCluster(ClusterRef(namespace, name), _is_management(document))


def _is_management(document: Any) -> bool:
    for name in ("spec", "providerSpec", "value", "kaas", "management", "enabled"):
        document = document.get(name) if isinstance(document, dict) else None
    return document is True

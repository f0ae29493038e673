"""get, list and watch."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from proxy.demo.kubernetes import tables
from proxy.demo.kubernetes.calls import Call, answer
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.objects import Objects
from proxy.demo.kubernetes.refusals import bad_request
from proxy.demo.kubernetes.resources import Resource
from proxy.demo.kubernetes.selectors import Predicate, selection
from proxy.demo.kubernetes.store import Event, Store, Watch

_DEFAULT_WATCH_SECONDS = 1800
_BOOKMARK_SECONDS = 60.0
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class _Selected:
    """One event of a watch; the document of a bookmark is bare."""

    kind: str
    document: Document


def get(call: Call, objects: Objects) -> web.Response:
    """One object, or its row in a Table; raises Refused (404)."""
    document = objects.get(call.place())
    match tables.representation(call.request.headers.get("Accept", "")):
        case "Table":
            metadata = {"resourceVersion": document["metadata"]["resourceVersion"]}
            return answer(tables.table(call.resource, [document], metadata, call.query.get("includeObject", "Metadata")))
        case "PartialObjectMetadata":
            return answer(tables.partial(document))
        case _:
            return answer(document)


def list_(call: Call, store: Store) -> web.Response:
    """All objects, or those that the selectors name, page by page with `limit`; raises Refused: 400, 410."""
    matches = _selection(call)
    documents = [document for document in store.list(call.resource.key, call.namespace) if matches(document)]
    page, metadata = _page(documents, call.number("limit") or 0, call.query.get("continue", ""))
    metadata["resourceVersion"] = str(store.revision)
    versioned = [{**document, "apiVersion": call.resource.api_version} for document in page]
    match tables.representation(call.request.headers.get("Accept", "")):
        case "Table":
            return answer(tables.table(call.resource, versioned, metadata, call.query.get("includeObject", "Metadata")))
        case "PartialObjectMetadataList":
            items = [tables.partial(document) for document in versioned]
            kinds = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return answer({**kinds, "metadata": metadata, "items": items})
        case _:
            kinds = {"kind": f"{call.resource.kind}List", "apiVersion": call.resource.api_version}
            return answer({**kinds, "metadata": metadata, "items": versioned})


async def watch(call: Call, store: Store) -> web.StreamResponse:
    """Events as JSON lines until the time is over, the client is gone or the server stops; raises Refused: 400, 410."""
    matches = _selection(call)
    since = call.number("resourceVersion") or 0
    initial = not since or call.query.get("sendInitialEvents") == "true"
    followed = store.watch(call.resource.key, None if initial else since)
    try:
        present = [document for document in store.list(call.resource.key, call.namespace) if matches(document)] if initial else []
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(call.request)
        shape = _Shape(call, include=call.query.get("includeObject", "Metadata"))
        with contextlib.suppress(ConnectionResetError):  # the client is gone
            for document in present:
                await response.write(shape.line(_Selected("ADDED", document)))
            if call.query.get("sendInitialEvents") == "true":
                await response.write(shape.line(_bookmark(call.resource, store.revision, {_INITIAL_EVENTS_END: "true"})))
            async for event in _followed(call, store, followed, matches):
                await response.write(shape.line(event))
            await response.write_eof()
    finally:
        store.leave(followed)
    return response


class _Shape:
    """How the events of one watch are written: as objects, or as Tables of one row."""

    def __init__(self, call: Call, include: str) -> None:
        self._resource = call.resource
        self._form = tables.representation(call.request.headers.get("Accept", ""))
        self._include = include

    def line(self, event: _Selected) -> bytes:
        return json.dumps({"type": event.kind, "object": self._object(event)}).encode() + b"\n"

    def _object(self, event: _Selected) -> Document:
        document = {**event.document, "apiVersion": self._resource.api_version}
        if event.kind == "BOOKMARK":
            return document
        if self._form == "Table":
            metadata = {"resourceVersion": document["metadata"]["resourceVersion"]}
            return tables.table(self._resource, [document], metadata, self._include)
        return tables.partial(document) if self._form else document


async def _followed(call: Call, store: Store, followed: Watch, matches: Predicate) -> AsyncIterator[_Selected]:
    loop = asyncio.get_running_loop()
    end = loop.time() + (call.number("timeoutSeconds") or _DEFAULT_WATCH_SECONDS)
    bookmarks = call.flag("allowWatchBookmarks")
    while (left := end - loop.time()) > 0:
        try:
            event = await asyncio.wait_for(followed.next(), min(left, _BOOKMARK_SECONDS))
        except TimeoutError:
            if bookmarks and loop.time() < end:
                yield _bookmark(call.resource, store.revision)
            continue
        if event is None:
            return
        if (selected := _select(event, call.namespace, matches)) is not None:
            yield selected


def _select(event: Event, namespace: str | None, matches: Predicate) -> _Selected | None:
    if namespace is not None and event.document["metadata"].get("namespace") != namespace:
        return None
    after = event.kind != "DELETED" and matches(event.document)
    before = event.before is not None and matches(event.before)
    match before, after:
        case True, True:
            return _Selected("MODIFIED", event.document)
        case False, True:
            return _Selected("ADDED", event.document)
        case True, False:
            return _Selected("DELETED", event.document)
        case _:
            return None


def _bookmark(resource: Resource, revision: int, annotations: Document | None = None) -> _Selected:
    metadata = {"resourceVersion": str(revision), **({"annotations": annotations} if annotations else {})}
    return _Selected("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})


def _selection(call: Call) -> Predicate:
    fields = call.query.get("fieldSelector", "")
    if call.name is not None:
        fields = f"{fields},metadata.name={call.name}"
    return selection(call.query.get("labelSelector", ""), fields)


def _page(documents: list[Document], limit: int, token: str) -> tuple[list[Document], Document]:
    """A page, and the list's metadata with the token for the next one."""
    if token:
        after = _start(token)
        documents = [document for document in documents if _order(document) > after]
    if not limit or len(documents) <= limit:
        return documents, {}
    last = _order(documents[limit - 1])
    following = base64.urlsafe_b64encode(json.dumps(last).encode()).decode()
    return documents[:limit], {"continue": following, "remainingItemCount": len(documents) - limit}


def _order(document: Document) -> tuple[str, str]:
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def _start(token: str) -> tuple[str, str]:
    try:
        namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise bad_request("continue key is not valid") from error
    return str(namespace), str(name)

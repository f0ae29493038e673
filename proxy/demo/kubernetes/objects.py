"""The verbs on stored objects: create, replace, patch, apply, delete."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy.demo.kubernetes import bodies, managed_fields, refusals
from proxy.demo.kubernetes.controllers import NAMESPACES, Controllers
from proxy.demo.kubernetes.documents import Document, dig, timestamp
from proxy.demo.kubernetes.managed_fields import Writer
from proxy.demo.kubernetes.resources import Resource
from proxy.demo.kubernetes.store import Store

Change = Callable[[Document], Document]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is: its resource, namespace and name, and which part of it is meant ("" or "status")."""

    resource: Resource
    namespace: str | None
    name: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Query parameters of a write; `validation` is Strict, Warn or Ignore."""

    manager: str = "unknown"
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """The object as stored, and warnings for the client."""

    document: Document
    warnings: tuple[str, ...] = ()
    created: bool = False


class Objects:
    """Create, read, update and delete; raises Refused with the reasons of a real API server."""

    def __init__(self, store: Store, controllers: Controllers) -> None:
        self._store = store
        self._controllers = controllers

    def get(self, place: Place) -> Document:
        """Raises Refused (404)."""
        document = self._find(place)
        if document is None:
            raise refusals.not_found(place.resource.group, place.resource.plural, place.name)
        return {**document, "apiVersion": place.resource.api_version}

    def exists(self, place: Place, document: Document) -> bool:
        """Whether this very object is still there, not another one of its name."""
        present = self._find(place)
        return present is not None and present["metadata"].get("uid") == document["metadata"].get("uid")

    def create(self, resource: Resource, namespace: str | None, body: Any, options: WriteOptions) -> Written:
        """Raises Refused: 400, 404 (namespace), 409 (exists), 422."""
        document = bodies.named(bodies.addressed(resource, namespace, None, body))
        place = Place(resource, namespace, document["metadata"]["name"])
        self._check_namespace(place)
        if self._find(place) is not None:
            raise refusals.already_exists(resource.group, resource.plural, place.name)
        warnings = bodies.check(resource, document, options.validation)
        document = managed_fields.record_update(None, bodies.born(document), Writer(options.manager, "Update"))
        return Written(self._keep(place, document, options), warnings, created=True)

    def replace(self, place: Place, body: Any, options: WriteOptions) -> Written:
        """PUT; raises Refused: 400, 404, 409 (stale), 422."""
        document = bodies.addressed(place.resource, place.namespace, place.name, body)
        return self._change(place, lambda _: document, options)

    def patch(self, place: Place, change: Change, options: WriteOptions) -> Written:
        """A patch as a function from the live object to the wanted one; raises Refused: 400, 404, 409, 422."""
        return self._change(
            place,
            lambda live: bodies.addressed(place.resource, place.namespace, place.name, change(live)),
            options,
        )

    def apply(self, place: Place, body: Any, options: WriteOptions) -> Written:
        """Server-side apply; raises Refused: 400, 404 (namespace), 409 (fields of others), 422."""
        intent = bodies.addressed(place.resource, place.namespace, place.name, body)
        if intent["metadata"].get("managedFields"):
            raise refusals.bad_request("metadata.managedFields must be nil")
        writer = Writer(options.manager, "Apply", place.part)
        if self._find(place) is not None:
            return self._change(
                place, lambda live: managed_fields.apply(live, intent, writer, force=options.force), options, recorded=True
            )
        self._check_namespace(place)
        warnings = bodies.check(place.resource, intent, options.validation)
        document = bodies.born(managed_fields.apply({"metadata": {}}, intent, writer, force=True))
        return Written(self._keep(place, document, options), warnings, created=True)

    def delete(self, place: Place, options: Document, *, dry_run: bool = False) -> Document:
        """The object as it was; one with finalizers stays, marked. Raises Refused: 404, 409 (preconditions)."""
        live = self.get(place)
        _check_preconditions(place, live, options.get("preconditions") or {})
        if dry_run:
            return live
        if dig(live, "metadata", "finalizers"):
            marked = {**live["metadata"], "deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": 0}
            return self._store.put(place.resource.key, {**live, "metadata": marked})
        orphan = options.get("propagationPolicy") == "Orphan" or options.get("orphanDependents") is True
        return self._remove(place, orphan=orphan)

    def _change(self, place: Place, change: Change, options: WriteOptions, *, recorded: bool = False) -> Written:
        live = self.get(place)
        wanted = change(copy.deepcopy(live))
        if (wanted["metadata"].get("resourceVersion") or live["metadata"]["resourceVersion"]) != live["metadata"][
            "resourceVersion"
        ]:
            raise refusals.stale(place.resource.group, place.resource.plural, place.name)
        document = bodies.finished(bodies.confined(place.part, place.resource, live, wanted))
        warnings = bodies.check(place.resource, document, options.validation)
        if not recorded:
            document = managed_fields.record_update(live, document, Writer(options.manager, "Update", place.part))
        if bodies.same(live, document):
            return Written(live, warnings)
        return Written(self._keep(place, bodies.advanced(live, document), options), warnings)

    def _keep(self, place: Place, document: Document, options: WriteOptions) -> Document:
        if options.dry_run:
            return document
        stored = self._store.put(place.resource.key, document)
        if stored["metadata"].get("deletionTimestamp") and not stored["metadata"].get("finalizers"):
            return self._remove(place, orphan=False)
        self._controllers.written(place.resource.key, stored)
        return self._find(place) or stored

    def _remove(self, place: Place, *, orphan: bool) -> Document:
        last = self._store.remove(place.resource.key, place.namespace, place.name)
        self._controllers.removed(place.resource.key, last, orphan=orphan)
        return last

    def _find(self, place: Place) -> Document | None:
        return self._store.get(place.resource.key, place.namespace, place.name)

    def _check_namespace(self, place: Place) -> None:
        if place.resource.namespaced and self._store.get(NAMESPACES, None, place.namespace or "") is None:
            raise refusals.not_found("", "namespaces", place.namespace or "")


def _check_preconditions(place: Place, live: Document, preconditions: Document) -> None:
    for member, wanted in preconditions.items():
        present = live["metadata"].get(member)
        if wanted is not None and wanted != present:
            why = f"Precondition failed: {member} in precondition: {wanted}, {member} in object meta: {present}"
            raise refusals.conflict(place.resource.group, place.resource.plural, place.name, why)

"""create, replace, patch, delete, deletecollection and the scale subresource."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from proxy.demo.kubernetes import calls
from proxy.demo.kubernetes.calls import Call, answer
from proxy.demo.kubernetes.documents import Document, dig
from proxy.demo.kubernetes.json_patch import json_patch, merge_patch
from proxy.demo.kubernetes.objects import Change, Objects, Place, Written
from proxy.demo.kubernetes.openapi import APPLY, JSON_PATCH, STRATEGIC_MERGE, patch_types
from proxy.demo.kubernetes.refusals import bad_request, unsupported_media_type
from proxy.demo.kubernetes.selectors import selection
from proxy.demo.kubernetes.store import Store
from proxy.demo.kubernetes.strategic_merge import strategic_merge


async def create(call: Call, objects: Objects) -> web.Response:
    """POST to a collection."""
    if call.name is not None:
        raise bad_request("a create names no object in the path")
    body = await calls.body_document(call.request)
    return _written(objects.create(call.resource, call.namespace, body, call.write_options()))


async def replace(call: Call, objects: Objects) -> web.Response:
    """PUT of an object, its status or its scale."""
    body = await calls.body_document(call.request)
    if call.subresource == "scale":
        return _rescaled(call, objects, lambda _: body)
    return _written(objects.replace(call.place(), body, call.write_options()))


async def patch(call: Call, objects: Objects) -> web.Response:
    """PATCH of an object, its status or its scale, in each of the four formats."""
    media_type = call.request.content_type
    accepted = patch_types(call.resource)
    if media_type not in accepted:
        raise unsupported_media_type(accepted)
    body = calls.parse_json(await calls.body(call.request))
    if media_type == APPLY and call.subresource != "scale":
        return _written(objects.apply(call.place(), body, call.write_options()))
    change = _change(media_type, body)
    if call.subresource == "scale":
        return _rescaled(call, objects, change)
    return _written(objects.patch(call.place(), change, call.write_options()))


async def delete(call: Call, objects: Objects) -> web.Response:
    """DELETE of one object: a Status, or the object when it stays for its finalizers."""
    options = await _delete_options(call)
    place = call.place()
    last = objects.delete(place, options, dry_run="dryRun" in call.query or bool(options.get("dryRun")))
    if dig(last, "metadata", "deletionTimestamp"):
        return answer(last)
    resource = call.resource
    details = {"name": place.name, "group": resource.group, "kind": resource.plural, "uid": last["metadata"].get("uid")}
    return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})


async def delete_collection(call: Call, objects: Objects, store: Store) -> web.Response:
    """DELETE of all objects that the selectors name: the list of them."""
    options = await _delete_options(call)
    matches = selection(call.query.get("labelSelector", ""), call.query.get("fieldSelector", ""))
    deleted = []
    for document in store.list(call.resource.key, call.namespace):
        metadata = document["metadata"]
        place = Place(call.resource, metadata.get("namespace"), metadata["name"])
        # an earlier deletion may have taken this one with it
        if matches(document) and store.get(call.resource.key, place.namespace, place.name) is not None:
            deleted.append(objects.delete(place, options, dry_run="dryRun" in call.query))
    kinds = {"kind": f"{call.resource.kind}List", "apiVersion": call.resource.api_version}
    return answer({**kinds, "metadata": {"resourceVersion": str(store.revision)}, "items": deleted})


def scale(call: Call, objects: Objects) -> web.Response:
    """GET of the scale subresource."""
    return answer(_scale_of(objects.get(call.place())))


def _written(written: Written) -> web.Response:
    return answer(written.document, code=201 if written.created else 200, warnings=written.warnings)


def _change(media_type: str, body: Any) -> Change:
    if media_type == JSON_PATCH:
        return lambda live: json_patch(live, body)
    if not isinstance(body, dict):
        raise bad_request("a merge patch is an object")
    merge: Callable[[Document, Document], Document] = strategic_merge if media_type == STRATEGIC_MERGE else merge_patch
    return lambda live: merge(live, body)


def _rescaled(call: Call, objects: Objects, change: Change) -> web.Response:
    def rescale(live: Document) -> Document:
        replicas = dig(change(_scale_of(live)), "spec", "replicas", default=0)
        if not isinstance(replicas, int) or not 0 <= replicas <= 100:
            raise bad_request("spec.replicas: must be a number from 0 to 100")
        return {**live, "spec": {**live.get("spec", {}), "replicas": replicas}}

    return answer(_scale_of(objects.patch(call.place(), rescale, call.write_options()).document))


def _scale_of(document: Document) -> Document:
    metadata = {name: document["metadata"].get(name) for name in ("name", "namespace", "uid", "resourceVersion")}
    labels = dig(document, "spec", "selector", "matchLabels", default={})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {**metadata, "creationTimestamp": document["metadata"].get("creationTimestamp")},
        "spec": {"replicas": dig(document, "spec", "replicas", default=1)},
        "status": {
            "replicas": dig(document, "status", "replicas", default=0),
            "selector": ",".join(f"{name}={value}" for name, value in labels.items()),
        },
    }


async def _delete_options(call: Call) -> Document:
    body = await calls.body_document(call.request)
    if not isinstance(body, dict):
        raise bad_request("delete options are an object")
    policy = call.query.get("propagationPolicy")
    return {**body, "propagationPolicy": policy} if policy else body

"""What a body must be like before it is stored, and what the server fills in: pure functions of documents."""

import base64
import re
import uuid
from typing import Any

from proxy.demo.kubernetes import refusals
from proxy.demo.kubernetes.documents import Document, dig, digest, timestamp
from proxy.demo.kubernetes.openapi import schema_of
from proxy.demo.kubernetes.resources import Resource
from proxy.demo.kubernetes.schema_language import unknown_fields, violations
from proxy.demo.kubernetes.workloads import service_address

_NAME = re.compile(r"[a-z0-9]([a-z0-9.:@-]{0,251}[a-z0-9])?")
# What a client cannot change about an object that exists.
_FIXED_METADATA = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "name", "namespace")


def addressed(resource: Resource, namespace: str | None, name: str | None, body: Any) -> Document:
    """The body with the kind, namespace and name that the URL names; raises Refused (400) where they differ."""
    if not isinstance(body, dict) or not isinstance(body.get("metadata") or {}, dict):
        raise refusals.bad_request("the body of the request is not an object")
    for member, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        if body.get(member) != wanted:
            raise refusals.bad_request(f"{member} in the data ({body.get(member)}) does not match the expected one ({wanted})")
    metadata = {**(body.get("metadata") or {})}
    if not all(isinstance(metadata.get(member) or "", str) for member in ("name", "namespace", "generateName")):
        raise refusals.bad_request("metadata: name, namespace and generateName are strings")
    for member, named in (("namespace", namespace if resource.namespaced else None), ("name", name)):
        if named is not None and (metadata.get(member) or named) != named:
            raise refusals.bad_request(f"the {member} of the provided object does not match the {member} sent on the request")
        if named is not None:
            metadata[member] = named
    return {**body, "metadata": metadata}


def named(document: Document) -> Document:
    """The document with a name, generated where only a prefix was given; raises Refused (422)."""
    metadata = document["metadata"]
    if metadata.get("name"):
        return document
    if not metadata.get("generateName"):
        raise refusals.invalid(document["kind"], "", [("metadata.name", "Required value: name or generateName is required")])
    return {**document, "metadata": {**metadata, "name": f"{metadata['generateName']}{digest(uuid.uuid4(), length=5)}"}}


def born(document: Document) -> Document:
    """The document with the metadata of a new object."""
    fresh = {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp(), "generation": 1}
    return finished({**document, "metadata": {**document["metadata"], **fresh}})


def finished(document: Document) -> Document:
    """The document with what the server fills in by itself."""
    if document["kind"] == "Secret" and isinstance(texts := document.get("stringData"), dict):
        encoded = {name: base64.b64encode(str(text).encode()).decode() for name, text in texts.items()}
        document = {**document, "data": {**(document.get("data") or {}), **encoded}}
        del document["stringData"]
    if document["kind"] == "Namespace":
        # kubectl sends an empty status along where it writes JSON.
        document = {**document, "status": document.get("status") or {"phase": "Active"}}
    if document["kind"] == "Service" and isinstance(spec := document.get("spec"), dict):
        metadata = document["metadata"]
        defaults = {"type": "ClusterIP", "clusterIP": service_address(metadata.get("namespace"), metadata.get("name"))}
        document = {**document, "spec": {**(defaults if spec.get("type") != "ExternalName" else {}), **spec}}
    return document


def check(resource: Resource, document: Document, validation: str) -> tuple[str, ...]:
    """Warnings about unknown fields; raises Refused: 400 when those are refused (Strict), 422 when types are wrong."""
    name = document["metadata"]["name"]
    if not _NAME.fullmatch(name):
        problem = f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case letters, digits, - and .'
        raise refusals.invalid(resource.kind, name, [("metadata.name", problem)], resource.group)
    schema = schema_of(resource)
    unknown = [f'unknown field "{path}"' for path in unknown_fields(schema, document)]
    if unknown and validation == "Strict":
        kind = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        raise refusals.bad_request(f"{kind}: strict decoding error: {', '.join(unknown)}")
    if problems := list(violations(schema, document)):
        raise refusals.invalid(resource.kind, name, problems, resource.group)
    return tuple(unknown) if validation == "Warn" else ()


def confined(part: str, resource: Resource, live: Document, wanted: Document) -> Document:
    """The wanted state, less what this write may not touch: a status write changes the status alone, others all else."""
    if part == "status":
        owners = {name: value for name, value in wanted["metadata"].items() if name == "managedFields"}
        return {**live, "status": wanted.get("status"), "metadata": {**live["metadata"], **owners}}
    fixed = {member: live["metadata"][member] for member in _FIXED_METADATA if member in live["metadata"]}
    document = {**wanted, "metadata": {**wanted["metadata"], **fixed}}
    if "status" in resource.subresources:
        document.pop("status", None)
        document |= {"status": live["status"]} if "status" in live else {}
    return document


def same(live: Document, document: Document) -> bool:
    """Whether nothing changed but the times of managedFields."""
    return _timeless(live) == _timeless(document)


def advanced(live: Document, document: Document) -> Document:
    """The document with the next generation when more than metadata and status changed."""
    members = {*live, *document} - {"metadata", "status"}
    if all(live.get(member) == document.get(member) for member in members):
        return document
    generation = dig(live, "metadata", "generation", default=1) + 1
    return {**document, "metadata": {**document["metadata"], "generation": generation}}


def _timeless(document: Document) -> Document:
    metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
    entries = [{**entry, "time": ""} for entry in metadata.get("managedFields", ())]
    return {**document, "metadata": {**metadata, "managedFields": entries}}

"""OpenAPI version 3: an index, and one document for each group version."""

import hashlib
import json

from proxy.demo.kubernetes.builtin_schemas import builtin_schema
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import no_such_path
from proxy.demo.kubernetes.resources import Catalogue, Resource

SERVER_VERSION = "v1.30.14"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
_WRITE_PARAMETERS = tuple(
    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
)


def index(catalogue: Catalogue) -> Document:
    """What /openapi/v3 answers; the hash in the address lets clients cache a document for ever."""
    paths = {}
    for group, versions in catalogue.versions().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            body = json.dumps(document(catalogue, group, version), sort_keys=True).encode()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={hashlib.sha256(body).hexdigest()[:32].upper()}"}
    return {"paths": paths}


def document(catalogue: Catalogue, group: str, version: str) -> Document:
    """The document of one group version; raises Refused (404) when it is not served."""
    resources = catalogue.within(group, version)
    if not resources:
        raise no_such_path()
    paths: Document = {}
    components: Document = {}
    for resource in resources:
        paths |= _paths(resource)
        components[f"{group or 'core'}.{version}.{resource.kind}"] = _component(resource)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": SERVER_VERSION},
        "paths": paths,
        "components": {"schemas": components},
    }


def patch_types(resource: Resource) -> tuple[str, ...]:
    """Media types of a PATCH; a strategic merge needs Go types, which custom resources do not have."""
    always = (JSON_PATCH, MERGE_PATCH, APPLY)
    return always if resource.custom else (*always, STRATEGIC_MERGE)


def schema_of(resource: Resource) -> Document:
    """The schema that objects of the resource are checked against."""
    if resource.schema is None:
        return builtin_schema(resource.kind)
    common = {name: field for name, field in builtin_schema(resource.kind)["properties"].items() if name != "spec"}
    own = resource.schema.get("properties", {})
    return {**resource.schema, "properties": {**own, **common}}


def collection_path(resource: Resource) -> str:
    """`/apis/apps/v1/namespaces/{namespace}/deployments`."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    return f"{root}/{'namespaces/{namespace}/' if resource.namespaced else ''}{resource.plural}"


def _component(resource: Resource) -> Document:
    return {**schema_of(resource), "x-kubernetes-group-version-kind": [kind_of(resource)]}


def kind_of(resource: Resource) -> Document:
    """The extension x-kubernetes-group-version-kind."""
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(resource: Resource) -> Document:
    collection = collection_path(resource)
    kind = {"x-kubernetes-group-version-kind": kind_of(resource), "responses": {"200": {"description": "OK"}}}
    write = {**kind, "parameters": list(_WRITE_PARAMETERS)}
    patch = {**write, "requestBody": {"content": {media_type: {} for media_type in patch_types(resource)}}}
    if "get" not in resource.verbs:
        return {collection: {"post": write}}
    return {
        collection: {"get": {**kind, "x-kubernetes-action": "list"}, "post": {**write, "x-kubernetes-action": "post"}},
        f"{collection}/{{name}}": {"get": kind, "put": write, "patch": {**patch, "x-kubernetes-action": "patch"}},
    }

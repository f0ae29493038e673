"""The OpenAPI version 2 document, in the protobuf form that kubectl 1.27 and 1.28 ask for.

Field numbers: openapiv2/OpenAPIv2.proto of github.com/google/gnostic-models.
"""

import json
from collections.abc import Iterable

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.openapi import SERVER_VERSION, collection_path, kind_of, schema_of
from proxy.demo.kubernetes.resources import Catalogue, Resource

# The form of the name with an @, which clients send in Accept, is no valid media type.
CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_KIND_EXTENSION = "x-kubernetes-group-version-kind"


def document(catalogue: Catalogue) -> bytes:
    """All kinds, and for each the parameters of its patch: clients look there whether the server validates fields."""
    kinds = list(catalogue)
    paths = b"".join(_message(2, _path(resource)) for resource in kinds if "patch" in resource.verbs)
    definitions = b"".join(_message(1, _named(_definition_name(resource), _definition(resource))) for resource in kinds)
    info = _text(1, "Kubernetes") + _text(2, SERVER_VERSION)
    return _text(1, "2.0") + _message(2, info) + _message(8, paths) + _message(9, definitions)


def _path(resource: Resource) -> bytes:
    parameters = b"".join(_message(8, _query_parameter(name)) for name in ("dryRun", "fieldManager", "fieldValidation", "force"))
    operation = parameters + _message(13, _extension(json.dumps(kind_of(resource))))
    return _named(f"{collection_path(resource)}/{{name}}", _message(8, operation))


def _query_parameter(name: str) -> bytes:
    # ParametersItem.parameter → Parameter.non_body_parameter → NonBodyParameter.query_parameter_sub_schema
    schema = _text(2, "query") + _text(4, name) + _text(6, "string")
    return _message(1, _message(2, _message(3, schema)))


def _definition_name(resource: Resource) -> str:
    return f"{resource.group or 'core'}.{resource.version}.{resource.kind}"


def _definition(resource: Resource) -> bytes:
    return _schema(schema_of(resource)) + _message(31, _extension(json.dumps([kind_of(resource)])))


def _extension(yaml: str) -> bytes:
    return _named(_KIND_EXTENSION, _text(2, yaml))


def _schema(schema: Document) -> bytes:
    return b"".join(_schema_fields(schema))


def _schema_fields(schema: Document) -> Iterable[bytes]:
    if "format" in schema:
        yield _text(2, schema["format"])
    if "description" in schema:
        yield _text(4, schema["description"])
    for name in schema.get("required", ()):
        yield _text(19, name)
    if "additionalProperties" in schema:
        yield _message(21, _message(1, _schema(schema["additionalProperties"])))
    if "type" in schema:
        yield _message(22, _text(1, schema["type"]))
    if "items" in schema:
        yield _message(23, _message(1, _schema(schema["items"])))
    if "properties" in schema:
        members = (_message(1, _named(name, _schema(member))) for name, member in schema["properties"].items())
        yield _message(25, b"".join(members))


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _message(2, value)


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _message(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

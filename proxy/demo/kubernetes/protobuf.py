"""Reads the few kinds that kubectl 1.33 and newer send as protobuf.

Field numbers: generated.proto of k8s.io/api and k8s.io/apimachinery. Fields that are not listed are skipped.
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.refusals import bad_request, unsupported_media_type

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_MAX_DEPTH = 32

# message → field number → (name, type); a type is text, bytes, integer, boolean, a message, or one of these in
# brackets (repeated) or braces (a map from text)
_MESSAGES: Mapping[str, Mapping[int, tuple[str, str]]] = {
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "raw")},
    "TypeMeta": {1: ("apiVersion", "text"), 2: ("kind", "text")},
    "ObjectMeta": {
        1: ("name", "text"), 2: ("generateName", "text"), 3: ("namespace", "text"), 5: ("uid", "text"),
        6: ("resourceVersion", "text"), 11: ("labels", "{text}"), 12: ("annotations", "{text}"), 14: ("finalizers", "[text]"),
    },
    "ConfigMap": {1: ("metadata", "ObjectMeta"), 2: ("data", "{text}"), 3: ("binaryData", "{bytes}"), 4: ("immutable", "boolean")},
    "Container": {
        1: ("name", "text"), 2: ("image", "text"), 3: ("command", "[text]"), 4: ("args", "[text]"), 5: ("workingDir", "text"),
        6: ("ports", "[ContainerPort]"), 7: ("env", "[EnvVar]"), 14: ("imagePullPolicy", "text"),
    },
    "ContainerPort": {1: ("name", "text"), 3: ("containerPort", "integer"), 4: ("protocol", "text")},
    "CronJob": {1: ("metadata", "ObjectMeta"), 2: ("spec", "CronJobSpec")},
    "CronJobSpec": {1: ("schedule", "text"), 5: ("jobTemplate", "JobTemplateSpec")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "integer"), 2: ("preconditions", "Preconditions"), 3: ("orphanDependents", "boolean"),
        4: ("propagationPolicy", "text"), 5: ("dryRun", "[text]"),
    },
    "Deployment": {1: ("metadata", "ObjectMeta"), 2: ("spec", "DeploymentSpec")},
    "DeploymentSpec": {1: ("replicas", "integer"), 2: ("selector", "LabelSelector"), 3: ("template", "PodTemplateSpec")},
    "EnvVar": {1: ("name", "text"), 2: ("value", "text")},
    "Eviction": {1: ("metadata", "ObjectMeta"), 2: ("deleteOptions", "DeleteOptions")},
    "JobTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "JobSpec")},
    "LabelSelector": {1: ("matchLabels", "{text}")},
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "NonResourceAttributes": {1: ("path", "text"), 2: ("verb", "text")},
    "PodSpec": {
        2: ("containers", "[Container]"), 3: ("restartPolicy", "text"), 7: ("nodeSelector", "{text}"),
        8: ("serviceAccountName", "text"), 10: ("nodeName", "text"),
    },
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "Preconditions": {1: ("uid", "text"), 2: ("resourceVersion", "text")},
    "ResourceAttributes": {
        1: ("namespace", "text"), 2: ("verb", "text"), 3: ("group", "text"), 4: ("version", "text"), 5: ("resource", "text"),
        6: ("subresource", "text"), 7: ("name", "text"),
    },
    "Scale": {1: ("metadata", "ObjectMeta"), 2: ("spec", "ScaleSpec")},
    "ScaleSpec": {1: ("replicas", "integer")},
    "Secret": {
        1: ("metadata", "ObjectMeta"), 2: ("data", "{bytes}"), 3: ("type", "text"), 4: ("stringData", "{text}"),
        5: ("immutable", "boolean"),
    },
    "SelfSubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "SelfSubjectAccessReviewSpec")},
    "SelfSubjectAccessReviewSpec": {
        1: ("resourceAttributes", "ResourceAttributes"), 2: ("nonResourceAttributes", "NonResourceAttributes"),
    },
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
    "SelfSubjectRulesReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "SelfSubjectRulesReviewSpec")},
    "SelfSubjectRulesReviewSpec": {1: ("namespace", "text")},
    "Service": {1: ("metadata", "ObjectMeta"), 2: ("spec", "ServiceSpec")},
    "ClusterRole": {1: ("metadata", "ObjectMeta"), 2: ("rules", "[PolicyRule]")},
    "ClusterRoleBinding": {1: ("metadata", "ObjectMeta"), 2: ("subjects", "[Subject]"), 3: ("roleRef", "RoleRef")},
    "Job": {1: ("metadata", "ObjectMeta"), 2: ("spec", "JobSpec")},
    "JobSpec": {6: ("template", "PodTemplateSpec")},
    "PolicyRule": {
        1: ("verbs", "[text]"), 2: ("apiGroups", "[text]"), 3: ("resources", "[text]"), 4: ("resourceNames", "[text]"),
        5: ("nonResourceURLs", "[text]"),
    },
    "Role": {1: ("metadata", "ObjectMeta"), 2: ("rules", "[PolicyRule]")},
    "RoleBinding": {1: ("metadata", "ObjectMeta"), 2: ("subjects", "[Subject]"), 3: ("roleRef", "RoleRef")},
    "RoleRef": {1: ("apiGroup", "text"), 2: ("kind", "text"), 3: ("name", "text")},
    "Subject": {1: ("kind", "text"), 2: ("apiGroup", "text"), 3: ("name", "text"), 4: ("namespace", "text")},
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "ServicePort": {1: ("name", "text"), 2: ("protocol", "text"), 3: ("port", "integer")},
    "ServiceSpec": {1: ("ports", "[ServicePort]"), 2: ("selector", "{text}"), 3: ("clusterIP", "text"), 4: ("type", "text")},
}  # fmt: skip


def decode(received: bytes) -> Document:
    """The object as it would be in JSON; raises Refused: 400 when it is malformed, 415 when its kind is not known here."""
    if not received.startswith(_MAGIC):
        raise bad_request("the body of the request is no Kubernetes protobuf")
    try:
        envelope = _message("Unknown", received[len(_MAGIC) :], 0)
        kind = envelope["typeMeta"].get("kind", "")
        if kind not in _MESSAGES:
            raise unsupported_media_type(("application/json",))
        return {**envelope["typeMeta"], **_message(kind, envelope.get("raw", b""), 0)}
    except (KeyError, IndexError, UnicodeDecodeError, TypeError, struct.error) as error:
        raise bad_request("the body of the request is malformed protobuf") from error


def _message(kind: str, received: bytes, depth: int) -> Document:
    if depth > _MAX_DEPTH:
        raise IndexError
    document: Document = {}
    for number, value in _fields(received):
        if (known := _MESSAGES[kind].get(number)) is None:
            continue
        name, form = known
        if form.startswith("["):
            document.setdefault(name, []).append(_value(form[1:-1], value, depth))
        elif form.startswith("{"):
            entry = dict(_fields(_bytes(value)))
            document.setdefault(name, {})[_bytes(entry.get(1, b"")).decode()] = _value(form[1:-1], entry.get(2, b""), depth)
        elif value != b"" or form != "text":
            # Go sends the empty text of an unset field, which JSON leaves out
            document[name] = _value(form, value, depth)
    return document


def _value(form: str, value: int | bytes, depth: int) -> Any:
    match form:
        case "text":
            return _bytes(value).decode()
        case "bytes":
            return base64.b64encode(_bytes(value)).decode()
        case "raw":
            return value
        case "integer":
            # negative numbers are sent as 64-bit two's complement
            return value - (1 << 64) if isinstance(value, int) and value >> 63 else value
        case "boolean":
            return bool(value)
        case _:
            return _message(form, _bytes(value), depth + 1)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError
    return value


def _fields(received: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0
    while place < len(received):
        tag, place = _varint(received, place)
        match tag & 7:
            case 0:
                number, place = _varint(received, place)
                yield tag >> 3, number
            case 2:
                length, place = _varint(received, place)
                if place + length > len(received):
                    raise IndexError
                yield tag >> 3, received[place : place + length]
                place += length
            case 1 | 5 as width:
                size = 8 if width == 1 else 4
                yield tag >> 3, received[place : place + size]
                place += size
            case _:
                raise IndexError


def _varint(received: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = received[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, place
        if shift > 63:
            raise IndexError

"""Objects as the rows of a Table, and which representation a client asks for."""

from collections.abc import Iterable

from proxy.demo.kubernetes.columns import columns_of
from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.resources import Resource

_META_GROUP = "meta.k8s.io"
_TRANSFORMED = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


def representation(accept: str) -> str:
    """The first known form in an Accept header: "" for the object itself, else the value of `as=`."""
    for offer in accept.split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        given = {name: value for name, _, value in (parameter.partition("=") for parameter in parameters)}
        if media_type == "application/json" and given.get("g") == _META_GROUP and given.get("v") == "v1":
            if (wanted := given.get("as", "")) in _TRANSFORMED:
                return wanted
        elif media_type in ("application/json", "application/*", "*/*") and "as" not in given:
            return ""
    return ""


def table(resource: Resource, documents: Iterable[Document], metadata: Document, include: str) -> Document:
    """A meta.k8s.io/v1 Table; `include` is the parameter includeObject: None, Metadata or Object."""
    columns = columns_of(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [
            {"cells": [column.cell(document) for column in columns], "object": _row_object(document, include)}
            for document in documents
        ],
    }


def partial(document: Document) -> Document:
    """Only what the object is called."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": document.get("metadata", {}),
    }


def _row_object(document: Document, include: str) -> Document | None:
    match include:
        case "None":
            return None
        case "Object":
            return document
        case _:
            return partial(document)

"""The Kubernetes reading of a path, as the API server reads it (apiserver, `pkg/endpoints/request/requestinfo.go`).

Stricter than the API server: what it would tolerate and we could misread is refused.
"""

import re
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote_plus

from proxy.errors import Malformed
from proxy.routing.paths import is_dns_label, object_name, plain
from proxy.routing.target import RequestInfo, Verb

METHOD_VERBS: dict[str, Verb] = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "OPTIONS": "options",
}
NON_RESOURCE_VERBS: dict[str, Verb] = {
    "GET": "get",
    "HEAD": "head",
    "POST": "post",
    "PUT": "put",
    "PATCH": "patch",
    "DELETE": "delete",
    "OPTIONS": "options",
}
READ_METHODS = frozenset({"GET", "HEAD"})
# They open a channel into a container or a service: kubectl 1.30 and later do so with GET.
CONNECTING = frozenset({"exec", "attach", "portforward", "proxy"})
# requestinfo.go: `namespaceSubresources`, `specialVerbs`
NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_VERB_PREFIXES: dict[str, Verb] = {"watch": "watch", "proxy": "proxy"}
_GROUP_DEPTH = {"api": 2, "apis": 3}
# fields.ParseSelector: terms end at a comma that no backslash escapes.
_SELECTOR_TERM = re.compile(r"(?:[^\\,]|\\.)+")
_NAME_TERM = re.compile(r"metadata\.name==?([^\\,=]+)")


class _Segments(NamedTuple):
    prefix: Verb | None
    namespace: str | None
    rest: list[str]


def read_request(method: str, path: str, query: str | None, *, strict: bool) -> RequestInfo:
    """Read an upstream path; `strict` is the management API's rule: namespaces are DNS labels, nothing follows a subresource.

    Raises Malformed for shapes that the API server refuses or that could be read in two ways.
    """
    segments = path[1:].split("/")
    depth = _GROUP_DEPTH.get(segments[0], len(segments))
    trimmed = len(segments) - 1 if segments[-1] == "" else len(segments)
    if trimmed <= depth:
        return _non_resource(method, segments[:trimmed])
    group, version = (plain(segments[1]) if depth == _GROUP_DEPTH["apis"] else ""), plain(segments[depth - 1])
    prefix, namespace, rest = _relative_to_resource(segments[depth:], strict=strict)
    resource = plain(rest[0])
    name = object_name(rest[1]) if len(rest) > 1 else None
    subresource = _subresource(rest, strict=strict) if prefix != "proxy" else None
    return resource_request(method, prefix, group, version, namespace, resource, subresource, name, query)


def _non_resource(method: str, segments: list[str]) -> RequestInfo:
    for segment in segments:
        plain(segment)
    return RequestInfo(NON_RESOURCE_VERBS[method], False, method not in READ_METHODS, False)


def _relative_to_resource(segments: list[str], *, strict: bool) -> _Segments:
    prefix = _VERB_PREFIXES.get(segments[0])
    if prefix is not None:
        segments = segments[1:]
        if not segments:
            raise Malformed("The path names no resource")
    match segments:
        case ["namespaces", namespace, *inside]:
            if strict and not is_dns_label(namespace):
                raise Malformed("The path names a namespace that is not a DNS label")
            is_inside = inside and inside[0] not in NAMESPACE_SUBRESOURCES
            return _Segments(prefix, plain(namespace), inside if is_inside else segments)
        case _:
            return _Segments(prefix, None, segments)


def _subresource(rest: list[str], *, strict: bool) -> str | None:
    match rest:
        case [_, _, subresource, *tail]:
            # An aggregated API may use what follows; the management API has no such resource.
            if tail and subresource != "proxy" and (strict or tail == [""]):
                raise Malformed("The path goes on after a subresource")
            return plain(subresource)
        case _:
            return None


def resource_request(
    method: str,
    prefix: Verb | None,
    group: str,
    version: str,
    namespace: str | None,
    resource: str,
    subresource: str | None,
    name: str | None,
    query: str | None,
) -> RequestInfo:
    """Work out verb, access and duration of a resource request whose parts are known."""
    verb = prefix or METHOD_VERBS[method]
    if name is None:
        verb, name = _without_name(verb, query)
    connects = prefix == "proxy" or subresource in CONNECTING
    is_write = connects or method not in READ_METHODS
    is_long = connects or verb == "watch" or (subresource == "log" and _is_true(query, "follow"))
    return RequestInfo(verb, True, is_write, is_long, group, version, namespace, resource, subresource, name)


def _without_name(verb: Verb, query: str | None) -> tuple[Verb, str | None]:
    if verb == "delete":
        return "deletecollection", None
    if verb == "get":
        verb = "watch" if _is_true(query, "watch") else "list"
    elif verb != "watch":
        return verb, None
    selector = _first_value(query, "fieldSelector")
    return verb, _selected_name(selector) if selector else None


def _is_true(query: str | None, key: str) -> bool:
    # apimachinery, `pkg/runtime/conversion.go`: Convert_Slice_string_To_bool
    value = _first_value(query, key)
    return value is not None and value.lower() not in {"false", "0"}


def _first_value(query: str | None, key: str) -> str | None:
    if not query or (key not in query and "%" not in query):
        return None
    for found in _parameter(key).finditer(query):
        # Go drops a pair with a semicolon (net/url, `parseQuery`).
        if ";" not in found.group():
            return unquote_plus(found.group(1) or "", encoding="latin-1")
    return None


@cache
def _parameter(key: str) -> re.Pattern[str]:
    """Match a pair of this name, each letter plain or escaped: to decode every name of a long query would cost milliseconds."""
    name = "".join(f"(?:{letter}|%(?i:{ord(letter):02x}))" for letter in key)
    return re.compile(rf"(?:(?<=&)|^){name}(?:=([^&]*))?(?=&|$)")


def _selected_name(selector: str) -> str | None:
    # The API server sorts the terms and takes the first that asks for one name.
    names = [found.group(1) for term in sorted(_SELECTOR_TERM.findall(selector)) if (found := _NAME_TERM.fullmatch(term))]
    if not names or names[0] in {".", ".."} or "/" in names[0] or "%" in names[0]:
        return None
    return names[0]

"""Label and field selectors of lists and watches."""

import re
from collections.abc import Callable, Mapping

from proxy.demo.kubernetes.documents import Document, dig
from proxy.demo.kubernetes.refusals import bad_request

Predicate = Callable[[Document], bool]
_LabelTest = Callable[[Mapping[str, str]], bool]

_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9_./-]*[A-Za-z0-9])?"
_SET = re.compile(rf"^({_KEY})\s+(in|notin)\s+\(([^()]*)\)$")
_EQUALITY = re.compile(rf"^({_KEY})\s*(==|!=|=)\s*([A-Za-z0-9_.-]*)$")
_EXISTS = re.compile(rf"^(!?)\s*({_KEY})$")
_TERM_COMMA = re.compile(r",(?![^()]*\))")
_FIELD_TERM = re.compile(r"^([A-Za-z0-9_.\[\]]+)(==|!=|=)(.*)$")


def selection(label_selector: str, field_selector: str) -> Predicate:
    """Both selectors as one test of an object; raises Refused when one does not parse."""
    labels = [_label_term(term.strip()) for term in _TERM_COMMA.split(label_selector) if term.strip()]
    fields = [_field_term(term) for term in field_selector.split(",") if term]

    def matches(candidate: Document) -> bool:
        own: Mapping[str, str] = dig(candidate, "metadata", "labels", default={})
        return all(test(own) for test in labels) and all(test(candidate) for test in fields)

    return matches


def _label_term(term: str) -> _LabelTest:
    if found := _SET.match(term):
        return _set_term(found[1], found[2], frozenset(value.strip() for value in found[3].split(",")))
    if found := _EQUALITY.match(term):
        key, operator, value = found.groups()
        return (lambda own: own.get(key) != value) if operator == "!=" else (lambda own: own.get(key) == value)
    if found := _EXISTS.match(term):
        absent, key = bool(found[1]), found[2]
        return lambda own: (key in own) is not absent
    raise bad_request(f"unable to parse requirement: {term!r}")


def _set_term(key: str, operator: str, values: frozenset[str]) -> _LabelTest:
    if operator == "in":
        return lambda own: own.get(key) in values
    return lambda own: own.get(key) not in values


def _field_term(term: str) -> Predicate:
    found = _FIELD_TERM.match(term)
    if not found:
        raise bad_request(f"invalid field selector: {term!r}")
    path, wanted, equal = found[1].split("."), found[3], found[2] != "!="
    return lambda candidate: (_field_text(candidate, path) == wanted) is equal


def _field_text(candidate: Document, path: list[str]) -> str:
    value = dig(candidate, *path, default="")
    return str(value).lower() if isinstance(value, bool) else str(value)

"""Which surface a request to the management API falls in: an ordered list of rules, of which the first match wins.

The rules are data of the permissions file. A request that no rule matches is on the surface `management_cluster`, the most guarded.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from proxy.routing.target import RequestInfo

MANAGEMENT_CLUSTER = "management_cluster"
CLUSTER_API = "cluster_api"
STACKLIGHT = "stacklight"
# The surfaces of the management API, then those of child clusters.
MANAGEMENT_SURFACES = (
    "self_review",
    "discovery",
    "project_names",
    "projects",
    "project_objects",
    "bare_metal",
    "bare_metal_credentials",
    "secrets",
    "iam_bindings",
    "iam_global_bindings",
    "iam_catalog",
    "releases",
    MANAGEMENT_CLUSTER,
)
CHILD_SURFACES = (CLUSTER_API, STACKLIGHT)
SYSTEM_NAME = "<system>"
ANY_NAME = "<any>"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceRule:
    """One row of the file's `surfaces`; a matcher that is None matches anything.

    `resources` are exact, or `*suffix`. None in `namespaces` is a request without a namespace, in `names` one without a name;
    SYSTEM_NAME in `names` stands for the names of system namespaces, ANY_NAME for any name. `paths` match non-resource requests.
    """

    name: str
    groups: frozenset[str] | None = None
    resources: tuple[str, ...] | None = None
    namespaces: frozenset[str | None] | None = None
    system_namespace: bool | None = None
    names: frozenset[str | None] | None = None
    verbs: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    access: Literal["read", "write"] | None = None
    paths: tuple[str, ...] | None = None


def is_namespace_object(info: RequestInfo) -> bool:
    """Tell whether a request is for core `namespaces`: one Namespace object, or all of them."""
    return info.resource == "namespaces" and info.api_group == "" and (info.namespace is None or info.namespace == info.name)


def project_of(info: RequestInfo) -> str | None:
    """Return the project a request acts in, None when it acts in all: a Namespace object is the project of its name."""
    return info.name if is_namespace_object(info) else info.namespace


class _Check:
    """What is left to ask of one rule once group and resource are known."""

    __slots__ = (
        "_is_write",
        "_methods",
        "_names",
        "_not_in",
        "_paths",
        "_suffixes",
        "_takes_any_name",
        "_verbs",
        "_within",
        "name",
    )

    def __init__(self, rule: SurfaceRule, system: frozenset[str], *, is_resource_known: bool) -> None:
        self.name = rule.name
        self._within = _within(rule, system)
        self._not_in = system if rule.system_namespace is False else None
        self._names = None if rule.names is None else _names(rule.names, system)
        self._takes_any_name = rule.names is not None and ANY_NAME in rule.names
        self._verbs = rule.verbs
        self._methods = rule.methods
        self._is_write = None if rule.access is None else rule.access == "write"
        self._suffixes = None if is_resource_known or rule.resources is None else _suffixes(rule.resources)
        self._paths = None if rule.paths is None else _path_expression(rule.paths)

    @property
    def is_certain(self) -> bool:
        left = (self._within, self._not_in, self._names, self._verbs, self._methods, self._is_write, self._suffixes, self._paths)
        return all(condition is None for condition in left)

    def matches(self, info: RequestInfo, method: str, namespace: str | None, path: bytes) -> bool:
        return (
            (self._within is None or namespace in self._within)
            and (self._not_in is None or namespace not in self._not_in)
            and (self._names is None or info.name in self._names or (self._takes_any_name and info.name is not None))
            and (self._verbs is None or info.verb in self._verbs)
            and (self._methods is None or method in self._methods)
            and (self._is_write is None or info.is_write is self._is_write)
            and (self._suffixes is None or (info.resource or "").endswith(self._suffixes))
            and (self._paths is None or self._paths.fullmatch(path) is not None)
        )


def _within(rule: SurfaceRule, system: frozenset[str]) -> frozenset[str | None] | None:
    if not rule.system_namespace:
        return rule.namespaces
    return frozenset(system) if rule.namespaces is None else rule.namespaces & system


def _names(names: frozenset[str | None], system: frozenset[str]) -> frozenset[str | None]:
    return names - {SYSTEM_NAME, ANY_NAME} | (system if SYSTEM_NAME in names else frozenset())


def _suffixes(resources: Iterable[str]) -> tuple[str, ...]:
    return tuple(resource[1:] for resource in resources if resource.startswith("*"))


def _path_expression(paths: Iterable[str]) -> re.Pattern[bytes]:
    """Compile `/api` (with or without a slash at its end), `/apis/<group>` (one segment) and `/openapi/*` (anything below)."""
    return re.compile("|".join(f"(?:{_one_path(path)})" for path in paths).encode())


def _one_path(path: str) -> str:
    if path == "/":
        return "/"
    below = path.endswith("/*")
    segments = path.removesuffix("/*")[1:].split("/")
    fixed = "".join("/[^/]+" if segment.startswith("<") else "/" + re.escape(segment) for segment in segments)
    return fixed + ("/.*" if below else "/?")


class Surfaces:
    """The rules, indexed by API group and resource, so that a request meets only the few that can match it."""

    __slots__ = ("_by_group", "_non_resource", "_other_group")

    def __init__(self, rules: Iterable[SurfaceRule], system_namespaces: frozenset[str]) -> None:
        rules = tuple(rules)
        groups = {group for rule in rules for group in rule.groups or ()}
        resources = {name for rule in rules for name in rule.resources or () if not name.startswith("*")}
        self._by_group = {group: _by_resource(rules, group, resources, system_namespaces) for group in groups}
        self._other_group = _by_resource(rules, None, resources, system_namespaces)
        plain = [rule for rule in rules if rule.groups is None and rule.resources is None]
        self._non_resource = _until_certain(_Check(rule, system_namespaces, is_resource_known=True) for rule in plain)

    def surface_of(self, info: RequestInfo, method: str, path: bytes) -> str:
        """Return the name of the surface that a request to the management API falls in."""
        if info.is_resource_request:
            resources = self._by_group.get(info.api_group, self._other_group)
            checks = resources.get(info.resource) or resources[None]
        else:
            checks = self._non_resource
        namespace = None if info.namespace is None or is_namespace_object(info) else info.namespace
        for check in checks:
            if check.matches(info, method, namespace, path):
                return check.name
        return MANAGEMENT_CLUSTER


def _by_resource(
    rules: tuple[SurfaceRule, ...], group: str | None, resources: Iterable[str], system: frozenset[str]
) -> Mapping[str | None, tuple[_Check, ...]]:
    """Map each resource that some rule names, and None for all others, to the rules that can match it in an API group."""
    of_group = [rule for rule in rules if rule.paths is None and (rule.groups is None or group in rule.groups)]
    by_resource: dict[str | None, tuple[_Check, ...]] = {
        name: _until_certain(_Check(rule, system, is_resource_known=True) for rule in of_group if _names_resource(rule, name))
        for name in resources
    }
    by_resource[None] = _until_certain(_Check(rule, system, is_resource_known=False) for rule in of_group if _is_open(rule))
    return by_resource


def _names_resource(rule: SurfaceRule, name: str) -> bool:
    return rule.resources is None or name in rule.resources or name.endswith(_suffixes(rule.resources))


def _is_open(rule: SurfaceRule) -> bool:
    return rule.resources is None or bool(_suffixes(rule.resources))


def _until_certain(checks: Iterable[_Check]) -> tuple[_Check, ...]:
    kept: list[_Check] = []
    for check in checks:
        kept.append(check)
        if check.is_certain:
            break
    return tuple(kept)

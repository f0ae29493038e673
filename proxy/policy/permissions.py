"""The permissions file: surfaces and grants as data, read whole or refused whole.

Every problem is reported at once, each with its path in the file and the remedy. Nothing that is not understood is passed over.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from proxy.policy.roles import ROLE_PATTERNS
from proxy.policy.surfaces import (
    ANY_NAME,
    CHILD_SURFACES,
    MANAGEMENT_CLUSTER,
    MANAGEMENT_SURFACES,
    SYSTEM_NAME,
    SurfaceRule,
)
from proxy.routing.paths import is_dns_label, is_dns_subdomain
from proxy.routing.request_info import METHOD_VERBS
from proxy.routing.target import Verb

Problem: TypeAlias = tuple[str, str]
Problems: TypeAlias = Iterator[Problem]

_KEYS = ("version", "surfaces", "unbound", "grants")
_RIGHTS = ("r", "rw")
_RESOURCE = re.compile(r"\*?[a-z0-9][a-z0-9.-]*")
_PATH = re.compile(r"/|(?:/(?:<[a-z]+>|[A-Za-z0-9._-]+))+(?:/\*)?")
_NAME = re.compile(r"[!-;=?-~]+")


class _Matcher(NamedTuple):
    is_known: Callable[[str], bool]
    remedy: str
    takes_null: bool = False


@dataclass(frozen=True, slots=True)
class Permissions:
    """A permissions file without problems: `grants` maps a surface to role patterns and their right, `r` or `rw`."""

    surfaces: tuple[SurfaceRule, ...]
    unbound: frozenset[str]
    grants: Mapping[str, Mapping[str, str]]


class PermissionsError(Exception):
    """A permissions file that cannot be used; `problems` are pairs of a path in the file and a message with the remedy."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__(
            "\n".join(f"{source}: {path}: {message}" if path else f"{source}: {message}" for path, message in problems)
        )
        self.source = source
        self.problems = problems


def shipped_permissions_text() -> str:
    """Return the text of the table that is shipped: inside the installed package, or `config/permissions.yaml` of a checkout."""
    installed = files("proxy.policy") / "permissions.yaml"
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "config" / "permissions.yaml").read_text(encoding="utf-8")


def load_permissions(text: str, source: str) -> Permissions:
    """Read a permissions file; raises PermissionsError, in which `source` is how the file is called."""
    document = _parse(text, source)
    problems = list(_problems(document))
    if problems:
        raise PermissionsError(source, problems)
    return Permissions(
        tuple(_rule(entry) for entry in document["surfaces"]),
        frozenset(document.get("unbound", ())),
        {surface: dict(rights) for surface, rights in document["grants"].items()},
    )


def _parse(text: str, source: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise PermissionsError(source, [(line, _first_line(error.problem))]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise PermissionsError(source, [("", f"not YAML: {_first_line(str(error))}")]) from None


def _first_line(text: str | None) -> str:
    return (text or "not YAML").strip().partition("\n")[0]


def _problems(document: Any) -> Problems:
    if not isinstance(document, dict):
        yield "", f"not a mapping; it needs the keys {', '.join(_KEYS)}"
        return
    yield from _unknown_keys("", document, _KEYS)
    if type(document.get("version")) is not int or document["version"] != 1:
        yield "version", f"{_shown(document.get('version'))} is not known; use 1"
    yield from _surface_problems(document.get("surfaces"))
    unbound = document.get("unbound", [])
    yield from _unbound_problems(unbound)
    yield from _grant_problems(document.get("grants"), unbound if isinstance(unbound, list) else [])


def _unknown_keys(path: str, mapping: dict[Any, Any], known: tuple[str, ...]) -> Problems:
    for key in mapping:
        if key not in known:
            yield f"{path}{key}", f"unknown key; known are {', '.join(known)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bool() | int() | float():
            return str(value).lower()
        case _:
            return "a list" if isinstance(value, list) else "a mapping"


def _surface_problems(surfaces: Any) -> Problems:
    if not isinstance(surfaces, list) or not surfaces:
        yield "surfaces", "not a list of rules, each like {name: bare_metal, groups: [metal3.io]}"
        return
    for number, entry in enumerate(surfaces):
        path = f"surfaces[{number}]"
        if not isinstance(entry, dict):
            yield path, "not a rule, like {name: bare_metal, groups: [metal3.io]}"
            continue
        yield from _unknown_keys(f"{path}.", entry, ("name", *_MATCHERS, *_SWITCHES))
        yield from _name_problems(path, entry)
        for key in entry:
            if key in _MATCHERS:
                yield from _matcher_problems(f"{path}.{key}", entry[key], _MATCHERS[key])
            elif key in _SWITCHES:
                yield from _switch_problems(f"{path}.{key}", entry[key], _SWITCHES[key])
        if "paths" in entry and any(key in entry for key in _RESOURCE_MATCHERS):
            yield f"{path}.paths", f"never matches together with {', '.join(_RESOURCE_MATCHERS)}; use two rules"


def _name_problems(path: str, entry: dict[Any, Any]) -> Problems:
    name = entry.get("name")
    if name is None:
        yield path, "has no name; every rule names its surface"
    elif name not in MANAGEMENT_SURFACES:
        yield f"{path}.name", f"unknown surface {_shown(name)}; known are {', '.join(MANAGEMENT_SURFACES)}"


def _matcher_problems(path: str, values: Any, matcher: _Matcher) -> Problems:
    if not isinstance(values, list) or not values:
        yield path, f"{_shown(values)} is not a list of values; use {matcher.remedy}"
        return
    for number, value in enumerate(values):
        if not (matcher.is_known(value) if isinstance(value, str) else value is None and matcher.takes_null):
            yield f"{path}[{number}]", f"unknown value {_shown(value)}; use {matcher.remedy}"


def _switch_problems(path: str, value: Any, known: tuple[object, ...]) -> Problems:
    # `1` equals True in Python, and is not `true` in YAML.
    if not any(type(value) is type(choice) and value == choice for choice in known):
        yield path, f"{_shown(value)} is not known; use {' or '.join(str(choice).lower() for choice in known)}"


def _unbound_problems(unbound: Any) -> Problems:
    if not isinstance(unbound, list):
        yield "unbound", "not a list of surfaces"
        return
    for number, surface in enumerate(unbound):
        if surface not in MANAGEMENT_SURFACES:
            yield f"unbound[{number}]", f"unknown surface {_shown(surface)}; known are {', '.join(MANAGEMENT_SURFACES)}"


def _grant_problems(grants: Any, unbound: list[Any]) -> Problems:
    if not isinstance(grants, dict):
        yield "grants", "not a mapping of surfaces to roles and their rights"
        return
    known = (*MANAGEMENT_SURFACES, *CHILD_SURFACES)
    for surface, rights in grants.items():
        path = f"grants.{surface}"
        if surface not in known:
            yield path, f"unknown surface; known are {', '.join(known)}"
        if isinstance(rights, dict):
            yield from _right_problems(path, rights, is_bound=surface in MANAGEMENT_SURFACES and surface not in unbound)
        else:
            yield path, 'not a mapping of roles to rights, like {"m:kaas@reader": r}'
    if not grants.get(MANAGEMENT_CLUSTER):
        yield f"grants.{MANAGEMENT_CLUSTER}", 'granted to nobody; grant it at least to "m:kaas@management-admin"'


def _right_problems(path: str, rights: dict[Any, Any], *, is_bound: bool) -> Problems:
    for role, right in rights.items():
        if role not in ROLE_PATTERNS:
            yield path, f"unknown role {_shown(role)}; known are {', '.join(ROLE_PATTERNS)}"
        elif is_bound and "<cluster>" in role:
            yield path, f'role "{role}" acts inside its cluster only; grant it cluster_api, stacklight or an unbound surface'
        if right not in _RIGHTS:
            yield path, f"unknown right {_shown(right)}; use r or rw"


_MATCHERS: Mapping[str, _Matcher] = {
    "groups": _Matcher(lambda text: text == "" or is_dns_subdomain(text), 'API groups, "" for the core group'),
    "resources": _Matcher(lambda text: _RESOURCE.fullmatch(text) is not None, 'plural resource names, or "*suffix"'),
    "namespaces": _Matcher(is_dns_label, "namespaces, null for requests without one", takes_null=True),
    "names": _Matcher(
        lambda text: text in {SYSTEM_NAME, ANY_NAME} or _NAME.fullmatch(text) is not None,
        f'object names, "{ANY_NAME}", "{SYSTEM_NAME}", or null for requests without one',
        takes_null=True,
    ),
    "verbs": _Matcher(lambda text: text in get_args(Verb), f"verbs: {', '.join(get_args(Verb))}"),
    "methods": _Matcher(lambda text: text in METHOD_VERBS, f"methods: {', '.join(METHOD_VERBS)}"),
    "paths": _Matcher(
        lambda text: _PATH.fullmatch(text) is not None,
        'non-resource paths, "<word>" for one segment, "/*" at the end for anything below',
    ),
}
_SWITCHES: Mapping[str, tuple[object, ...]] = {"system_namespace": (True, False), "access": ("read", "write")}
_RESOURCE_MATCHERS = ("groups", "resources", "names", "system_namespace")


def _rule(entry: dict[str, Any]) -> SurfaceRule:
    lists: dict[str, Any] = {
        key: tuple(entry[key]) if key in {"resources", "paths"} else frozenset(entry[key]) for key in _MATCHERS if key in entry
    }
    return SurfaceRule(name=entry["name"], **lists, **{key: entry[key] for key in _SWITCHES if key in entry})

"""The role grammar `m:<app>[:<namespace>[:<cluster>]]@<name>`, and what one token carries of it.

Trusts nothing: a string that is not exactly one of the known roles grants nothing and is no error.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from proxy.routing.paths import DNS_LABEL, DNS_SUBDOMAIN

# Least privilege first: the order in which roles are looked at, and offered to someone who was refused.
ROLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "m:sl:<ns>:<cluster>": ("stacklight-admin", "admin"),
    "m:k8s:<ns>:<cluster>": ("cluster-admin",),
    "m:kaas:<ns>": ("user", "reader", "bm-pool-operator", "member", "operator", "writer"),
    "m:kaas": ("reader", "operator", "writer", "global-admin", "management-admin"),
}
ROLE_PATTERNS: tuple[str, ...] = tuple(f"{scope}@{name}" for scope, names in ROLE_NAMES.items() for name in names)

# policy: "Inclusions, computed by the proxy from whatever the token carries". Equal roles include each other.
_INCLUSIONS: Mapping[str, tuple[str, ...]] = {
    "m:kaas@writer": ("m:kaas:<ns>@writer",),
    "m:kaas@reader": ("m:kaas:<ns>@reader",),
    "m:kaas@operator": ("m:kaas:<ns>@bm-pool-operator",),
    "m:kaas:<ns>@writer": ("m:k8s:<ns>:<cluster>@cluster-admin",),
    "m:kaas:<ns>@operator": ("m:k8s:<ns>:<cluster>@cluster-admin",),
    "m:kaas:<ns>@member": ("m:k8s:<ns>:<cluster>@cluster-admin",),
    "m:kaas:<ns>@reader": ("m:kaas:<ns>@user",),
    "m:kaas:<ns>@user": ("m:kaas:<ns>@reader",),
    "m:k8s:<ns>:<cluster>@cluster-admin": ("m:sl:<ns>:<cluster>@stacklight-admin",),
    "m:sl:<ns>:<cluster>@stacklight-admin": ("m:sl:<ns>:<cluster>@admin",),
    "m:sl:<ns>:<cluster>@admin": ("m:sl:<ns>:<cluster>@stacklight-admin",),
}

_FORMS: Mapping[str, str] = {"<ns>": DNS_LABEL, "<cluster>": DNS_SUBDOMAIN}


def _expression(scope: str) -> str:
    names = "|".join(map(re.escape, ROLE_NAMES[scope]))
    text = scope
    for placeholder, form in _FORMS.items():
        text = text.replace(placeholder, form)
    return f"({text})@({names})"


_ROLE = re.compile("|".join(_expression(scope) for scope in ROLE_NAMES))
_SCOPES = tuple(ROLE_NAMES)
# A namespace has 63 characters at the most, a cluster 253.
_LONGEST_ROLE = 400
_RANK: Mapping[str, int] = {pattern: rank for rank, pattern in enumerate(ROLE_PATTERNS)}


@dataclass(frozen=True, slots=True)
class RoleSet:
    """The known roles of one token, indexed once, so that a decision is a few look-ups however many there are.

    `strings` are all known role strings and `kaas_strings` those of the management API, in the token's order without repetition.
    `by_scope` maps a scope (`m:kaas`, `m:kaas:a`, `m:k8s:a:prod`) to the role names held there, least privilege first.
    `examples` maps a role pattern (`m:kaas:<ns>@writer`) to the first role of that form, most specific scope first.
    """

    strings: tuple[str, ...]
    kaas_strings: tuple[str, ...]
    by_scope: Mapping[str, tuple[str, ...]] = field(compare=False, repr=False)
    examples: Mapping[str, str] = field(compare=False, repr=False)

    @classmethod
    def from_strings(cls, members: Iterable[object]) -> "RoleSet":
        """Build the set from the members of a claim; what is not a string, or not a known role, is left out."""
        known: dict[str, str] = {}
        held: dict[str, tuple[str, ...]] = {}
        for member in members:
            if not isinstance(member, str) or member in known or len(member) > _LONGEST_ROLE:
                continue
            found = _read(member)
            if found is None:
                continue
            form, scope, name = found
            known[member] = f"{form}@{name}"
            held[scope] = _in_order(form, (*held[scope], name)) if scope in held else (name,)
        return cls(tuple(known), tuple(role for role in known if role.startswith("m:kaas")), held, _first_of_each(known))


# The same few roles are in the tokens of all members of a project.
@lru_cache(maxsize=4096)
def _read(role: str) -> tuple[str, str, str] | None:
    """Return the form of a known role (`m:kaas:<ns>`), its scope (`m:kaas:a`) and its name."""
    found = _ROLE.fullmatch(role)
    if found is None or found.lastindex is None:
        return None
    scope, name = found.group(found.lastindex - 1, found.lastindex)
    return _SCOPES[found.lastindex // 2 - 1], scope, name


def _in_order(form: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=ROLE_NAMES[form].index))


def _first_of_each(known: Mapping[str, str]) -> dict[str, str]:
    first: dict[str, str] = {}
    for role, pattern in known.items():
        first.setdefault(pattern, role)
    return dict(sorted(first.items(), key=lambda entry: _RANK[entry[0]]))


def included_roles(pattern: str) -> Mapping[str, tuple[str, ...]]:
    """Map every role pattern that `pattern` includes to the chain that leads to it (ending with itself), nearest first."""
    chains: dict[str, tuple[str, ...]] = {}
    ends: list[tuple[str, tuple[str, ...]]] = [(pattern, ())]
    for end, chain in ends:
        for role in _INCLUSIONS.get(end, ()):
            if role != pattern and role not in chains:
                chains[role] = (*chain, role)
                ends.append((role, chains[role]))
    return chains


def role_strings(claim: object) -> tuple[str, ...]:
    """Return the strings of a role claim: none when it is missing, one for a single string (never split), else its string members."""
    match claim:
        case str():
            return (claim,)
        case list() | tuple():
            return tuple(member for member in claim if isinstance(member, str))
        case _:
            return ()

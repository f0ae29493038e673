"""What a kubeconfig holds of us, and how it is brought up to date: everything that is not ours stays as it is.

An entry is ours when its name begins with `mosk-<entry host>` and its cluster's `server` is under the entry's URL: the URL says which
target it is for, so that a name once given stays. Users may add to our entries (a namespace, say); only what we know is set.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString

from proxy.client.entry import Entry
from proxy.client.errors import ClientError
from proxy.routing.target import ClusterRef

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_SECTIONS: Final = ("clusters", "contexts", "users")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a kubeconfig shall hold of one entry.

    `targets` are clusters, and None for the management API; `namespace` is where the context of the latter begins when it is new.
    `authority` is PEM in base64.
    """

    entry: Entry
    targets: Sequence[ClusterRef | None]
    exec_plugin: Mapping[str, Any]
    authority: str | None
    namespace: str | None = None


def new_document() -> CommentedMap:
    """Return a kubeconfig without anything in it."""
    return CommentedMap({"apiVersion": "v1", "kind": "Config"})


def is_null(value: object) -> bool:
    """Whether a value, read as text, says that there is none."""
    return value is None or (isinstance(value, str) and not isinstance(value, ScalarString) and value in _NULLS)


def update(document: CommentedMap, wanted: Wanted) -> tuple[str, ...]:
    """Put the wanted contexts into a document, and return their names; raises ClientError when it is no kubeconfig."""
    sections = _sections(document)
    user = _user_name(wanted.entry)
    names = tuple(_put(sections, wanted, user, target) for target in wanted.targets)
    if names:
        plugin = _inner(_item(sections["users"], user, "user"), "exec")
        _set(plugin, {name: _as_text(value) for name, value in wanted.exec_plugin.items()})
        if is_null(document.get("current-context")) or document["current-context"] == "":
            document["current-context"] = names[0]
    return names


def prune(document: CommentedMap, entry: Entry, kept: Iterable[ClusterRef | None]) -> tuple[str, ...]:
    """Remove our clusters of an entry that are not in `kept`, with their contexts, whose names it returns."""
    sections, keep = _sections(document), set(kept)
    clusters = {name for name, target in _ours(sections["clusters"], entry).items() if target not in keep}
    gone = tuple(str(item["name"]) for item in sections["contexts"] if _named(item, "context", "cluster") in clusters)
    _remove(sections["contexts"], gone)
    _remove(sections["clusters"], clusters)
    if document.get("current-context") in gone:
        document["current-context"] = DoubleQuotedScalarString("")
    return gone


def present_targets(document: CommentedMap, entry: Entry) -> frozenset[ClusterRef | None]:
    """Return the targets for which a document has a cluster of ours."""
    return frozenset(_ours(_section(document, "clusters"), entry).values())


def _put(sections: Mapping[str, CommentedSeq], wanted: Wanted, user: str, target: ClusterRef | None) -> str:
    name = _name(sections, wanted.entry, target)
    settings: dict[str, Any] = {"server": _server(wanted.entry, target)}
    if wanted.authority is not None:
        settings["certificate-authority-data"] = wanted.authority
    _set(_item(sections["clusters"], name, "cluster"), settings)
    return _put_context(sections["contexts"], wanted, {"cluster": name, "user": user}, target)


def _put_context(contexts: CommentedSeq, wanted: Wanted, settings: Mapping[str, str], target: ClusterRef | None) -> str:
    cluster = settings["cluster"]
    # One that was renamed is the same context still.
    name = next((str(item["name"]) for item in contexts if _named(item, "context", "cluster") == cluster), cluster)
    context = _item(contexts, name, "context")
    if not context and target is None and wanted.namespace is not None:
        # Quoted: a namespace called `on` or `123` is legal, and no text to kubectl's reader (YAML 1.1).
        context["namespace"] = DoubleQuotedScalarString(wanted.namespace)
    _set(context, settings)
    return name


def _user_name(entry: Entry) -> str:
    return f"mosk-{entry.label}"


def _server(entry: Entry, target: ClusterRef | None) -> str:
    return f"{entry.url}/kaas" if target is None else f"{entry.url}/k8s/{target}"


def _name(sections: Mapping[str, CommentedSeq], entry: Entry, target: ClusterRef | None) -> str:
    """Return the name under which a target already is, else a new one.

    `a-b` of project `c` and `b` of project `c-a` would be called the same, and kubectl sent to the wrong cluster: the second gets a
    suffix of its own.
    """
    known = [name for name, other in _ours(sections["clusters"], entry).items() if other == target]
    if known:
        return known[0]
    plain = f"{_user_name(entry)}-{'kaas' if target is None else f'{target.namespace}-{target.name}'}"
    if all(_find(sections[section], plain) is None for section in ("clusters", "contexts")):
        return plain
    return f"{plain}-{hashlib.sha256(str(target).encode()).hexdigest()[:6]}"


def _ours(clusters: CommentedSeq, entry: Entry) -> dict[str, ClusterRef | None]:
    ours: dict[str, ClusterRef | None] = {}
    for item in clusters:
        server = _named(item, "cluster", "server")
        if not item["name"].startswith(f"{_user_name(entry)}-"):
            continue
        if server == _server(entry, None):
            ours[str(item["name"])] = None
        elif (place := server.removeprefix(f"{entry.url}/k8s/")) != server and place.count("/") == 1:
            ours[str(item["name"])] = ClusterRef(*place.split("/"))
    return ours


def _named(item: CommentedMap, key: str, name: str) -> str:
    """Return a text two levels down, empty where there is none."""
    settings = item.get(key)
    value = settings.get(name) if isinstance(settings, CommentedMap) else None
    return value if isinstance(value, str) else ""


def _sections(document: CommentedMap) -> dict[str, CommentedSeq]:
    return {name: _section(document, name) for name in _SECTIONS}


def _section(document: CommentedMap, name: str) -> CommentedSeq:
    section = document.get(name)
    if is_null(section):
        section = document[name] = CommentedSeq()
    if not isinstance(section, CommentedSeq):
        raise ClientError(f"is not a kubeconfig: {name} is not a list")
    for number, item in enumerate(section):
        if not isinstance(item, CommentedMap) or not isinstance(item.get("name"), str):
            raise ClientError(f"is not a kubeconfig: {name}[{number}] has no name")
    return section


def _find(section: CommentedSeq, name: str) -> CommentedMap | None:
    return next((item for item in section if item["name"] == name), None)


def _item(section: CommentedSeq, name: str, key: str) -> CommentedMap:
    """Return what an item of a section holds under its key; a new and empty one if need be."""
    item = _find(section, name)
    if item is None:
        if not section:
            section.fa.set_block_style()
        item = CommentedMap({"name": name})
        section.append(item)
    return _inner(item, key)


def _inner(settings: CommentedMap, key: str) -> CommentedMap:
    inner = settings.get(key)
    if not isinstance(inner, CommentedMap):
        inner = settings[key] = CommentedMap()
    return inner


def _set(settings: CommentedMap, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if settings.get(name) != value:
            settings[name] = value


def _remove(section: CommentedSeq, names: Collection[str]) -> None:
    for index in reversed([index for index, item in enumerate(section) if item["name"] in names]):
        del section[index]


def _as_text(value: Any) -> Any:
    match value:
        case list():
            return CommentedSeq(value)
        case bool():
            return str(value).lower()
        case _:
            return value

"""What a kubeconfig holds of us, and how it is brought up to date: everything that is not ours stays as it is.

An entry is ours when its name begins with `mosk-<entry host>` and its cluster's `server` is under the entry's URL: the URL says which
target it is for, so that a name once given stays. Users may add to our entries (a namespace, say); only what we know is set.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString

from proxy.client.entry import Entry
from proxy.client.errors import ClientError
from proxy.routing.target import ClusterRef

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


class _Foreign(Enum):
    """The target of a cluster that is not ours."""

    FOREIGN = "foreign"


_FOREIGN: Final = _Foreign.FOREIGN


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
    kubeconfig = _Kubeconfig(document, wanted.entry)
    names = tuple(kubeconfig.put(target, wanted) for target in wanted.targets)
    if names:
        plugin = _inner(kubeconfig.users.settings(kubeconfig.user), "exec")
        _set(plugin, {name: _as_text(value) for name, value in wanted.exec_plugin.items()})
        if is_null(document.get("current-context")) or document["current-context"] == "":
            document["current-context"] = names[0]
    return names


def prune(document: CommentedMap, entry: Entry, kept: Iterable[ClusterRef | None]) -> tuple[str, ...]:
    """Remove our contexts of an entry for targets that are not in `kept`, and clusters that no context uses then; returns the names."""
    kubeconfig, keep = _Kubeconfig(document, entry), set(kept)
    clusters = {name for target, name in kubeconfig.names.items() if target not in keep}
    gone = tuple(name for cluster, name in kubeconfig.contexts_of_clusters.items() if cluster in clusters)
    kubeconfig.contexts.remove(gone)
    kubeconfig.clusters.remove(clusters - {_named(item, "context", "cluster") for item in kubeconfig.contexts.items})
    if document.get("current-context") in gone:
        document["current-context"] = DoubleQuotedScalarString("")
    return gone


def present_targets(document: CommentedMap, entry: Entry) -> frozenset[ClusterRef | None]:
    """Return the targets for which a document has a cluster of ours."""
    return frozenset(_Kubeconfig(document, entry).names)


class _Kubeconfig:
    """A document with what is of one entry in it.

    `names` are those of our clusters by target, `contexts_of_clusters` those of our user's contexts by the name of their cluster.
    """

    def __init__(self, document: CommentedMap, entry: Entry) -> None:
        self.clusters = _Section(document, "clusters", "cluster")
        self.contexts = _Section(document, "contexts", "context")
        self.users = _Section(document, "users", "user")
        self.user = f"mosk-{entry.label}"
        self._url = entry.url
        self.names: dict[ClusterRef | None, str] = {}
        for item in self.clusters.items:
            target = self._target(_named(item, "cluster", "server"))
            if target is not _FOREIGN and item["name"].startswith(f"{self.user}-"):
                self.names.setdefault(target, str(item["name"]))
        self.contexts_of_clusters = {
            _named(item, "context", "cluster"): str(item["name"])
            for item in self.contexts.items
            if _named(item, "context", "user") == self.user
        }

    def put(self, target: ClusterRef | None, wanted: Wanted) -> str:
        """Put a cluster and a context for a target, or bring them up to date; returns the context's name."""
        cluster = self.names.setdefault(target, self._new_name(target))
        settings = {"server": f"{self._url}/kaas" if target is None else f"{self._url}/k8s/{target}"}
        if wanted.authority is not None:
            settings["certificate-authority-data"] = wanted.authority
        _set(self.clusters.settings(cluster), settings)
        # One that was renamed is the same context still.
        name = self.contexts_of_clusters.setdefault(cluster, cluster)
        context = self.contexts.settings(name)
        if not context and target is None and wanted.namespace is not None:
            # Quoted: a namespace called `on` or `123` is legal, and no text to kubectl's reader (YAML 1.1).
            context["namespace"] = DoubleQuotedScalarString(wanted.namespace)
        _set(context, {"cluster": cluster, "user": self.user})
        return name

    def _target(self, server: str) -> "ClusterRef | _Foreign | None":
        if server == f"{self._url}/kaas":
            return None
        place = server.removeprefix(f"{self._url}/k8s/")
        return ClusterRef(*place.split("/")) if place != server and place.count("/") == 1 else _FOREIGN

    def _new_name(self, target: ClusterRef | None) -> str:
        """Return a name that nothing has yet.

        Cluster `b-c` of project `a` and cluster `c` of project `a-b` would be called the same, and kubectl sent to the wrong one: the
        second gets a suffix of its own.
        """
        plain = f"{self.user}-{'kaas' if target is None else f'{target.namespace}-{target.name}'}"
        if plain not in self.clusters and plain not in self.contexts:
            return plain
        return f"{plain}-{hashlib.sha256(str(target).encode()).hexdigest()[:6]}"


class _Section:
    """A list of items with names; of two that have the same the first counts."""

    def __init__(self, document: CommentedMap, section: str, key: str) -> None:
        self.items, self._key = _items(document, section), key
        self._by_name = {str(item["name"]): item for item in reversed(self.items)}

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def settings(self, name: str) -> CommentedMap:
        """Return what an item holds, to be changed in place; a new and empty one if need be."""
        if name not in self._by_name:
            if not self.items:
                self.items.fa.set_block_style()
            self._by_name[name] = CommentedMap({"name": name})
            self.items.append(self._by_name[name])
        return _inner(self._by_name[name], self._key)

    def remove(self, names: Collection[str]) -> None:
        """Remove the items of these names."""
        for index in reversed([index for index, item in enumerate(self.items) if item["name"] in names]):
            del self.items[index]


def _items(document: CommentedMap, name: str) -> CommentedSeq:
    items = document.get(name)
    if is_null(items):
        items = document[name] = CommentedSeq()
    if not isinstance(items, CommentedSeq):
        raise ClientError(f"is not a kubeconfig: {name} is not a list")
    for number, item in enumerate(items):
        if not isinstance(item, CommentedMap) or not isinstance(item.get("name"), str):
            raise ClientError(f"is not a kubeconfig: {name}[{number}] has no name")
    return items


def _named(item: CommentedMap, key: str, name: str) -> str:
    """Return a text two levels down, empty where there is none."""
    settings = item.get(key)
    value = settings.get(name) if isinstance(settings, CommentedMap) else None
    return value if isinstance(value, str) else ""


def _inner(settings: CommentedMap, key: str) -> CommentedMap:
    inner = settings.get(key)
    if not isinstance(inner, CommentedMap):
        inner = settings[key] = CommentedMap()
    return inner


def _set(settings: CommentedMap, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if settings.get(name) != value:
            settings[name] = value


def _as_text(value: Any) -> Any:
    match value:
        case list():
            return CommentedSeq(value)
        case bool():
            return str(value).lower()
        case _:
            return value

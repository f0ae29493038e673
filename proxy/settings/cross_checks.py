"""What needs two blocks to be told, and what this release lacks.

Works on the plain values of the file, so that it also runs when some block is broken: whatever is not of the expected shape is
skipped here, because the schema reports it.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from proxy.directory.build import parse_server_url
from proxy.policy.permissions import PermissionsError
from proxy.settings.files import read_permissions
from proxy.settings.problems import Problem
from proxy.settings.scalars import is_exposed
from proxy.settings.store_url import parse_store_url

DEFAULT_STORE = "sqlite:///var/lib/mosk-proxy/sessions.db"

# Each key with the values that ask for nothing; an absent or null one never does.
_NOT_IN_THIS_RELEASE: Mapping[str, frozenset[str]] = {
    "tracing.otlp_endpoint": frozenset(),
}


def cross_problems(document: Mapping[object, object], folder: Path) -> Iterator[Problem]:
    """Yield what is wrong between blocks, and within the permissions file, whose relative path starts at `folder`."""
    for check in _CHECKS:
        yield from check(document)
    yield from _permission_problems(document, folder)


def _not_in_this_release(document: Mapping[object, object]) -> Iterator[Problem]:
    for path, harmless in _NOT_IN_THIS_RELEASE.items():
        value = _look_up(document, path)
        if value is not None and str(value).lower() not in harmless:
            yield Problem(path, "is not available in this release: leave it out")


def _discovery_has_a_source(document: Mapping[object, object]) -> Iterator[Problem]:
    # What YAML leaves a text may come from the environment.
    enabled = str(_look_up(document, "discovery.enabled")).lower() in {"true", "yes", "on", "1", "y", "t"}
    if enabled and document.get("management") is None:
        yield Problem("management", "missing: discovery reads Cluster objects from it")


def _duplicate_issuers(document: Mapping[object, object]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for path, issuer in _blocks(document, "issuers"):
        name = issuer.get("issuer")
        if isinstance(name, str):
            first = seen.setdefault(name, path)
            if first != path:
                yield Problem(f"{path}.issuer", f"the same issuer as {first}")


def _duplicate_clusters(document: Mapping[object, object]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for path, cluster in _blocks(document, "clusters"):
        match cluster:
            case {"namespace": str(namespace), "name": str(name)}:
                first = seen.setdefault((namespace, name), path)
                if first != path:
                    yield Problem(f"{path}.name", f"cluster {namespace}/{name} is already declared by {first}")
            case _:
                continue


def _hosts_under_ui_domain(document: Mapping[object, object]) -> Iterator[Problem]:
    domain = document.get("ui_domain")
    if not isinstance(domain, str) or not domain:
        return
    for path, host in _own_hosts(document):
        if host == domain or host.endswith("." + domain):
            yield Problem("ui_domain", f"{path} lies in it: applications need a domain of their own")


def _listeners_apart(document: Mapping[object, object]) -> Iterator[Problem]:
    public = (str(_look_up(document, "listen.address") or "0.0.0.0"), str(_look_up(document, "listen.port") or "8443"))  # noqa: S104
    admin = (str(_look_up(document, "admin.address") or "127.0.0.1"), str(_look_up(document, "admin.port") or "9090"))
    addresses = {public[0], admin[0]}
    overlap = len(addresses) == 1 or addresses & {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    if overlap and public[1] == admin[1] != "0":
        yield Problem("admin.port", "the same as listen.port: the two listeners need ports of their own")


def _sign_in_issuer(document: Mapping[object, object]) -> Iterator[Problem]:
    name = _look_up(document, "sign_in.issuer")
    if isinstance(name, str) and name not in {issuer.get("issuer") for _, issuer in _blocks(document, "issuers")}:
        yield Problem("sign_in.issuer", "is none of issuers: its tokens would not be believed")


def _sign_in_over_tls(document: Mapping[object, object]) -> Iterator[Problem]:
    if not isinstance(document.get("sign_in"), Mapping):
        return
    if str(document.get("public_url")).lower().startswith("http://"):
        yield Problem("public_url", "must begin with https://, because of sign_in: browsers keep its cookies over TLS alone")
    name = _look_up(document, "sign_in.issuer")
    if isinstance(name, str) and is_exposed(name):
        yield Problem("sign_in.issuer", "must begin with https://: codes and secrets travel to it")


def _session_store(document: Mapping[object, object]) -> Iterator[Problem]:
    """Only what is used is checked: the default names a folder that need not be there without `sign_in`."""
    if not isinstance(document.get("sign_in"), Mapping) or not isinstance(document.get("sessions") or {}, Mapping):
        return
    with contextlib.suppress(ValueError):
        store = parse_store_url(str(_look_up(document, "sessions.store") or DEFAULT_STORE))
        yield from _session_file(document, store) if isinstance(store, Path) else _session_server(document)


def _session_file(document: Mapping[object, object], file: Path) -> Iterator[Problem]:
    if not file.parent.is_dir():
        yield Problem("sessions.store", f"folder {file.parent} not found: make it, for the proxy's user alone")
    for key in ("password_file", "ca_file"):
        if _look_up(document, f"sessions.{key}") is not None:
            yield Problem(f"sessions.{key}", "is for a Redis server, and sessions.store names a file: leave it out")


def _session_server(document: Mapping[object, object]) -> Iterator[Problem]:
    if _look_up(document, "sessions.key_file") is None:
        yield Problem("sessions.key_file", "missing: replicas that share a Redis server need one file with the same keys")


def _issuers_over_tls(document: Mapping[object, object]) -> Iterator[Problem]:
    for path, issuer in _blocks(document, "issuers"):
        name = issuer.get("issuer")
        if isinstance(name, str) and issuer.get("jwks_file") is None and is_exposed(name):
            yield Problem(
                f"{path}.issuer", "must begin with https://, or jwks_file is needed: whoever is on the way could swap its keys"
            )


def _upstreams_elsewhere(document: Mapping[object, object]) -> Iterator[Problem]:
    public = _authority(document.get("public_url"))
    for path, url in _upstream_urls(document):
        if public is not None and _authority(url) == public:
            yield Problem(path, "is this proxy itself: requests would go round in a circle")


_CHECKS: tuple[Callable[[Mapping[object, object]], Iterator[Problem]], ...] = (
    _not_in_this_release,
    _discovery_has_a_source,
    _duplicate_issuers,
    _issuers_over_tls,
    _duplicate_clusters,
    _hosts_under_ui_domain,
    _listeners_apart,
    _sign_in_issuer,
    _sign_in_over_tls,
    _session_store,
    _upstreams_elsewhere,
)


def _permission_problems(document: Mapping[object, object], folder: Path) -> Iterator[Problem]:
    key = "policy.permissions_file"
    name = _look_up(document, key)
    if not isinstance(name, str):
        return
    try:
        read_permissions(folder / name)
    except ValueError as error:
        yield Problem(key, str(error))
    except PermissionsError as error:
        for path, message in error.problems:
            yield Problem(key, f"{name}: {path}: {message}" if path else f"{name}: {message}")


def _authority(url: object) -> tuple[str, int] | None:
    with contextlib.suppress(ValueError):
        parts = parse_server_url(url if isinstance(url, str) else "")
        return parts.host, parts.port
    return None


def _upstream_urls(document: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    yield "management.url", _look_up(document, "management.url")
    for path, cluster in _blocks(document, "clusters"):
        yield f"{path}.api.url", _look_up(cluster, "api.url")
        applications = cluster.get("stacklight")
        for name in applications if isinstance(applications, Mapping) else ():
            yield f"{path}.stacklight.{name}.url", _look_up(applications, f"{name}.url")


def _own_hosts(document: Mapping[object, object]) -> Iterator[tuple[str, str]]:
    public = _authority(document.get("public_url"))
    if public is not None:
        yield "public_url", public[0]
    hosts = document.get("hosts")
    for index, host in enumerate(hosts if isinstance(hosts, list) else ()):
        yield f"hosts[{index}]", str(host)


def _blocks(document: Mapping[object, object], key: str) -> Iterator[tuple[str, Mapping[object, object]]]:
    items = document.get(key)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            yield f"{key}[{index}]", item


def _look_up(value: object, path: str) -> object:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value

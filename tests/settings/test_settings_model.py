import json

import pytest
from pydantic import ValidationError

from proxy.settings.model import AdminSettings

BASE = """
public_url: https://entry.example
issuers: [{issuer: "https://keycloak.example"%s}]
"""
RSA_KEY = {"kty": "RSA", "kid": "a", "e": "AQAB", "n": "w" + "A" * 341}


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        AdminSettings().port = 1


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("listen: {tls: {}}", ["listen.tls.certificate_file: missing", "listen.tls.key_file: missing"]),
        ("listen: {tls: {certificate_file: tls.crt, key_file: other.key}}", ["listen.tls.key_file: is not the key of tls.crt"]),
        ("listen: {tls: {certificate_file: absent, key_file: other.key}}", ["listen.tls.certificate_file: not found"]),
        ("listen: {address: localhost, port: 70000}", [
            "listen.address: not an IP address such as 127.0.0.1, 0.0.0.0 or ::",
            "listen.port: must be less than or equal to 65535",
        ]),
        ("workers: 0", ["workers: must be greater than or equal to 1"]),
        ("hosts: [Entry.example]", ["hosts[0]: not a host name: lower case, without scheme, port, path and trailing dot"]),
        ("hosts: entry.example", ["hosts: must be a list"]),
        ("trusted_proxies: [10.0.0.1/8]", ["trusted_proxies[0]: not a network such as 10.0.0.0/8 (10.0.0.1/8 has host bits set)"]),
        ("public_ca_file: absent", ["public_ca_file: not found"]),
        ("limits: {header_bytes: 0, headers: many, bodybytes: 1}", [
            "limits.header_bytes: must be greater than or equal to 1",
            "limits.headers: must be a whole number",
            "limits.bodybytes: unknown key: did you mean body_bytes?",
        ]),
        ("timeouts: {connect_seconds: 0, stream_follows_token: sometimes, idle_seconds: .inf}", [
            "timeouts.idle_seconds: must be a finite number",
            "timeouts.connect_seconds: must be greater than 0",
            "timeouts.stream_follows_token: must be true or false",
        ]),
        ("audit: {path: absent/audit.log, when_full: block}", [
            "audit.path: folder {folder}/absent not found",
            "audit.when_full: must be one of 'drop' or 'refuse'",
        ]),
        ("policy: {system_namespaces: [Kaas]}", [
            "policy.system_namespaces[0]: not a namespace: lower-case letters, digits and inner hyphens, at most 63",
        ]),
        ("forward_auth: {url_header: X_Url}", ["forward_auth.url_header: not a header name: letters, digits and hyphens"]),
        ("sessions: {store: 'memory://'}", [
            "sessions.store: must have the form sqlite:///path/to/sessions.db, redis://host:port/0 or rediss://host:port/0",
        ]),
        ("tracing: {otlp_endpoint: 'collector:4317'}", [
            "tracing.otlp_endpoint: must begin with https:// or http://",
            "tracing.otlp_endpoint: is not available in this release: leave it out",
        ]),
        ("sessions: {store: 'redis://:secret@cache.example'}", ["sessions.store: must not hold a password: give sessions.password_file"]),
        ("sessions: {key_file: absent}", ["sessions.key_file: not found"]),
        ("sessions: {key_file: proxy.token}", ["sessions.key_file: line 1 is not base64 of 32 bytes"]),
        ("sessions: {key_file: ca.crt}", ["sessions.key_file: others than its owner and group may use it: chmod 600 {folder}/ca.crt"]),
        ("sign_in: {issuer: 'https://keycloak.example', client_id: mosk-proxy, scopes: [profile]}\nsessions: {store: 'sqlite:///x'}", [
            "sign_in.scopes: must contain openid",
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_block(problems, folder, block, expected):
    (folder / "proxy.token").chmod(0o600)
    (folder / "ca.crt").chmod(0o644)
    assert problems(BASE % "" + block) == [line.replace("{folder}", str(folder)) for line in expected]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (", audiences: []", ["issuers[0].audiences: must name at least one"]),
        (", audiences: kaas", ["issuers[0].audiences: must be a list"]),
        (", algorithms: []", ["issuers[0].algorithms: must name at least one"]),
        (", username_claim: ''", ["issuers[0].username_claim: must be visible ASCII and not empty"]),
        (", username_prefix: 'system:'", [
            "issuers[0].username_prefix: must not begin like system:, which Kubernetes keeps for itself",
        ]),
        (", leeway_seconds: -1", ["issuers[0].leeway_seconds: must be greater than or equal to 0"]),
        (", max_lifetime_hours: 0", ["issuers[0].max_lifetime_hours: must be greater than 0"]),
        (", required_claims: {acr: null}", ["issuers[0].required_claims.acr: must be a value that JSON has, and not null"]),
        (", jwks_file: absent", ["issuers[0].jwks_file: not found"]),
        (", jwks_file: ca.crt", ["issuers[0].jwks_file: is no key set: not a JSON object"]),
        (", jwks_file: empty.json", ["issuers[0].jwks_file: is no key set: no usable key"]),
        (", algorithms: [ES256], jwks_file: rsa.json", [
            "issuers[0].jwks_file: is no key set: no usable key; kid 'a': alg None is not accepted for it",
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_issuer(problems, folder, keys, expected):
    (folder / "empty.json").write_text('{"keys": []}')
    (folder / "rsa.json").write_text(json.dumps({"keys": [RSA_KEY]}))
    assert problems(BASE % keys) == expected


def test_keys_from_a_file_are_read_for_the_algorithms_of_their_issuer(read, folder):
    (folder / "rsa.json").write_text(json.dumps({"keys": [RSA_KEY]}))
    assert read(BASE % ", jwks_file: rsa.json").issuers[0].jwks_file == folder / "rsa.json"


def test_without_an_issuer_nobody_could_be_let_in(problems):
    assert problems("public_url: https://entry.example") == ["issuers: missing"]
    assert problems("public_url: https://entry.example\nissuers: []") == ["issuers: must name at least one"]

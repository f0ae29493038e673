from base64 import b64encode

import pytest

from proxy.policy.permissions import shipped_permissions_text

ISSUERS = "issuers: [{issuer: 'https://keycloak.example'}]\n"
BASE = "public_url: https://entry.example\n" + ISSUERS


SIGN_IN = """
sign_in: {issuer: 'https://keycloak.example', client_id: mosk-proxy}
sessions: {store: 'sqlite:///sessions.db'}
"""
SERVER = "sessions: {store: 'rediss://cache.example', %s}"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (SIGN_IN.replace("keycloak", "other"), [
            "sign_in.issuer: is none of issuers: its tokens would not be believed",
        ]),
        ("discovery: {enabled: true, credential: {kind: token, token_file: proxy.token}, cluster_credential: {kind: none}}", [
            "management: missing: discovery reads Cluster objects from it",
        ]),
        ("discovery: {enabled: 'yes', credential: {kind: token, token_file: proxy.token}, cluster_credential: {kind: none}}", [
            "management: missing: discovery reads Cluster objects from it",
        ]),
        ("tracing: {otlp_endpoint: 'https://collector:4317'}", ["tracing.otlp_endpoint: is not available in this release: leave it out"]),
        ("ui_domain: entry.example", ["ui_domain: public_url lies in it: applications need a domain of their own"]),
        ("ui_domain: example", ["ui_domain: public_url lies in it: applications need a domain of their own"]),
        ("ui_domain: ui.example\nhosts: [a.example, door.ui.example]", [
            "ui_domain: hosts[1] lies in it: applications need a domain of their own",
        ]),
        ("listen: {port: 9090}", ["admin.port: the same as listen.port: the two listeners need ports of their own"]),
        ("listen: {address: 127.0.0.1}\nadmin: {port: 8443}", [
            "admin.port: the same as listen.port: the two listeners need ports of their own",
        ]),
        ("management: {url: 'https://entry.example:443/x'}", ["management.url: is this proxy itself: requests would go round in a circle"]),
        ("clusters: [{namespace: a, name: b, api: {url: 'https://entry.example', credential: {kind: none}}}]", [
            "clusters[0].api.url: is this proxy itself: requests would go round in a circle",
        ]),
        ("clusters: [{namespace: a, name: b, stacklight: {grafana: {url: 'https://entry.example'}}}]", [
            "clusters[0].stacklight.grafana.url: is this proxy itself: requests would go round in a circle",
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_between_blocks(problems, block, expected):
    assert problems(BASE + block) == expected


@pytest.mark.parametrize(
    "block",
    [
        "workers: 1",
        "workers: '2'",
        "sign_in: null",
        "discovery: {enabled: false}",
        "discovery: {enabled: no}",
        "tracing: {otlp_endpoint: null}",
        "ui_domain: ui.entry.example",
        "ui_domain: ry.example",
        "listen: {port: 0}\nadmin: {port: 0}",
        "listen: {address: 127.0.0.2, port: 9090}",
        "management: {url: 'https://entry.example:6443'}",
    ],
)
def test_what_is_not_wrong(read, block):
    assert read(BASE + block)


@pytest.mark.parametrize(
    ("issuers", "expected"),
    [
        ("{issuer: 'https://a'}, {issuer: 'https://b'}, {issuer: 'https://a'}", ["issuers[2].issuer: the same issuer as issuers[0]"]),
        ("{issuer: 'http://keycloak.example'}", [
            "issuers[0].issuer: must begin with https://, or jwks_file is needed: whoever is on the way could swap its keys",
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_issuers(problems, issuers, expected):
    assert problems(f"public_url: https://entry.example\nissuers: [{issuers}]") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE + SIGN_IN, []),
        (BASE.replace("https://entry", "http://entry") + SIGN_IN, [
            "public_url: must begin with https://, because of sign_in: browsers keep its cookies over TLS alone",
        ]),
        ((BASE + SIGN_IN).replace("https://keycloak.example", "http://127.0.0.1"), []),
        ((BASE + SIGN_IN).replace("https://keycloak", "http://keycloak"), [
            "issuers[0].issuer: must begin with https://, or jwks_file is needed: whoever is on the way could swap its keys",
            "sign_in.issuer: must begin with https://: codes and secrets travel to it",
        ]),
        (BASE + SIGN_IN.replace("/sessions.db", "/no-such-folder/sessions.db"), [
            "sessions.store: folder /no-such-folder not found: make it, for the proxy's user alone",
        ]),
        (BASE + SIGN_IN.replace("sessions.db'", "sessions.db', password_file: proxy.token, ca_file: ca.crt"), [
            "sessions.password_file: is for a Redis server, and sessions.store names a file: leave it out",
            "sessions.ca_file: is for a Redis server, and sessions.store names a file: leave it out",
        ]),
        (BASE + SIGN_IN.partition("sessions")[0] + SERVER % "ca_file: ca.crt, password_file: proxy.token", [
            "sessions.key_file: missing: replicas that share a Redis server need one file with the same keys",
        ]),
        (BASE + SIGN_IN.partition("sessions")[0] + SERVER % "key_file: sessions.key", []),
        (BASE + SIGN_IN.replace("'sqlite:///sessions.db'", "1"), ["sessions.store: must be a text"]),
        (BASE + SIGN_IN.partition("sessions")[0] + "sessions: a", [
            "sessions: must be a mapping",
        ]),
    ],
)  # fmt: skip
def test_what_signing_in_needs(problems, read, folder, text, expected):
    key_file = folder / "sessions.key"
    key_file.write_bytes(b64encode(bytes(32)))
    key_file.chmod(0o600)
    if expected:
        assert problems(text) == expected
    else:
        assert read(text).sign_in is not None


def test_without_sign_in_nothing_is_said_of_what_it_would_need(read):
    assert read(BASE + SERVER % "key_file: null").sign_in is None


def test_an_issuer_on_loopback_may_be_asked_over_plain_http(read):
    assert read("public_url: https://entry.example\nissuers: [{issuer: 'http://127.0.0.1:8080/realms/iam'}]").issuers


def test_clusters_are_told_apart_by_project_and_name(read, problems):
    item = "{namespace: %s, name: %s, api: {url: 'https://10.0.1.10', credential: {kind: none}}}"
    apart = ", ".join((item % ("a", "x"), item % ("b", "x"), item % ("a", "y")))
    assert len(read(BASE + f"clusters: [{apart}]").clusters) == 3
    assert problems(BASE + f"clusters: [{apart}, {item % ('b', 'x')}]") == [
        "clusters[3].name: cluster b/x is already declared by clusters[1]"
    ]


def test_the_second_pass_skips_what_the_first_reports(problems):
    assert problems("""
        public_url: [1]
        ui_domain: 1
        hosts: a
        listen: b
        issuers: [1, {issuer: 2}, null]
        clusters: [1, {stacklight: 1}, {namespace: 1, name: 2, stacklight: [a]}]
        management: 1
        policy: {permissions_file: 1}
        discovery: 1
    """) == [
        "public_url: must be a text",
        "hosts: must be a list",
        "listen: must be a mapping",
        "ui_domain: must be a text",
        "issuers[0]: must be a mapping",
        "issuers[1].issuer: must be a text",
        "issuers[2]: must be a mapping",
        "management: must be a mapping",
        "discovery: must be a mapping",
        "clusters[0]: must be a mapping",
        "clusters[1].namespace: missing",
        "clusters[1].name: missing",
        "clusters[1].stacklight: must be a mapping",
        "clusters[2].namespace: must be a text",
        "clusters[2].name: must be a text",
        "clusters[2].stacklight: must be a mapping",
        "policy.permissions_file: must be a file's path",
    ]


def test_the_permission_table_is_checked_with_all_its_problems(read, problems, folder):
    (folder / "table.yaml").write_text(shipped_permissions_text())
    assert read(BASE + "policy: {permissions_file: table.yaml}").policy.permissions_file == folder / "table.yaml"
    (folder / "table.yaml").write_text("version: 2\nsurfaces: []\n")
    found = problems(BASE + "policy: {permissions_file: table.yaml}")
    assert len(found) == 3
    assert found[0] == "policy.permissions_file: table.yaml: version: 2 is not known; use 1"
    assert all(line.startswith("policy.permissions_file: table.yaml: ") for line in found)
    assert problems(BASE + "policy: {permissions_file: absent}") == ["policy.permissions_file: not found"]

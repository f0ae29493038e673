import base64

import pytest

from proxy.settings.credentials import NoCredentialSettings, PassTokenSettings

BASE = """
public_url: https://entry.example
issuers: [{issuer: "https://keycloak.example"}]
"""


def test_the_management_api_gets_the_users_token_unless_told_otherwise(read):
    management = read(BASE + "management: {url: 'https://10.0.0.10'}").management
    assert management.credential == PassTokenSettings(kind="pass_token", audience="kaas")
    assert (management.cluster, management.ca_file, management.ca_data) == (None, None, None)


def test_an_application_gets_nothing_and_no_prefix_unless_told_otherwise(read):
    text = BASE + "clusters: [{namespace: a, name: b, stacklight: {prometheus: {url: 'http://10.0.1.21:9090'}}}]"
    application = read(text).clusters[0].stacklight["prometheus"]
    assert application.credential == NoCredentialSettings(kind="none")
    assert application.keep_prefix is False


def test_exactly_the_five_applications_are_known(read, problems):
    known = ("grafana", "alertmanager", "prometheus", "alerta", "opensearch-dashboards")
    listed = ", ".join(f"{name}: {{url: 'http://10.0.1.2'}}" for name in known)
    assert tuple(read(BASE + f"clusters: [{{namespace: a, name: b, stacklight: {{{listed}}}}}]").clusters[0].stacklight) == known
    assert problems(BASE + "clusters: [{namespace: a, name: b, stacklight: {kibana: {url: 'http://10.0.1.2'}}}]") == [
        "clusters[0].stacklight.kibana: must be one of 'grafana', 'alertmanager', 'prometheus', 'alerta' or 'opensearch-dashboards'"
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("management: {url: 'https://a', ca_file: absent}", ["management.ca_file: not found"]),
        ("management: {url: 'http://a', ca_file: ca.crt}", ["management.ca_file: has no use with http://: write https:// or leave it out"]),
        ("management: {url: 'nonsense', ca_file: absent}", ["management.url: must begin with https:// or http://", "management.ca_file: not found"]),
        ("management: {url: 'https://a', cluster: team-a/x}", [
            "management.cluster: must have the form default/<name>: the management cluster lies in project default",
        ]),
        ("management: {url: 'http://a', credential: {kind: impersonate, client_certificate_file: tls.crt, client_key_file: tls.key}}", [
            "management.credential: a client certificate has no use with http://: write https:// or give token_file",
        ]),
        ("management: {}", ["management.url: missing"]),
        ("management: [a]", ["management: must be a mapping"]),
        ("clusters: [{namespace: a, name: b}]", ["clusters[0].stacklight: missing: a cluster needs api, stacklight, or both"]),
        ("clusters: [{namespace: a, name: b, api: {url: x}}]", [
            "clusters[0].api.url: must begin with https:// or http://",
            "clusters[0].api.credential: missing: a mapping with its kind: pass_token, impersonate, token, identity_headers, none",
        ]),
        ("clusters: {a: b}", ["clusters: must be a list"]),
        ("discovery: {allow_pass_token: false, cluster_credential: {kind: pass_token, audience: k8s}}", [
            "discovery.cluster_credential: pass_token needs discovery.allow_pass_token: whoever writes a Cluster object would receive tokens",
        ]),
        ("discovery: {stacklight_credential: {kind: pass_token, audience: sl}}", [
            "discovery.stacklight_credential: pass_token needs discovery.allow_pass_token: whoever writes a Cluster object would receive tokens",
        ]),
        ("discovery: {enabled: true}", [
            "discovery.credential: missing: discovery needs it",
            "discovery.cluster_credential: missing: discovery needs it",
            "management: missing: discovery reads Cluster objects from it",
        ]),
        ("discovery: {credential: {kind: pass_token, audience: kaas}}", [
            "discovery.credential: nobody's request is at hand when objects are read: give kind token, or impersonate for a client certificate",
        ]),
        ("discovery: {credential: {kind: identity_headers, user_header: X-User}}", [
            "discovery.credential: nobody's request is at hand when objects are read: give kind token, or impersonate for a client certificate",
        ]),
        ("discovery: {allowed_hosts: ['*.example']}", [
            "discovery.allowed_hosts[0]: not a domain: lower case, without scheme, port, wildcard and dots around it",
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_server(problems, block, expected):
    assert problems(BASE + block) == expected


def test_authorities_are_given_once(read, problems, folder):
    data = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
    block = f"management: {{url: 'https://a', ca_data: {data}%s}}"
    assert read(BASE + block % "").management.ca_data == (folder / "ca.crt").read_text()
    assert problems(BASE + block % ", ca_file: ca.crt") == ["management.ca_data: give either ca_file or ca_data, not both"]
    assert problems(BASE + block % ", ca_file: absent") == [
        "management.ca_file: not found",
        "management.ca_data: give either ca_file or ca_data, not both",
    ]


def test_discovered_servers_may_get_tokens_when_that_is_said(read):
    text = BASE + "discovery: {allow_pass_token: true, cluster_credential: {kind: pass_token, audience: k8s}}"
    assert read(text).discovery.cluster_credential.kind == "pass_token"

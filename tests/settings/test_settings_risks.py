from datetime import UTC, datetime, timedelta

import pytest

from proxy.settings.risks import risks
from proxy.settings.schema import apply

NOW = datetime.now(UTC)
ISSUERS = "issuers: [{issuer: 'https://keycloak.example'}]\n"
QUIET = f"public_url: https://localhost\n{ISSUERS}listen: {{tls: {{certificate_file: tls.crt, key_file: tls.key}}}}\n"
DISCOVERY = """management: {url: 'https://10.0.0.1'}
discovery: {enabled: true, credential: {kind: token, token_file: proxy.token}, cluster_credential: {kind: none}}
"""


def warned(settings, now=None) -> list[str]:
    return [f"{path}: {message}" for path, message in risks(settings, now or datetime.now(UTC))]


def test_a_careful_configuration_is_quiet(read):
    text = (
        QUIET
        + """
management: {url: 'https://10.0.0.10'}
clusters:
- namespace: a
  name: b
  api: {url: 'http://127.0.0.1:8080', credential: {kind: impersonate, token_file: proxy.token}}
  stacklight: {grafana: {url: 'http://10.0.0.1', credential: {kind: identity_headers, user_header: X-User}}}
trusted_proxies: [10.0.0.0/8]
"""
    )
    assert warned(read(text)) == []


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]", ["trusted_proxies[1]: everybody is believed to be a proxy: any client can claim any address"]),
        ("policy: {system_namespaces: [kube-system, kube-public, kube-node-lease, openstack-provider-system, system, lcm-system, istio-system]}", [
            "policy.system_namespaces: lacks kaas, stacklight: project roles are judged there as in any project",
        ]),
        (DISCOVERY, ["discovery.allowed_hosts: empty: every discovered server is ignored; name the networks they lie in"]),
        (DISCOVERY.replace("https://10", "http://10").replace("}}", "}, allowed_hosts: [10.0.0.0/8]}"), [
            "management.url: tokens travel to it in plain text: use https://",
            "discovery.credential: travels to management.url in plain text: use https://",
        ]),
        (DISCOVERY.replace("https://10", "http://127").replace("}}", "}, allowed_hosts: [10.0.0.0/8]}"), []),
        ("sessions: {idle_minutes: 5}", ["sessions: has no effect without sign_in"]),
        ("forward_auth: {}", ["forward_auth: has no effect without sign_in"]),
        ("management: {url: 'http://10.0.0.10'}", ["management.url: tokens travel to it in plain text: use https://"]),
        ("clusters: [{namespace: a, name: b, api: {url: 'http://a', credential: {kind: impersonate, token_file: proxy.token}}}]", [
            "clusters[0].api.url: tokens travel to it in plain text: use https://",
        ]),
        ("clusters: [{namespace: a, name: b, stacklight: {alerta: {url: 'http://a', credential: {kind: token, token_file: proxy.token}}}}]", [
            "clusters[0].stacklight.alerta.url: tokens travel to it in plain text: use https://",
        ]),
    ],
)  # fmt: skip
def test_what_is_worth_a_second_thought(read, block, expected):
    assert warned(read(QUIET + block)) == expected


@pytest.mark.parametrize(
    ("address", "is_risky"), [("0.0.0.0", True), ("10.0.0.1", True), ("::", True), ("127.0.0.1", False), ("::1", False)]
)
def test_a_plain_listener_is_for_loopback_or_a_balancer(read, address, is_risky):
    found = warned(read(f"public_url: https://localhost\n{ISSUERS}listen: {{address: '{address}'}}"))
    expected = "listen.tls: absent: tokens arrive in plain text; let nobody but a TLS balancer reach this address"
    assert found == ([expected] if is_risky else [])


def test_a_plain_public_url_keeps_kubectl_out(read):
    text = QUIET.replace("https://localhost", "http://localhost")
    assert warned(read(text)) == ["public_url: kubectl sends no credential over http://, and browsers keep no session"]


def test_a_certificate_is_looked_at(read):
    settings = read(QUIET)
    end = f"{NOW + timedelta(days=30):%Y-%m}"
    for days, phrase in ((20, "expires on"), (40, "expired on"), (-2, "is not valid before")):
        (line,) = warned(settings, NOW + timedelta(days=days))
        assert line.startswith(f"listen.tls.certificate_file: {phrase} ")
        assert days < 0 or line.partition(phrase)[2].strip().startswith(end)
    assert warned(read(QUIET.replace("https://localhost", "https://127.0.0.1:8443"))) == []
    assert warned(read(QUIET.replace("https://localhost", "https://entry.example"))) == [
        "listen.tls.certificate_file: does not name entry.example, the host of public_url"
    ]


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("redis://cache.example", ["sessions.store: whoever is on the way can end sessions and see their times: use rediss://"]),
        ("rediss://cache.example", []),
        ("redis://127.0.0.1:6379", []),
        ("sqlite:///sessions.db", []),
    ],
)
def test_a_session_server_is_better_reached_over_tls(folder, store, expected):
    issuer = "https://keycloak.example"
    sign_in = {"issuer": issuer, "client_id": "mosk-proxy"}
    blocks = {"public_url": "https://entry.example", "issuers": [{"issuer": issuer}], "sign_in": sign_in}
    settings = apply(blocks | {"sessions": {"store": store}}, folder)
    assert [line for line in warned(settings) if line.startswith("sessions")] == expected

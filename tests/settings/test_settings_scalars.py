from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.settings import scalars


def verdict(kind: Any, given: object) -> object:
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        return error


def is_refused(kind: Any, given: object) -> bool:
    return isinstance(verdict(kind, given), ValidationError)


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        (
            scalars.PublicUrl,
            ["https://entry.example", "https://entry.example:8443", "http://127.0.0.1:8080", "https://[::1]:8443"],
        ),
        (
            scalars.ServerUrl,
            [
                "https://10.0.0.10:443",
                "http://grafana.svc:3000",
                "https://rancher.example/k8s/clusters/c-1",
                "https://[fd00::1]/",
            ],
        ),
        (scalars.HostName, ["entry.example", "localhost", "10.0.0.1", "fd00::1", "xn--bcher-kva.example"]),
        (scalars.Domain, ["ui.example", "ui"]),
        (scalars.Address, ["0.0.0.0", "127.0.0.1", "::", "fd00::1"]),
        (scalars.Namespace, ["a", "team-a", "0", "a" * 63]),
        (scalars.ClusterName, ["prod", "prod.eu", "a" * 253]),
        (scalars.ManagementCluster, ["default/kaas-mgmt", "default/a.b"]),
        (scalars.Prefix, ["", "oidc:", "keycloak/", "systems-"]),
        (scalars.HeaderName, ["X-WEBAUTH-USER", "Remote-User", "X-Forwarded-User", "X-Original-URL"]),
        (scalars.Name, ["kaas", "a b", "https://claims.example/groups"]),
        (scalars.AllowedHost, ["10.0.0.0/8", "fd00::/8", "example.com", ".example.com"]),
        (scalars.SessionStore, ["sqlite:///var/lib/s.db", "redis://valkey:6379/0", "rediss://valkey"]),
        (scalars.Algorithm, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]),
        (scalars.ClaimValue, ["a", True, 1, 1.5, ["a"], {"a": 1}]),
        (scalars.Port, [0, 1, 65535]),
        (scalars.Count, [1, 10**12]),
        (scalars.Duration, [0.001, 1, 1e9]),
        (scalars.DurationOrZero, [0, 0.5]),
        (scalars.Leeway, [0, 60, 600]),
    ],
)
def test_what_is_accepted_stays_as_it_was_written(kind, accepted):
    for given in accepted:
        assert verdict(kind, given) == given


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        (scalars.PublicUrl, ["https://entry.example/", "https://entry.example/door", "entry.example", "https://", "https://a?b", "https://a#b", "https://u@a"]),
        (scalars.ServerUrl, ["ftp://a", "HTTPS://a", "https:/a", "https://a:0", "https://u:p@a", "https://a?b=c", "https://a/#b", "https://a/../b", "", 1, None]),
        (scalars.HostName, ["Entry.example", "entry.example.", "entry.example:443", "https://entry.example", "", "a b", "*.example", "1.2.3"]),
        (scalars.Domain, ["10.0.0.1", ".ui.example", "ui.example.", "*.ui.example", ""]),
        (scalars.Address, ["localhost", "[::1]", "127.1", "0:0:0:0:0:0:0:1", "fe80::1%eth0", ""]),
        (scalars.Namespace, ["A", "a.b", "-a", "a-", "", "a" * 64, "a/b", "a\n"]),
        (scalars.ClusterName, ["A", ".a", "a..b", "a-", "", "a" * 254, "a\n"]),
        (scalars.ManagementCluster, ["kaas-mgmt", "team-a/kaas-mgmt", "default/", "default/a/b", "default/A"]),
        (scalars.Prefix, ["system:", "system:node:", "s", "sys", "system", "a b", "a\n", "é"]),
        (scalars.HeaderName, ["X_User", "X-User:", "", "X User", "Authorization", "authorization", "Host", "Connection", "Content-Length", "Cookie",
                              "Impersonate-User", "Transfer-Encoding", "X-Request-Id", "X-Forwarded-For", "traceparent", "Sec-WebSocket-Key"]),
        (scalars.Name, ["", " a", "a\n", "é", "a\x00"]),
        (scalars.AllowedHost, ["10.0.0.1/8", "*.example.com", "https://a", ""]),
        (scalars.SessionStore, ["sqlite:", "sqlite://sessions.db", "sqlite:///", "redis://", "redis:///0", "memory://", "postgres://a", "redis://u:p@a"]),
        (scalars.Algorithm, ["none", "None", "HS256", "HS384", "HS512", "rs256", "ES256K", "", None]),
        (scalars.ClaimValue, [None]),
        (scalars.Port, [-1, 65536, "x", True, 1.5, None]),
        (scalars.Count, [0, -1, True, 1.5, None]),
        (scalars.Duration, [0, -1, True, float("inf"), float("nan"), "soon", None]),
        (scalars.DurationOrZero, [-0.1, False]),
        (scalars.Leeway, [-1, 601]),
    ],
)  # fmt: skip
def test_what_is_refused(kind, refused):
    assert [given for given in refused if not is_refused(kind, given)] == []


def test_numbers_may_come_from_the_environment_as_texts():
    assert verdict(scalars.Port, "8443") == 8443
    assert verdict(scalars.Duration, "1.5") == 1.5


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("10.0.0.0/8", IPv4Network("10.0.0.0/8")),
        ("10.0.0.1", IPv4Network("10.0.0.1/32")),
        ("fd00::/8", IPv6Network("fd00::/8")),
        (IPv4Network("10.0.0.0/8"), IPv4Network("10.0.0.0/8")),
    ],
)
def test_networks_are_read(given, network):
    assert verdict(scalars.Cidr, given) == network


@pytest.mark.parametrize("given", ["10.0.0.1/8", "10.0.0.0/33", "everybody", "", 10, None, True])
def test_networks_that_are_none(given):
    assert is_refused(scalars.Cidr, given)


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("http://10.0.0.1", True),
        ("http://grafana.svc:3000", True),
        ("https://10.0.0.1", False),
        ("http://127.0.0.1:80", False),
        ("http://[::1]", False),
        ("http://localhost", False),
        ("http://localhost.example", True),
        ("nonsense", False),
    ],
)
def test_only_plain_http_to_another_machine_can_be_read_on_the_way(url, exposed):
    assert scalars.is_exposed(url) is exposed

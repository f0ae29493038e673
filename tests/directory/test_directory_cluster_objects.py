"""What a Cluster object says: the fields of MOSK, read leniently, and hostile objects that spoil nothing."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from management_api import PEM, base64_of, cluster, status

from proxy.directory.build import ServerUrl
from proxy.directory.cluster_objects import ClusterApiAddress, ClusterRecord, OpenIdSettings, Skipped, cluster_ref, read_cluster
from proxy.routing.target import ClusterRef

REF = ClusterRef("team-a", "found")
OIDC = OpenIdSettings("https://issuer.example", "k8s", "iam_roles")
FIVE = {
    key: f"https://10.0.1.{place}" for place, key in enumerate(("alerta", "alertmanager", "grafana", "kibana", "prometheus"), 1)
}


def api(host: str, port: int = 443) -> ClusterApiAddress:
    return ClusterApiAddress(ServerUrl("https", host, port), PEM)


def test_a_whole_object_gives_api_applications_and_whose_tokens_it_believes():
    assert read_cluster(cluster(provider_status=status("10.0.1.100", **FIVE))) == ClusterRecord(
        REF,
        api("10.0.1.100"),
        {
            "alerta": ServerUrl("https", "10.0.1.1", 443),
            "alertmanager": ServerUrl("https", "10.0.1.2", 443),
            "grafana": ServerUrl("https", "10.0.1.3", 443),
            "opensearch-dashboards": ServerUrl("https", "10.0.1.4", 443),
            "prometheus": ServerUrl("https", "10.0.1.5", 443),
        },
        OIDC,
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.0.1.100", api("10.0.1.100")),
        ("api.Prod.example", api("api.prod.example")),
        ("fd00::1", api("fd00::1")),
        ("[fd00::1]:6443", api("fd00::1", 6443)),
        ("10.0.1.100:6443", api("10.0.1.100", 6443)),
    ],
)
def test_the_api_is_on_port_443_unless_the_host_names_one(host, expected):
    assert read_cluster(cluster(provider_status=status(host))) == ClusterRecord(REF, expected, {}, OIDC)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (5, "loadBalancerHost is neither a host name nor an address"),
        (["10.0.1.1"], "loadBalancerHost is neither a host name nor an address"),
        ("https://10.0.1.1", "loadBalancerHost is neither a host name nor an address"),
        ("10.0.1.1/x", "loadBalancerHost is neither a host name nor an address"),
        ("ann@10.0.1.1", "loadBalancerHost: must have no user name or password: credentials belong into files"),
        ("10.0.1.1?x", "loadBalancerHost: must have no query and no fragment"),
        ("10.0.1.1:0", "loadBalancerHost: its port must be between 1 and 65535"),
        ("0x7f.1", "loadBalancerHost: its host is neither a DNS name nor an IP address"),
        ("127.1", "loadBalancerHost: its host is neither a DNS name nor an IP address"),
        ("10.0.1.1\r\nX", "loadBalancerHost: its host is neither a DNS name nor an IP address"),
        ("prod..example", "loadBalancerHost: its host is neither a DNS name nor an IP address"),
        ("пример.example", "loadBalancerHost: its host is neither a DNS name nor an IP address"),
        ("fe80::1%eth0", "loadBalancerHost: must have the form https://host[:port][/path]"),
    ],
)
def test_an_api_address_that_is_none_leaves_out_the_api_alone(host, reason):
    found = read_cluster(cluster(provider_status=status(host, grafana="https://10.0.1.3")))
    assert found == ClusterRecord(
        REF, None, {"grafana": ServerUrl("https", "10.0.1.3", 443)}, OIDC, left_out=(f"its API: {reason}",)
    )
    assert read_cluster(cluster(provider_status=status(host))) == Skipped(REF, f"its API: {reason}")


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (None, "apiServerCertificate is missing"),
        ("", "apiServerCertificate is missing"),
        (7, "apiServerCertificate is not base64 of PEM certificates"),
        ("%%%", "apiServerCertificate is not base64 of PEM certificates"),
        (PEM, "apiServerCertificate is not base64 of PEM certificates"),
        (base64_of("no certificate"), "apiServerCertificate is not base64 of PEM certificates"),
        (base64_of(PEM + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "apiServerCertificate is not base64 of PEM certificates"),
        (base64.b64encode("-----BEGIN CERTIFICATE-----\né\n-----END CERTIFICATE-----".encode()).decode(), "apiServerCertificate is not base64 of PEM certificates"),
    ],
)  # fmt: skip
def test_an_api_without_authorities_is_not_trusted_to_those_of_the_system(certificate, reason):
    assert read_cluster(cluster(provider_status=status(ca=certificate))) == Skipped(REF, f"its API: {reason}")


def test_base64_may_be_broken_into_lines():
    wrapped = "\n".join(base64_of(PEM)[at : at + 64] for at in range(0, len(base64_of(PEM)), 64))
    found = read_cluster(cluster(provider_status=status(ca=wrapped)))
    assert found == ClusterRecord(REF, api("10.0.1.100"), {}, OIDC)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (3, "grafana: its url is not a text"),
        ("ftp://10.0.1.3", "grafana: must begin with https:// or http://"),
        ("https://10.0.1.3/a/../b", "grafana: the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://u:p@10.0.1.3", "grafana: must have no user name or password: credentials belong into files"),
    ],
)
def test_an_application_that_cannot_be_read_leaves_out_itself_alone(url, reason):
    found = read_cluster(cluster(provider_status=status(grafana=url, prometheus="https://10.0.1.5")))
    assert found == ClusterRecord(
        REF, api("10.0.1.100"), {"prometheus": ServerUrl("https", "10.0.1.5", 443)}, OIDC, left_out=(reason,)
    )


def test_stacklight_that_is_off_leaves_empty_members():
    found = read_cluster(cluster(provider_status=status(**dict.fromkeys(FIVE))))
    assert found == ClusterRecord(REF, api("10.0.1.100"), {}, OIDC)


def test_the_management_cluster_says_what_it_is():
    settings_of_it = {"providerSpec": {"value": {"kaas": {"management": {"enabled": True}}}}}
    assert read_cluster(cluster(namespace="default", spec=settings_of_it)).is_management
    settings_of_it["providerSpec"]["value"]["kaas"]["management"]["enabled"] = "true"
    assert not read_cluster(cluster(namespace="default", spec=settings_of_it)).is_management


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (cluster(status={}), Skipped(REF, "names no address yet", is_malformed=False)),
        (cluster(status=None), Skipped(REF, "names no address yet", is_malformed=False)),
        (cluster(status=[1]), Skipped(REF, "names no address yet", is_malformed=False)),
        (cluster(provider_status=status(api=None)), Skipped(REF, "names no address yet", is_malformed=False)),
        (cluster(provider_status=status(api="")), Skipped(REF, "names no address yet", is_malformed=False)),
        (
            cluster(metadata={"name": "found", "namespace": "team-a", "deletionTimestamp": "2026-01-01T00:00:00Z"}),
            Skipped(REF, "is being deleted", is_malformed=False),
        ),
        (cluster(kind="Machine"), Skipped(REF, "is no Cluster of cluster.k8s.io: 'Machine of cluster.k8s.io'")),
        (cluster(apiVersion="cluster.x-k8s.io/v1beta1"), Skipped(REF, "is no Cluster of cluster.k8s.io: 'Cluster of cluster.x-k8s.io'")),
        (cluster(kind=["x"]), Skipped(REF, "is no Cluster of cluster.k8s.io: \"['x'] of cluster.k8s.io\"")),
        (cluster(metadata={}), Skipped(None, "has no usable name: (None, None)")),
        (cluster(name="a\n[ERROR] all is lost"), Skipped(None, r"has no usable name: ('team-a', 'a\n[ERROR] all is lost')")),
        (cluster(name="..", namespace="team-a"), Skipped(None, "has no usable name: ('team-a', '..')")),
        (cluster(namespace="a.b"), Skipped(None, "has no usable name: ('a.b', 'found')")),
        (cluster(namespace="team-a/prod"), Skipped(None, "has no usable name: ('team-a/prod', 'found')")),
        (None, Skipped(None, "has no usable name: (None, None)")),
        ("text", Skipped(None, "has no usable name: (None, None)")),
        ([[]], Skipped(None, "has no usable name: (None, None)")),
    ],
)  # fmt: skip
def test_an_object_that_gives_nothing_says_why(document, expected):
    assert read_cluster(document) == expected


def test_kind_and_version_may_be_absent_as_in_lists():
    document = cluster()
    del document["kind"], document["apiVersion"]
    assert isinstance(read_cluster(document), ClusterRecord)


def test_a_reason_is_never_long():
    assert len(read_cluster(cluster(name="x" * 100_000)).reason) < 300
    assert len(read_cluster(cluster(kind="x" * 100_000)).reason) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
)


@settings(max_examples=30, deadline=None)
@given(JSON, st.sampled_from(["metadata", "spec", "status", "kind", "apiVersion"]), JSON)
def test_whatever_it_holds_reading_ends_with_a_value(document, member, value):
    for found in (read_cluster(document), read_cluster(cluster(**{member: value})), read_cluster(cluster(provider_status=value))):
        assert isinstance(found, ClusterRecord | Skipped)
    assert cluster_ref(document) is None or cluster_ref(document) == read_cluster(document).ref

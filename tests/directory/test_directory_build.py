import pytest

from proxy.directory.build import ServerUrl, build_upstream, is_address, is_host, parse_server_url
from proxy.directory.upstream import NoCredential, PassToken, Upstream


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://10.0.0.10:443", ServerUrl("https", "10.0.0.10", 443)),
        ("https://10.0.0.10", ServerUrl("https", "10.0.0.10", 443)),
        ("http://grafana.svc", ServerUrl("http", "grafana.svc", 80)),
        ("https://Rancher.Example/", ServerUrl("https", "rancher.example", 443)),
        ("https://rancher.example/k8s/clusters/c-1", ServerUrl("https", "rancher.example", 443, "/k8s/clusters/c-1")),
        ("https://rancher.example/k8s/", ServerUrl("https", "rancher.example", 443, "/k8s")),
        ("https://[fd00::1]:6443", ServerUrl("https", "fd00::1", 6443)),
        ("https://[FD00::1]", ServerUrl("https", "fd00::1", 443)),
        (
            "http://a/api/v1/namespaces/s/services/http:grafana:80/proxy",
            ServerUrl("http", "a", 80, "/api/v1/namespaces/s/services/http:grafana:80/proxy"),
        ),
    ],
)
def test_a_servers_url_has_these_parts(text, parts):
    assert parse_server_url(text) == parts


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("10.0.0.10", "must begin with https:// or http://"),
        ("ftp://a", "must begin with https:// or http://"),
        ("HTTPS://a", "must begin with https:// or http://"),
        ("", "must begin with https:// or http://"),
        ("https://a?x=1", "must have no query and no fragment"),
        ("https://a/b?", "must have no query and no fragment"),
        ("https://a/#top", "must have no query and no fragment"),
        ("https://user:secret@a", "must have no user name or password: credentials belong into files"),
        ("https://user@a/", "must have no user name or password: credentials belong into files"),
        ("https://", "must have the form https://host[:port][/path]"),
        ("https:///path", "must have the form https://host[:port][/path]"),
        ("https://a:", "must have the form https://host[:port][/path]"),
        ("https://a:http", "must have the form https://host[:port][/path]"),
        ("https://fd00::1", "must have the form https://host[:port][/path]"),
        ("https://a:0", "its port must be between 1 and 65535"),
        ("https://a:65536", "its port must be between 1 and 65535"),
        ("https://a b", "its host is neither a DNS name nor an IP address"),
        ("https://-a", "its host is neither a DNS name nor an IP address"),
        ("https://a.", "its host is neither a DNS name nor an IP address"),
        ("https://bücher.example", "its host is neither a DNS name nor an IP address"),
        ("https://127.1", "its host is neither a DNS name nor an IP address"),
        ("https://2130706433", "its host is neither a DNS name nor an IP address"),
        ("https://0x7f000001", "its host is neither a DNS name nor an IP address"),
        ("https://[fe80::1]%eth0", "must have the form https://host[:port][/path]"),
        ("https://[0:0:0:0:0:0:0:1]", "its host is neither a DNS name nor an IP address"),
        ("https://a/b//c", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a//", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a/../b", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a/.", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a/%2e%2e", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a/b;c", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a/b c", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a/b\n", "the path must be of plain segments: no escapes, no empty or dot segments"),
        ("https://a\n", "its host is neither a DNS name nor an IP address"),
    ],
)
def test_everything_else_is_refused_with_the_remedy(text, remedy):
    with pytest.raises(ValueError) as caught:
        parse_server_url(text)
    assert str(caught.value) == remedy


@pytest.mark.parametrize(
    ("text", "host", "address"),
    [
        ("a", True, False),
        ("a-b.c1", True, False),
        ("1.example", True, False),
        ("a" * 63 + ".example", True, False),
        ("a" * 64 + ".example", False, False),
        (".".join(["a" * 60] * 5), False, False),
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("::1%lo", False, False),
        ("1.2.3", False, False),
        ("a.0x1f", False, False),
        ("A", False, False),
        ("a_b", False, False),
        ("", False, False),
    ],
)
def test_hosts_and_addresses_are_told_apart(text, host, address):
    assert (is_host(text), is_address(text)) == (host, address)


def test_an_upstream_is_joined_from_its_parts(tmp_path):
    assert build_upstream("kaas", "https://a/base/", PassToken("kaas"), ca_file=tmp_path, keep_prefix=True) == Upstream(
        "kaas", "https", "a", 443, base_path=b"/base", credential=PassToken("kaas"), ca_file=tmp_path, keep_prefix=True
    )
    assert build_upstream("kaas", "http://a", ca_pem="PEM") == Upstream(
        "kaas", "http", "a", 80, credential=NoCredential(), ca_pem="PEM"
    )

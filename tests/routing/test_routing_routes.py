"""From method, host and target to a Target, and never to anything else than a refusal."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.errors import Malformed, Misdirected, NoRoute, RequestError
from proxy.routing.routes import Routes, plain_request
from proxy.routing.target import ClusterApi, ClusterRef, ManagementApi, MonitoringUi, OwnPage

ANYWHERE = Routes(frozenset(), None)
ENTRY = Routes(frozenset({"entry.example", "other.example", "::1"}), "ui.example")
PROD = ClusterRef("a", "prod")


def resolve(target, method="GET", host=None, routes=ANYWHERE):
    return routes.resolve(method, host, target.encode())


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/kaas", b"/"),
        ("/kaas/", b"/"),
        ("/kaas/api/", b"/api/"),
        ("/kaas/api/v1/namespaces/a/secrets/s", b"/api/v1/namespaces/a/secrets/s"),
        ("/kaas/apis/g/v1/rs/r%3As", b"/apis/g/v1/rs/r%3As"),
    ],
)
def test_the_management_api_lies_under_kaas(target, path):
    found = resolve(target + "?x=%20y")
    assert isinstance(found, ManagementApi)
    assert (found.method, found.path, found.query, str(found)) == ("GET", path, b"x=%20y", "kaas")


@pytest.mark.parametrize(
    ("target", "ref", "path"),
    [
        ("/k8s/a/prod", PROD, b"/"),
        ("/k8s/a/prod/", PROD, b"/"),
        ("/k8s/a/prod/version/", PROD, b"/version/"),
        ("/k8s/a/prod/api/v1/pods", PROD, b"/api/v1/pods"),
        ("/k8s/a/prod.east.1/api/v1/pods", ClusterRef("a", "prod.east.1"), b"/api/v1/pods"),
        ("/k8s/a/prod/api/v1/namespaces/X/pods", PROD, b"/api/v1/namespaces/X/pods"),
        ("/k8s/a/prod/api/v1/namespaces/x/pods/p/proxy//a%2fb;c", PROD, b"/api/v1/namespaces/x/pods/p/proxy//a%2fb;c"),
    ],
)
def test_a_child_cluster_lies_under_its_project_and_name(target, ref, path):
    found = resolve(target)
    assert isinstance(found, ClusterApi)
    assert (found.ref, found.path, found.query, str(found)) == (ref, path, None, f"k8s/{ref}")


@pytest.mark.parametrize(
    ("target", "app", "path", "prefix", "is_bare"),
    [
        ("/sl/a/prod/grafana", "grafana", b"/", b"/sl/a/prod/grafana", True),
        ("/sl/a/prod/grafana/", "grafana", b"/", b"/sl/a/prod/grafana", False),
        ("/sl/a/prod/grafana/d/x", "grafana", b"/d/x", b"/sl/a/prod/grafana", False),
        ("/sl/a/prod/unheard-of/", "unheard-of", b"/", b"/sl/a/prod/unheard-of", False),
        ('/sl/a/prod/grafana//a%2fb;c/*|"<>^{}`/%00', "grafana", b'//a%2fb;c/*|"<>^{}`/%00', b"/sl/a/prod/grafana", False),
    ],
)
def test_a_stacklight_application_lies_under_its_cluster(target, app, path, prefix, is_bare):
    found = resolve(target + "?q", method="OPTIONS")
    assert found == MonitoringUi(PROD, app, "OPTIONS", path, b"q", prefix, is_bare)


@pytest.mark.parametrize("target", ["/", "/console/", "/console/me", "/console/me/", "/oauth2/start", "/oauth2/"])
def test_our_own_pages(target):
    assert resolve(target + "?rd=/x") == OwnPage("GET", target.encode(), b"rd=/x")


@pytest.mark.parametrize(
    "target",
    [
        "/foo",
        "/console",
        "/oauth2",
        "/Kaas/api",
        "/kaasx",
        "/k8s",
        "/k8s/",
        "/k8s/a",
        "/k8s/a/",
        "/sl",
        "/sl/a",
        "/sl/a/prod",
        "/sl/a/prod/",
        "/metrics",
        "/livez",
        "/foo//bar%2f;x",
    ],
)
def test_anything_else_leads_nowhere_and_does_not_say_what_exists(target):
    with pytest.raises(NoRoute, match=r"^There is nothing at this path$"):
        resolve(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "foo",
        "/foo/../kaas",
        "/foo/%2e%2e/kaas",
        "/foo bar",
        "/foo#x",
        "/foo?%",
        "/foo\\bar",
        "/\u00e9",
        "//kaas/api",
        "/;/kaas",
        "/%6baas/api",
        "/kaas//api",
        "/kaas/api;x/v1",
        "/k8s/A/prod/api",
        "/k8s/a_b",
        "/k8s/a/Prod/api",
        "/k8s/a/-prod",
        "/k8s/a%2fprod/api",
        "/k8s//",
        "/sl//",
        "/k8s//prod/api",
        "/k8s/a//api",
        f"/k8s/{'a' * 64}/prod",
        f"/k8s/a/{'a' * 254}/",
        "/sl/A/prod/grafana/",
        "/sl/a/prod_/grafana/",
        "/sl/a/prod/Grafana/",
        "/sl/a/prod/-x/",
        "/sl/a/prod/a.b/",
        "/sl/a/prod//x",
        "/sl/a/prod/graf%61na/",
        "/sl/a/prod/grafana/../prometheus",
        "/sl/a/prod/grafana/..%2f..",
        "/sl/a/prod/grafana/..%5c",
        "/sl/a/prod/grafana/..;x=y/z",
        "/sl/a/prod/grafana/x\\y",
        "/k8s/a/prod/api/v1/namespaces/x/services/s/proxy/%2e%2e/y",
        "/console//me",
        "/console/%6de",
        "/console/me;x",
        "/oauth2/a*b",
    ],
)
def test_a_target_that_could_be_read_in_two_ways_is_refused_first(target):
    with pytest.raises(Malformed):
        resolve(target)


@pytest.mark.parametrize("method", ["", "get", "gEt", "FOO", "CONNECT", "TRACE", "GET ", "\u0262ET", "QUERY"])
@pytest.mark.parametrize("target", ["/", "/kaas/api", "/k8s/a/prod/api", "/sl/a/prod/grafana/", "/foo"])
def test_an_unknown_method_is_malformed_everywhere(method, target):
    with pytest.raises(Malformed):
        resolve(target, method=method)


@pytest.mark.parametrize("host", [None, "entry.example", "ENTRY.example:8443", "other.example", "[::1]", "[::1]:8443"])
@pytest.mark.parametrize("target", ["/kaas/api/v1/pods", "/kaas/api"])
def test_our_hosts_are_known_in_any_case_and_with_any_port(host, target):
    assert isinstance(resolve(target, host=host, routes=ENTRY), ManagementApi)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "entry.example.",
        "entry.example.evil.example",
        "xentry.example",
        "127.0.0.1",
        "[::2]:8443",
        "ui.example",
        "ui.example:443",
        "grafana.ui.example",
        "prod.a.ui.example",
        "grafana.prod.a.ui.example.",
        "grafana.prod.a.xui.example",
        "grafana.prod.A_.ui.example",
        "grafana.prod_.a.ui.example",
        "gr_afana.prod.a.ui.example",
        "grafana..a.ui.example",
        ".prod.a.ui.example",
        "a.b.c",
        "",
    ],
)
@pytest.mark.parametrize("target", ["/kaas/api/v1/pods", "/", "/sl/a/prod/grafana/", "/foo"])
def test_a_foreign_host_is_misdirected(host, target):
    with pytest.raises(Misdirected):
        resolve(target, host=host, routes=ENTRY)


def test_a_malformed_target_is_refused_before_its_host():
    with pytest.raises(Malformed):
        resolve("/a/../b", host="evil.example", routes=ENTRY)


@pytest.mark.parametrize(
    ("host", "ref"),
    [
        ("grafana.prod.a.ui.example", PROD),
        ("GRAFANA.prod.a.UI.example:8443", PROD),
        ("grafana.prod.east.a.ui.example", ClusterRef("a", "prod.east")),
    ],
)
@pytest.mark.parametrize("target", ["/", "/kaas/api/v1/pods", "/sl/b/c/grafana/", "//x", "/a%2fb", "/oauth2", "/console/me"])
def test_an_applications_host_serves_that_application_alone(host, ref, target):
    assert resolve(target, host=host, routes=ENTRY) == MonitoringUi(ref, "grafana", "GET", target.encode(), None)


@pytest.mark.parametrize("target", ["/../x", "/%2e%2e/x", "/x\\y"])
def test_an_applications_host_keeps_the_path_rule(target):
    with pytest.raises(Malformed):
        resolve(target, host="grafana.prod.a.ui.example", routes=ENTRY)


def test_sign_in_is_ours_on_an_applications_host_too():
    host = "grafana.prod.a.ui.example"
    assert resolve("/oauth2/callback?x", host=host, routes=ENTRY) == OwnPage("GET", b"/oauth2/callback", b"x")
    with pytest.raises(Malformed):
        resolve("/oauth2//callback", host=host, routes=ENTRY)


def test_the_absolute_form_brings_its_own_host_when_none_is_given():
    found = resolve("https://grafana.prod.a.ui.example/d?x", routes=ENTRY)
    assert found == MonitoringUi(PROD, "grafana", "GET", b"/d", b"x")
    with pytest.raises(Misdirected):
        resolve("https://evil.example/kaas", routes=ENTRY)
    assert isinstance(resolve("https://evil.example/kaas", routes=ANYWHERE), ManagementApi)
    assert resolve("https://evil.example", routes=ANYWHERE) == OwnPage("GET", b"/", None)


WORDS = [
    "kaas", "k8s", "sl", "console", "oauth2", "a", "prod", "prod.east", "grafana", "api", "apis", "v1", "v1beta1", "g.io", "namespaces",
    "watch", "proxy", "status", "finalize", "pods", "secrets", "x", "exec", "log", "", ".", "..", "%2e%2e", "..;x", "a%2fb", "a%3Ab", "A",
    "a;b", "*", "-a", "a-", "a_b", "a" * 64, "\\", "\u00e9", "openapi", "%", "a b", "a:b.c",
]  # fmt: skip
QUERIES = [
    "",
    "?",
    "?watch=1",
    "?watch=0&watch=1",
    "?w%61tch=1",
    "?a=b%3Dc",
    "?follow",
    "?fieldSelector=metadata.name=a",
    "?x#y",
    "?%",
    "?a\\b",
    "?\u00e9",
    "?a;watch=1",
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

targets = st.one_of(
    st.builds(lambda words, query: "/" + "/".join(words) + query, st.lists(st.sampled_from(WORDS), max_size=9), st.sampled_from(QUERIES)),
    st.builds("/{}/{}{}".format, st.sampled_from(["kaas", "k8s/a/prod", "sl/a/prod/grafana"]), st.lists(st.sampled_from(WORDS), max_size=8).map("/".join), st.sampled_from(QUERIES)),
    st.builds("/{}/api/v1/{}{}".format, st.sampled_from(["kaas", "k8s/a/prod"]), st.lists(st.sampled_from(WORDS), max_size=5).map("/".join), st.sampled_from(QUERIES)),
    st.text(st.sampled_from(string.printable), max_size=40).map("/".__add__),
).map(lambda text: text.encode("utf-8", "surrogatepass"))  # fmt: skip


def outcome(call, *arguments):
    try:
        return call(*arguments)
    except RequestError as error:
        return type(error), error.message


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(METHODS), targets)
@example("GET", b"/sl/a/prod/grafana/..")
@example("GET", b"/sl/a/prod/grafana/.?x")
@example("GET", b"/kaas/api/v1/namespaces/status")
@example("GET", b"/k8s/a/prod/api/v1/namespaces/x/finalize")
def test_the_short_cut_says_what_the_careful_way_says(method, target):
    short = plain_request(method, target)
    careful = outcome(ANYWHERE.resolve_carefully, method, None, target)
    if short is not None:
        assert short == careful
    assert outcome(ANYWHERE.resolve, method, None, target) == careful


@pytest.mark.parametrize(
    "target",
    [
        b"/k8s/team-a/prod/api/v1/namespaces/x/pods/p?limit=5",
        b"/kaas/apis/cluster.k8s.io/v1alpha1/namespaces/a/clusters/prod",
        b"/k8s/a/b/api/v1/pods?labelSelector=a%3Db&watch=true",
        b"/sl/a/prod/grafana/api/ds/query?x=1",
    ],
)
def test_common_requests_take_the_short_cut(target):
    assert plain_request("GET", target) is not None


@settings(max_examples=250, deadline=None)
@given(
    st.one_of(st.sampled_from(METHODS), st.text()),
    st.one_of(st.none(), st.sampled_from(["entry.example", "g.c.n.ui.example", "ui.example"]), st.text()),
    st.one_of(targets, st.binary()),
)
def test_resolving_is_total(method, host, target):
    found = outcome(ENTRY.resolve, method, host, target)
    assert isinstance(found, ManagementApi | ClusterApi | MonitoringUi | OwnPage | tuple)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(METHODS), targets)
def test_what_is_judged_is_what_is_sent(method, target):
    """The upstream's path and query are the bytes of the request behind the prefix, and the scope is the prefix's own."""
    found = outcome(ANYWHERE.resolve, method, None, target)
    path, mark, query = target.partition(b"?")
    match found:
        case ManagementApi():
            prefix = b"/kaas"
        case ClusterApi(ref=ref):
            prefix = f"/k8s/{ref.namespace}/{ref.name}".encode()
        case MonitoringUi(ref=ref, app=app):
            prefix = f"/sl/{ref.namespace}/{ref.name}/{app}".encode()
            assert prefix == found.prefix
        case OwnPage():
            prefix = b""
        case _:
            return
    assert path in {prefix + found.path, prefix if found.path == b"/" else path + b"!"}
    assert found.query == (query if mark else None)

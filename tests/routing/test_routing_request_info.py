"""The Kubernetes reading of a path, one row for each form that the API server knows."""

import time
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed
from proxy.routing.request_info import read_request


def read(method, url, *, strict=False):
    path, mark, query = url.partition("?")
    return read_request(method, path, query if mark else None, strict=strict)


RESOURCES = """
GET      /api/v1/pods                                         list    | ''   v1 -     pods        -    -
GET      /api/v1/namespaces/x/pods                            list    | ''   v1 x     pods        -    -
HEAD     /api/v1/namespaces/x/pods                            list    | ''   v1 x     pods        -    -
GET      /api/v1/namespaces/x/pods/p                          get     | ''   v1 x     pods        -    p
HEAD     /api/v1/namespaces/x/pods/p                          get     | ''   v1 x     pods        -    p
GET      /api/v1/namespaces/x/pods/p/status                   get     | ''   v1 x     pods        status p
PUT      /api/v1/namespaces/x/pods/p                          update  | ''   v1 x     pods        -    p
PATCH    /api/v1/namespaces/x/pods/p                          patch   | ''   v1 x     pods        -    p
DELETE   /api/v1/namespaces/x/pods/p                          delete  | ''   v1 x     pods        -    p
POST     /api/v1/namespaces/x/pods                            create  | ''   v1 x     pods        -    -
OPTIONS  /api/v1/namespaces/x/pods                            options | ''   v1 x     pods        -    -
DELETE   /api/v1/namespaces/x/pods                            deletecollection | '' v1 x pods     -    -
DELETE   /api/v1/nodes                                        deletecollection | '' v1 - nodes    -    -
GET      /api/v1/nodes/n                                      get     | ''   v1 -     nodes       -    n
GET      /api/v1/namespaces                                   list    | ''   v1 -     namespaces  -    -
POST     /api/v1/namespaces                                   create  | ''   v1 -     namespaces  -    -
GET      /api/v1/namespaces/x                                 get     | ''   v1 x     namespaces  -    x
PUT      /api/v1/namespaces/x/status                          update  | ''   v1 x     namespaces  status x
PUT      /api/v1/namespaces/x/finalize                        update  | ''   v1 x     namespaces  finalize x
GET      /api/v1/namespaces/x/namespaces/y                    get     | ''   v1 x     namespaces  -    y
GET      /apis/apps/v1/namespaces/x/deployments/d/scale       get     | apps v1 x     deployments scale d
GET      /apis/metal3.io/v1alpha1/baremetalhosts              list    | metal3.io v1alpha1 - baremetalhosts - -
GET      /apis/g.io/v1/namespaces/x/status                    get     | g.io v1 x     namespaces  status x
GET      /api/v1/pods?watch=1                                 watch   | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch                                   watch   | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=                                  watch   | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=no                                watch   | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=0                                 list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=FALSE                             list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=0&watch=1                         list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=1&watch=0                         watch   | ''   v1 -     pods        -    -
GET      /api/v1/pods?w%61tch=true                            watch   | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=%30                               list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?watch=1;x                               list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?watching=1                              list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?limit=5&&watch=true                     watch   | ''   v1 -     pods        -    -
GET      /api/v1/pods/p?watch=1                               get     | ''   v1 -     pods        -    p
POST     /api/v1/pods?watch=1                                 create  | ''   v1 -     pods        -    -
DELETE   /api/v1/pods?watch=1                                 deletecollection | '' v1 - pods     -    -
GET      /api/v1/watch/pods                                   watch   | ''   v1 -     pods        -    -
GET      /api/v1/watch/namespaces                             watch   | ''   v1 -     namespaces  -    -
GET      /api/v1/watch/namespaces/x                           watch   | ''   v1 x     namespaces  -    x
GET      /api/v1/watch/namespaces/x/pods/p                    watch   | ''   v1 x     pods        -    p
GET      /apis/apps/v1/watch/namespaces/x/deployments         watch   | apps v1 x     deployments -    -
GET      /api/v1/proxy/nodes/n                                proxy   | ''   v1 -     nodes       -    n
GET      /api/v1/proxy/namespaces/x/services/s/any//thing/    proxy   | ''   v1 x     services    -    s
GET      /api/v1/namespaces/x/services/s/proxy                get     | ''   v1 x     services    proxy s
GET      /api/v1/namespaces/x/services/s/proxy/               get     | ''   v1 x     services    proxy s
GET      /api/v1/namespaces/x/services/s/proxy/a%2fb//c;d*    get     | ''   v1 x     services    proxy s
GET      /api/v1/pods?fieldSelector=metadata.name=p           list    | ''   v1 -     pods        -    p
GET      /api/v1/pods?fieldSelector=metadata.name%3D%3Dp      list    | ''   v1 -     pods        -    p
GET      /api/v1/pods?fieldSelector=a=b,metadata.name=p       list    | ''   v1 -     pods        -    p
GET      /api/v1/pods?fieldSelector=metadata.name=q,metadata.name=p list | '' v1 -    pods        -    p
GET      /api/v1/pods?fieldSelector=metadata.name=p&watch=1   watch   | ''   v1 -     pods        -    p
GET      /api/v1/pods?fieldSelector=metadata.name!=p          list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?fieldSelector=metadata.name=            list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?fieldSelector=xmetadata.name=p          list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?fieldSelector=metadata.names=p          list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?fieldSelector=a=b%5C,metadata.name=p    list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?fieldSelector=a=b%5C%5C,metadata.name=p list    | ''   v1 -     pods        -    p
GET      /api/v1/pods?fieldSelector=metadata.name=a%2Fb       list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?fieldSelector=metadata.name=..          list    | ''   v1 -     pods        -    -
GET      /api/v1/pods?fieldSelector=&fieldSelector=metadata.name=p list | '' v1 -     pods        -    -
GET      /api/v1/watch/namespaces?fieldSelector=metadata.name=p watch | ''   v1 -     namespaces  -    p
POST     /api/v1/pods?fieldSelector=metadata.name=p           create  | ''   v1 -     pods        -    -
GET      /api/v1/namespaces/x/pods/system%3Anode              get     | ''   v1 x     pods        -    system:node
GET      /apis/custom.metrics.k8s.io/v1/namespaces/x/pods/*/m get     | custom.metrics.k8s.io v1 x pods m *
GET      /apis/g/v1/namespaces/x/rs/r/sub/an//opaque/tail/    get     | g    v1 x     rs          sub  r
"""


@pytest.mark.parametrize("row", RESOURCES.strip().splitlines())
def test_a_resource_path_is_read_as_the_api_server_reads_it(row):
    asked, expected = row.split(" | ")
    method, url, verb = asked.split()
    group, version, namespace, resource, subresource, name = (None if word == "-" else word for word in expected.split())
    info = read(method, url)
    assert info.is_resource_request
    assert (info.verb, info.api_group, info.api_version) == (verb, group.strip("'"), version)
    assert (info.namespace, info.resource, info.subresource, info.name) == (namespace, resource, subresource, name)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/apis",
        "/apis/",
        "/apis/apps",
        "/apis/apps/v1/",
        "/version",
        "/healthz/ping/",
        "/openapi/v3/apis/apps/v1",
    ],
)
@pytest.mark.parametrize(
    ("method", "verb", "is_write"),
    [("GET", "get", False), ("HEAD", "head", False), ("POST", "post", True), ("OPTIONS", "options", True)],
)
def test_any_other_path_is_a_non_resource_request(path, method, verb, is_write):
    info = read(method, path, strict=True)
    assert (info.is_resource_request, info.verb, info.is_write, info.is_long_running) == (False, verb, is_write, False)
    assert (info.resource, info.namespace, info.name, info.subresource) == (None, None, None, None)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/api//",
        "/api/v1//",
        "//api/v1/pods",
        "/api//v1/pods",
        "/api/v1/pods/",
        "/api/v1//pods",
        "/api/v1/pods//p",
        "/api/v1/pods/p/",
        "/api/v1/pods/p/log/",
        "/api/v1/namespaces/",
        "/api/v1/namespaces/x/",
        "/api/v1/namespaces/x/pods/",
        "/api/v1/namespaces//pods",
        "/api/v1/namespaces/x%41/pods",
        "/api/v1/namespaces/*/pods",
        "/api/v1/watch",
        "/api/v1/watch/",
        "/api/v1/proxy",
        "/apis/g/v1/watch",
        "/api/v%31/pods",
        "/apis/g%2fh/v1/pods",
        "/apis/g;x/v1/pods",
        "/api/v1/pod%73",
        "/api/v1/pods;x",
        "/api/v1/po*ds",
        "/api/v1/*",
        "/api/v1/pods/p/lo%67",
        "/api/v1/pods/p/log;x",
        "/api/v1/pods/a%2fb",
        "/api/v1/pods/a|b",
        "/heal%74hz",
        "/healthz;x",
        "/openapi/v2|",
        "/version//",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(path, strict):
    with pytest.raises(Malformed):
        read("GET", path, strict=strict)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/A",
        "/api/v1/namespaces/a.b/pods",
        "/api/v1/namespaces/-a/pods",
        f"/api/v1/namespaces/{'a' * 64}",
        "/api/v1/watch/namespaces/A/pods",
        "/api/v1/proxy/namespaces/a_b/pods/p",
        "/apis/g/v1/namespaces/A/rs",
        "/api/v1/namespaces/a/pods/p/log/x",
        "/api/v1/namespaces/a/status/x",
        "/apis/g/v1/namespaces/a/rs/r/scale/x",
    ],
)
def test_the_management_api_is_read_more_strictly_than_a_child(path):
    with pytest.raises(Malformed):
        read("GET", path, strict=True)
    assert read("GET", path, strict=False).is_resource_request


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward", "proxy"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_connecting_is_writing_whatever_the_method(method, subresource, strict):
    info = read(method, f"/api/v1/namespaces/x/pods/p/{subresource}?command=sh", strict=strict)
    assert info.is_write
    assert info.is_long_running
    assert info.verb == {"GET": "get", "HEAD": "get", "POST": "create", "OPTIONS": "options"}[method]


@pytest.mark.parametrize(
    ("method", "url", "is_write", "is_long_running"),
    [
        ("GET", "/api/v1/pods", False, False),
        ("GET", "/api/v1/pods?watch=1", False, True),
        ("GET", "/api/v1/watch/pods", False, True),
        ("POST", "/api/v1/watch/pods", True, True),
        ("GET", "/api/v1/proxy/nodes/n", True, True),
        ("GET", "/api/v1/watch/namespaces/x/pods/p/exec", True, True),
        ("GET", "/api/v1/namespaces/x/pods/p/log", False, False),
        ("GET", "/api/v1/namespaces/x/pods/p/log?follow=true", False, True),
        ("GET", "/api/v1/namespaces/x/pods/p/log?follow", False, True),
        ("GET", "/api/v1/namespaces/x/pods/p/log?follow=false", False, False),
        ("GET", "/api/v1/namespaces/x/pods/p/log?f%6fllow=1", False, True),
        ("GET", "/api/v1/namespaces/x/pods/p?follow=true", False, False),
        ("GET", "/api/v1/namespaces/x/pods/exec", False, False),
        ("GET", "/api/v1/namespaces/exec/pods", False, False),
        ("PUT", "/api/v1/namespaces/x/pods/p/status", True, False),
        ("PATCH", "/api/v1/pods/p", True, False),
        ("DELETE", "/api/v1/pods", True, False),
        ("OPTIONS", "/api/v1/pods", True, False),
    ],
)
def test_access_and_duration(method, url, is_write, is_long_running):
    info = read(method, url)
    assert (info.is_write, info.is_long_running) == (is_write, is_long_running)


PIECE = st.sampled_from(
    ["watch", "w%61tch", "%77atch", "watc%68", "W%61tch", "watch%20", "+watch", "x", "", "=1", "=0", "=", "&", ";", "%3d", "%26"]
)


@given(st.lists(PIECE, max_size=12).map("".join))
def test_an_escaped_parameter_is_found_as_if_every_name_were_decoded(query):
    decoded = [pair.partition("=") for pair in query.split("&") if pair and ";" not in pair]
    values = [unquote_plus(value) for name, _, value in decoded if unquote_plus(name) == "watch"]
    is_watch = bool(values) and values[0].lower() not in {"false", "0"}
    assert read("GET", f"/api/v1/pods?{query}").verb == ("watch" if is_watch else "list")


def test_a_long_query_of_escaped_names_costs_little():
    read("GET", "/api/v1/pods?" + "&".join(["%61"] * 4000))
    begin = time.process_time()
    for _ in range(20):
        read("GET", "/api/v1/pods?" + "&".join(["%61"] * 4000))
    assert (time.process_time() - begin) / 20 < 0.005

"""May I …? The words are those of a refusal, for any method and any URL."""

import pytest
from console_site import facts, visitor
from hypothesis import given
from hypothesis import strategies as st

from proxy.console.asking import answer

SITE = facts()
ANN = visitor("m:kaas:a@writer")


@pytest.mark.parametrize(
    ("method", "url", "status", "reason"),
    [
        (
            "GET",
            "/k8s/a/prod/api/v1/pods",
            200,
            "m:kaas:a@writer includes m:k8s:a:prod@cluster-admin, which may list on cluster_api",
        ),
        ("GET", "https://entry.example/sl/a/prod/grafana/", 200, "m:kaas:a@writer includes m:k8s:a:prod@cluster-admin includes"),
        ("GET", "https://grafana.prod.b.ui.example/d/1", 403, 'User "ann" cannot get application "grafana" of cluster "b/prod"'),
        ("GET", "/k8s/b/never-there/version", 403, 'User "ann" cannot get path "/version" of cluster "b/never-there"; read on'),
        ("GET", "https://other.example/kaas/api", 404, "This host is not served here"),
        ("GET", "/nothing", 404, "There is nothing at this path"),
        ("GET", "/kaas/../x", 400, "The path holds a dot segment"),
        ("BREW", "/kaas/api", 400, "The method is not one of"),
        ("GET", "/console/me", 200, "the proxy's own pages need no role"),
        ("GET", "ä\ud800", 400, "The request target holds bytes that are not ASCII"),
    ],
)
def test_answers(method, url, status, reason):
    told = answer(SITE, ANN, method, url)
    assert told.status == status
    assert told.reason.startswith(reason)


def test_a_refusal_names_the_roles_that_would_help():
    told = answer(SITE, ANN, "GET", "/k8s/b/prod/version")
    assert "m:kaas:b@writer" in told.would_grant
    assert ", ".join(told.would_grant) in told.reason


@given(st.text(max_size=10), st.text(max_size=60))
def test_any_question_has_an_answer(method, url):
    assert answer(SITE, ANN, method, url).status in {200, 400, 403, 404}

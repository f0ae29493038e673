"""Which kubeconfig somebody gets, in the order in which a request is refused."""

import pytest
from console_site import console, directory, facts, page, visitor
from ruamel.yaml import YAML

SERVER = "https://entry.example"


@pytest.fixture
def visit(aiohttp_client):
    async def make(*roles, **changes):
        return await aiohttp_client(console(visitor(*roles), facts(**changes)))

    return make


async def servers(client, query):
    answer = await client.get(f"/console/kubeconfig?{query}")
    text = await answer.text()
    assert answer.status == 200, text
    assert answer.headers["Content-Type"] == "application/yaml; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    document = YAML(typ="safe", pure=True).load(text)
    return answer.headers["Content-Disposition"], [item["cluster"]["server"] for item in document["clusters"]]


@pytest.mark.parametrize(
    ("query", "name", "expected"),
    [
        ("cluster=kaas", "mosk-entry.example-kaas", ["/kaas"]),
        ("cluster=a/prod", "mosk-entry.example-a-prod", ["/k8s/a/prod"]),
        ("cluster=a%2Fprod&plugin=kubelogin", "mosk-entry.example-a-prod", ["/k8s/a/prod"]),
        ("all=true", "mosk-entry.example", ["/kaas", "/k8s/a/prod", "/k8s/a/test"]),
    ],
)
async def test_what_is_given(visit, query, name, expected):
    disposition, found = await servers(await visit("m:kaas:a@writer"), query)
    assert disposition == f'attachment; filename="{name}.kubeconfig"'
    assert found == [f"{SERVER}{path}" for path in expected]


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, "Name a cluster as"),
        ("all=yes", 400, "Name a cluster as"),
        ("all=true&cluster=a/prod", 400, "Name a cluster as"),
        ("cluster=a/prod&cluster=a/test", 400, "Name a cluster as"),
        ("cluster=A/prod", 400, "Name a cluster as"),
        ("cluster=a/prod/x", 400, "Name a cluster as"),
        ("cluster=a/%0d%0aX-Bad:1", 400, "Name a cluster as"),
        ("cluster=a/prod&plugin=other", 400, "The plugin is not one of"),
        ("cluster=b/prod", 403, 'of cluster "b/prod"'),
        ("cluster=b/never-there", 403, 'of cluster "b/never-there"'),
        ("cluster=default/kaas-mgmt", 403, 'of cluster "default/kaas-mgmt"'),
        ("cluster=a/never-there", 404, "There is no such cluster"),
    ],
)
async def test_what_is_refused(visit, query, status, text):
    found = await page(await visit("m:kaas:a@writer"), f"/console/kubeconfig?{query}", status)
    assert text in found.text


async def test_a_refusal_leads_to_its_explanation(visit):
    client = await visit("m:kaas:a@writer")
    found = await page(client, "/console/kubeconfig?cluster=b/prod", 403)
    (link,) = [link for link in found.links if link.startswith("/console/explain?")]
    assert link == "/console/explain?method=GET&url=%2Fk8s%2Fb%2Fprod%2Fversion"
    assert 'User "ann" cannot get path "/version" of cluster "b/prod"' in (await page(client, link)).text


async def test_nothing_open_is_nothing_to_give(visit):
    found = await page(await visit("m:sl:a:prod@admin"), "/console/kubeconfig?all=true", 404)
    assert "Your roles open no Kubernetes API here" in found.text


async def test_no_management_api_is_told_to_who_may_know(visit):
    client = await visit("m:kaas@reader", directory=directory("a/prod", management=False))
    assert "There is no management API here" in (await page(client, "/console/kubeconfig?cluster=kaas", 404)).text
    nobody = await visit("m:sl:a:prod@admin", directory=directory("a/prod", management=False))
    await page(nobody, "/console/kubeconfig?cluster=kaas", 403)


async def test_kubelogin_needs_a_client(visit):
    client = await visit("m:kaas:a@writer", tokens=None)
    found = await page(client, "/console/kubeconfig?cluster=a/prod&plugin=kubelogin", 400)
    assert "use the plugin mosk-proxy" in found.text

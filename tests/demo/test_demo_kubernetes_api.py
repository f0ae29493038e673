"""The demonstration API over HTTP: who is let in, and what each verb answers to well-made and to bad requests."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from proxy.demo.kubernetes import ApiServer, child_objects, management_objects

Document = dict[str, Any]

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SUBNETS = "/apis/ipam.mirantis.com/v1alpha1/namespaces/team-a/subnets"
APPLY = {"Content-Type": "application/apply-patch+yaml"}
MERGE = {"Content-Type": "application/merge-patch+json"}
TABLE = {
    "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
}


def needed(document: Document) -> bool:
    """A child cluster beside one project of the management API is enough here."""
    return document["kind"] == "CustomResourceDefinition" or "team-a" in document["metadata"].values()


OBJECTS = [*child_objects("prod"), *filter(needed, management_objects())]


@dataclass
class Client:
    server: ApiServer
    http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        async with self.http.request(method, path, json=body, **options) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if "json" in answer.content_type else text

    async def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        status, answer = await self.ask(method, path, body, **options)
        assert status < 300, answer
        return answer

    async def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str, str]:
        status, answer = await self.ask(method, path, body, **options)
        assert answer["kind"] == "Status"
        assert (answer["status"], answer["code"]) == ("Failure", status)
        return status, answer["reason"], answer["message"]


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    server = ApiServer(OBJECTS, name="kaas", tokens={"secret": "ann"})
    port = await server.start("127.0.0.1", 0, None)
    headers = {"Authorization": "Bearer secret", "User-Agent": "tester/1"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as http:
        yield Client(server, http)
    await server.stop()


def config_map(name: str, **members: Any) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}, **members}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer other"}, {"Authorization": "Basic secret"}, {"Authorization": "secret"}]
)
async def test_without_a_known_token_nothing_but_probes_is_answered(api: Client, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(api.http._base_url, headers=headers) as stranger:
        for path in ("/api", PODS, f"{PODS}/toolbox/exec", "/nowhere", *(["/livez"] if headers else [])):
            async with stranger.get(path) as answer:
                assert answer.status == 401
                assert (await answer.json())["reason"] == "Unauthorized"
    assert not api.server.seen
    async with aiohttp.ClientSession(api.http._base_url) as prober, prober.get("/readyz") as answer:
        assert await answer.text() == "ok"


async def test_impersonation_is_believed_and_remembered(api: Client) -> None:
    who = {"Impersonate-User": "bob", "Impersonate-Uid": "7", "Impersonate-Extra-Example.test%2fscope": "x"}
    headers = [*who.items(), ("Impersonate-Group", "m:k8s:a:b@cluster-admin"), ("Impersonate-Group", "other")]
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await api.ok("POST", path, review, headers=headers)
    assert answer["status"]["userInfo"] == {
        "username": "bob",
        "uid": "7",
        "groups": ["m:k8s:a:b@cluster-admin", "other", "system:authenticated"],
        "extra": {"example.test/scope": ["x"]},
    }
    seen = api.server.seen[-1]
    assert (seen.method, seen.path, seen.caller.user, seen.caller.through) == ("POST", path, "bob", "ann")
    assert "Authorization" not in seen.headers
    assert (await api.ok("POST", path, review))["status"]["userInfo"]["username"] == "ann"
    assert (await api.refused("GET", PODS, headers={"Impersonate-Group": "g"}))[:2] == (400, "BadRequest")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nowhere", (404, "NotFound")),
        ("GET", "/apis/nowhere.example/v1", (404, "NotFound")),
        ("GET", "/api/v1/nothings", (404, "NotFound")),
        ("GET", "/api/v1/namespaces/default/nodes", (404, "NotFound")),
        ("GET", f"{PODS}/nobody", (404, "NotFound")),
        ("GET", f"{PODS}/toolbox/nothing", (404, "NotFound")),
        ("GET", f"{PODS}/toolbox/log/more", (404, "NotFound")),
        ("GET", f"{PODS}?labelSelector=a%20like%20b", (400, "BadRequest")),
        ("GET", f"{PODS}?fieldSelector=metadata.name", (400, "BadRequest")),
        ("GET", f"{PODS}?continue=nonsense", (400, "BadRequest")),
        ("GET", f"{PODS}?limit=-1", (400, "BadRequest")),
        ("GET", f"{PODS}?watch=1&resourceVersion=1", (410, "Expired")),
        ("GET", f"{PODS}/toolbox/log?container=nobody", (400, "BadRequest")),
        ("GET", f"{PODS}/toolbox/log", (400, "BadRequest")),
        ("GET", f"{PODS}/toolbox/exec?command=ls&stdout=1", (400, "BadRequest")),
        ("POST", f"{PODS}/toolbox/log", (405, "MethodNotAllowed")),
        ("POST", "/version", (405, "MethodNotAllowed")),
        ("PUT", PODS, (405, "MethodNotAllowed")),
        ("DELETE", f"{PODS}/toolbox/status", (405, "MethodNotAllowed")),
        ("GET", f"{PODS}/toolbox/eviction", (405, "MethodNotAllowed")),
        ("GET", "/api/v1/namespaces/default/services/nobody/proxy/", (404, "NotFound")),
        ("GET", "/api/v2", (404, "NotFound")),
        ("GET", "/apis/a/b/c", (404, "NotFound")),
        ("GET", "/openapi/v4", (404, "NotFound")),
        ("GET", "/openapi/v3/apis/nowhere.example/v1", (404, "NotFound")),
        ("POST", f"{PODS}/toolbox", (405, "MethodNotAllowed")),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", (405, "MethodNotAllowed")),
    ],
)
async def test_refusals_are_status_objects(api: Client, method: str, path: str, expected: tuple[int, str]) -> None:
    assert (await api.refused(method, path))[:2] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], (400, "BadRequest")),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}, (400, "BadRequest")),
        ({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "x"}}, (400, "BadRequest")),
        (config_map("x", metadata={"name": "x", "namespace": "other"}), (400, "BadRequest")),
        (config_map("x", metadata={}), (422, "Invalid")),
        (config_map("Upper"), (422, "Invalid")),
        (config_map("x", data="text"), (422, "Invalid")),
        (config_map("x", extra=1), (400, "BadRequest")),
        (config_map("web-settings"), (409, "AlreadyExists")),
    ],
)
async def test_create_refuses(api: Client, body: Any, expected: tuple[int, str]) -> None:
    assert (await api.refused("POST", f"{MAPS}?fieldValidation=Strict", body))[:2] == expected


async def test_create_wants_json_a_namespace_and_a_bound(api: Client) -> None:
    assert (await api.refused("POST", "/api/v1/namespaces/nowhere/configmaps", config_map("x")))[:2] == (404, "NotFound")
    for headers, data, code in (
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Type": "application/json"}, b"{", 400),
        ({"Content-Type": "application/json"}, b"[" * 100_000, 400),
        ({"Content-Type": "application/json"}, b" " * (4 << 20), 413),
    ):
        assert (await api.refused("POST", MAPS, headers=headers, data=io.BytesIO(data)))[0] == code


async def test_objects_are_made_changed_and_removed(api: Client) -> None:
    made = await api.ok("POST", MAPS, config_map("x", metadata={"generateName": "x-"}))
    name, version = made["metadata"]["name"], made["metadata"]["resourceVersion"]
    assert name.startswith("x-")
    path = f"{MAPS}/{name}"
    changed = await api.ok("PUT", path, {**made, "data": {"a": "c"}})
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert int(changed["metadata"]["resourceVersion"]) > int(version)
    assert changed["metadata"]["managedFields"][0]["manager"] == "tester"
    assert (await api.refused("PUT", path, {**made, "data": {}}))[:2] == (409, "Conflict")
    again = await api.ok("PUT", path, changed)
    assert again["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]
    await api.refused("PUT", path, {**changed, "metadata": {**changed["metadata"], "name": "y"}})
    for wanted in ({"uid": "other"}, {"resourceVersion": version}):
        refused = await api.refused("DELETE", path, {"preconditions": wanted})
        assert refused[:2] == (409, "Conflict")
    assert (await api.ok("DELETE", path, {"preconditions": {"uid": made["metadata"]["uid"]}}))["status"] == "Success"
    assert (await api.refused("GET", path))[0] == 404


async def test_the_server_fills_in_what_was_left_out(api: Client) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Yg=="}, "stringData": {"c": "d"}}
    made = await api.ok("POST", "/api/v1/namespaces/default/secrets", secret)
    assert (made["data"], "stringData" in made) == ({"a": "Yg==", "c": "ZA=="}, False)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    assert (await api.ok("POST", "/api/v1/namespaces", namespace))["status"] == {"phase": "Active"}
    empty = {**namespace, "metadata": {"name": "m"}, "status": {}}
    assert (await api.ok("POST", "/api/v1/namespaces", empty))["status"] == {"phase": "Active"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}}
    made = await api.ok("POST", "/api/v1/namespaces/n/services", service)
    assert (made["spec"]["type"], made["spec"]["clusterIP"][:6]) == ("ClusterIP", "10.96.")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await api.ok("POST", "/api/v1/namespaces/n/pods", pod)
    assert (made["status"]["phase"], made["spec"]["nodeName"][:12]) == ("Running", "prod-worker-")


async def test_reviews_answer_that_everything_is_allowed(api: Client) -> None:
    root = "/apis/authorization.k8s.io/v1"
    body = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    answer = await api.ok("POST", f"{root}/selfsubjectaccessreviews", body)
    assert (answer["spec"], answer["status"]["allowed"]) == (body["spec"], True)
    rules = await api.ok("POST", f"{root}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
    assert rules["status"]["resourceRules"][0]["verbs"] == ["*"]
    assert (await api.refused("POST", f"{root}/selfsubjectrulesreviews", body))[0] == 400


async def test_a_dry_run_changes_nothing(api: Client) -> None:
    dry = {"params": {"dryRun": "All"}}
    assert (await api.ok("POST", MAPS, config_map("x"), **dry))["metadata"]["uid"]
    assert (await api.refused("GET", f"{MAPS}/x"))[0] == 404
    path = f"{MAPS}/web-settings"
    before = await api.ok("GET", path)
    patched = await api.ok("PATCH", path, {"data": {"color": "red"}}, headers=MERGE, **dry)
    assert patched["data"]["color"] == "red"
    await api.ok("DELETE", path, **dry)
    await api.ok("DELETE", MAPS, **dry)
    assert await api.ok("GET", path) == before


async def test_unknown_fields_are_refused_warned_of_or_ignored(api: Client) -> None:
    for validation, warnings in (("Warn", ['299 - "unknown field \\"extra\\""']), ("Ignore", [])):
        body = config_map(validation.lower(), extra=1)
        async with api.http.post(MAPS, json=body, params={"fieldValidation": validation}) as answer:
            assert (answer.status, answer.headers.getall("Warning", [])) == (201, warnings)


async def test_a_status_is_changed_apart_from_the_rest(api: Client) -> None:
    path = f"{SUBNETS}/prod-lcm"
    before = await api.ok("GET", path)
    both = {"spec": {"cidr": "10.7.0.0/24"}, "status": {"state": "Full"}}
    after_status = await api.ok("PATCH", f"{path}/status", both, headers=MERGE)
    assert (after_status["spec"], after_status["status"]) == (before["spec"], {"state": "Full"})
    assert after_status["metadata"]["generation"] == before["metadata"]["generation"]
    after_both = await api.ok("PATCH", path, {**both, "status": {"state": "OK"}}, headers=MERGE)
    assert (after_both["spec"]["cidr"], after_both["status"]) == ("10.7.0.0/24", {"state": "Full"})
    assert after_both["metadata"]["generation"] == before["metadata"]["generation"] + 1


async def test_patch_formats_follow_the_kind(api: Client) -> None:
    strategic = {"Content-Type": "application/strategic-merge-patch+json"}
    assert (await api.ok("PATCH", f"{MAPS}/web-settings", {"data": {"x": "y"}}, headers=strategic))["data"]["x"] == "y"
    assert (await api.refused("PATCH", f"{SUBNETS}/prod-lcm", {}, headers=strategic))[:2] == (415, "UnsupportedMediaType")
    assert (await api.refused("PATCH", f"{MAPS}/web-settings", {}, headers={"Content-Type": "application/json"}))[0] == 415
    assert (await api.refused("PATCH", f"{MAPS}/web-settings", [], headers=MERGE))[0] == 400


async def test_server_side_apply_creates_changes_and_meets_conflicts(api: Client) -> None:
    path = f"{MAPS}/applied"

    async def apply(manager: str, value: str, **more: Any) -> tuple[int, Any]:
        body = config_map("applied", data={"a": value}, **more)
        return await api.ask("PATCH", path, body, headers=APPLY, params={"fieldManager": manager})

    assert [(await apply("one", value))[0] for value in ("1", "1", "2")] == [201, 200, 200]
    status, conflict = await apply("two", "3")
    assert (status, conflict["details"]["causes"][0]["field"]) == (409, ".data.a")
    forced = await api.ok(
        "PATCH", path, config_map("applied", data={"a": "3"}), headers=APPLY, params={"fieldManager": "two", "force": "true"}
    )
    assert forced["data"] == {"a": "3"}
    status, _ = await apply("two", "3", metadata={"name": "applied", "managedFields": [{}]})
    assert status == 400


async def test_an_object_with_finalizers_stays_until_they_are_gone(api: Client) -> None:
    await api.ok("POST", MAPS, config_map("held", metadata={"name": "held", "finalizers": ["example.test/hold"]}))
    marked = await api.ok("DELETE", f"{MAPS}/held")
    assert marked["metadata"]["deletionTimestamp"]
    await api.ok("PATCH", f"{MAPS}/held", {"metadata": {"finalizers": None}}, headers=MERGE)
    assert (await api.refused("GET", f"{MAPS}/held"))[0] == 404


async def test_lists_are_selected_and_paged(api: Client) -> None:
    async def names(**params: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await api.ok("GET", PODS, params=params))["items"]]

    everything = await names()
    web = await names(labelSelector="app in (web),!other")
    assert len(web) == 3
    assert await names(labelSelector="app!=web") == [name for name in everything if name not in web]
    assert await names(fieldSelector="metadata.name!=toolbox,status.phase=Running") == [
        name for name in everything if name != "toolbox"
    ]
    paged, token = [], ""
    while True:
        page = await api.ok("GET", PODS, params={"limit": "2", "continue": token})
        paged += [item["metadata"]["name"] for item in page["items"]]
        assert page["metadata"].get("remainingItemCount", 0) == len(everything) - len(paged)
        if not (token := page["metadata"].get("continue", "")):
            break
    assert paged == everything


async def test_tables_and_metadata_are_given_when_asked_for(api: Client) -> None:
    table = await api.ok("GET", f"{PODS}/toolbox", headers=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]][:5] == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert table["rows"][0]["cells"][:4] == ["toolbox", "2/2", "Running", "0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    whole = await api.ok("GET", PODS, headers=TABLE, params={"includeObject": "Object"})
    assert whole["rows"][0]["object"]["spec"]
    custom = await api.ok("GET", SUBNETS, headers=TABLE)
    assert custom["rows"][0]["cells"][:3] == ["prod-lcm", "10.0.1.0/24", "10.0.1.1"]
    metadata = await api.ok("GET", PODS, headers={"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"})
    assert {item["kind"] for item in metadata["items"]} == {"PartialObjectMetadata"}
    assert (await api.ok("GET", PODS, headers={"Accept": "application/json;as=Table;v=v1beta1;g=meta.k8s.io"}))[
        "kind"
    ] == "PodList"


@pytest.mark.parametrize(
    ("path", "columns", "cells"),
    [
        ("/api/v1/nodes", "Name Status Roles Age Version Internal-IP", ["prod-master-0", "Ready", "control-plane", "41d", "v1.30.14", "10.0.10.11"]),
        (DEPLOYMENTS, "Name Ready Up-to-date Available Age Containers Images Selector", ["api", "2/2", 2, 2, "41d", "api", "registry.demo/shop/api:4.2", "app=api"]),
        ("/apis/apps/v1/namespaces/openstack/replicasets", "Name Desired Current Ready Age", [None, 2, 2, 2, "41d"]),
        ("/api/v1/namespaces/stacklight/services", "Name Type Cluster-IP External-IP Port(s) Age Selector", ["grafana", "ClusterIP", None, "<none>", "3000/TCP", "41d", "app=grafana"]),
        ("/api/v1/namespaces/default/secrets", "Name Type Data Age", ["web-database", "Opaque", 2, "41d"]),
        ("/api/v1/namespaces/default/serviceaccounts", "Name Secrets Age", ["default", 0, "41d"]),
        ("/api/v1/namespaces/stacklight/events", "Last Seen Type Reason Object Message", ["41d", "Normal", None, None, None]),
        ("/api/v1/namespaces", "Name Status Age", ["default", "Active", "41d"]),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "Name Created At", ["baremetalhostcredentials.kaas.mirantis.com", None]),
        ("/apis/coordination.k8s.io/v1/leases", "Name Age", ["prod-master-0", "41d"]),
        ("/apis/cluster.k8s.io/v1alpha1/clusters", "Name Ready Release Nodes Maintenance Age", ["prod", "true", "mosk-17-4-0-25-1", 5, "false", "41d"]),
    ],
)  # fmt: skip
async def test_each_kind_has_its_columns(api: Client, path: str, columns: str, cells: list[Any]) -> None:
    table = await api.ok("GET", path, headers=TABLE)
    names = [column["name"] for column in table["columnDefinitions"]]
    assert " ".join(names).startswith(columns)
    row = table["rows"][0]["cells"][: len(cells)]
    assert [cell if wanted is not None else None for cell, wanted in zip(row, cells, strict=True)] == cells


async def test_the_status_column_tells_what_is_wrong(api: Client) -> None:
    async def status(path: str) -> str:
        return str((await api.ok("GET", path, headers=TABLE))["rows"][0]["cells"][2 if "pods" in path else 1])

    await api.ok("PATCH", "/api/v1/nodes/prod-worker-0", {"spec": {"unschedulable": True}}, headers=MERGE)
    assert await status("/api/v1/nodes/prod-worker-0") == "Ready,SchedulingDisabled"
    waiting = {"status": {"containerStatuses": [{"name": "shell", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}}
    await api.ok("PATCH", f"{PODS}/toolbox/status", waiting, headers=MERGE)
    assert await status(f"{PODS}/toolbox") == "CrashLoopBackOff"
    await api.ok("PATCH", f"{PODS}/toolbox", {"metadata": {"finalizers": ["example.test/hold"]}}, headers=MERGE)
    await api.ok("DELETE", f"{PODS}/toolbox")
    assert await status(f"{PODS}/toolbox") == "Terminating"


async def events_of(answer: aiohttp.ClientResponse, count: int) -> list[tuple[str, Document]]:
    lines = [json.loads(await asyncio.wait_for(answer.content.readline(), 5)) for _ in range(count)]
    return [(line["type"], line["object"]) for line in lines]


async def test_a_watch_begins_with_what_is_there_or_after_a_version(api: Client) -> None:
    async with api.http.get(MAPS, params={"watch": "1", "fieldSelector": "metadata.name=web-settings"}) as answer:
        [(kind, present)] = await events_of(answer, 1)
    assert (kind, present["metadata"]["name"]) == ("ADDED", "web-settings")
    version = present["metadata"]["resourceVersion"]
    await api.ok("PATCH", f"{MAPS}/web-settings", {"data": {"color": "red"}}, headers=MERGE)
    async with api.http.get(MAPS, params={"watch": "1", "resourceVersion": version}) as answer:
        await api.ok("POST", MAPS, config_map("x"))
        await api.ok("DELETE", f"{MAPS}/x")
        seen = [(kind, item["metadata"]["name"]) for kind, item in await events_of(answer, 3)]
    assert seen == [("MODIFIED", "web-settings"), ("ADDED", "x"), ("DELETED", "x")]


async def test_a_watch_shows_objects_enter_and_leave_its_selection(api: Client) -> None:
    await api.ok("POST", MAPS, config_map("x"))
    version = (await api.ok("GET", MAPS))["metadata"]["resourceVersion"]
    async with api.http.get(MAPS, params={"watch": "1", "resourceVersion": version, "labelSelector": "k=v"}) as answer:
        for labels in ({"k": "v"}, {"k": "v", "l": "m"}, {"k": "w"}, {"k": None}):
            await api.ok("PATCH", f"{MAPS}/x", {"metadata": {"labels": labels}}, headers=MERGE)
        await api.ok("PATCH", f"{MAPS}/x", {"metadata": {"labels": {"k": "v"}}}, headers=MERGE)
        assert [kind for kind, _ in await events_of(answer, 4)] == ["ADDED", "MODIFIED", "DELETED", "ADDED"]


async def test_a_watch_sends_table_rows_bookmarks_and_ends_in_time(api: Client) -> None:
    params = {"watch": "1", "sendInitialEvents": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "1"}
    only = {"fieldSelector": "metadata.name=web-settings"}
    async with api.http.get(MAPS, params=params | only, headers=TABLE) as answer:
        (_, row), (kind, bookmark) = await events_of(answer, 2)
        assert row["rows"][0]["cells"][:2] == ["web-settings", 2]
        assert (kind, bookmark["metadata"]["annotations"]) == ("BOOKMARK", {"k8s.io/initial-events-end": "true"})
        assert await asyncio.wait_for(answer.content.read(), 5) == b""


async def test_a_client_that_leaves_while_it_is_written_to_is_no_error(api: Client, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        left = [await api.http.get(MAPS, params={"watch": "1"}) for _ in range(10)]
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                patch = {"metadata": {"labels": {"n": str(number)}}}
                group.create_task(api.ok("PATCH", f"{MAPS}/web-settings", patch, headers=MERGE))
                await asyncio.sleep(0)
                left[number].close()
    assert caplog.text == ""


async def test_stopping_the_server_ends_watches_and_logs(api: Client) -> None:
    version = (await api.ok("GET", MAPS))["metadata"]["resourceVersion"]
    async with (
        api.http.get(MAPS, params={"watch": "1", "resourceVersion": version}) as watching,
        api.http.get(f"{PODS}/toolbox/log", params={"follow": "1", "container": "shell"}) as following,
    ):
        await following.content.readline()
        await asyncio.wait_for(api.server.stop(), 5)
        assert await watching.content.read() == b""


async def test_deployments_have_their_pods(api: Client) -> None:
    async def pods() -> set[str]:
        return {item["metadata"]["name"] for item in (await api.ok("GET", PODS, params={"labelSelector": "app=web"}))["items"]}

    before = await pods()
    assert len(before) == 3
    scale = await api.ok("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 5}}, headers=MERGE)
    assert (scale["kind"], scale["status"]["replicas"]) == ("Scale", 5)
    assert before < await pods()
    assert (await api.refused("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 101}}, headers=MERGE))[0] == 400
    gone = min(before)
    await api.ok("POST", f"{PODS}/{gone}/eviction", {})
    assert len(await pods()) == 5
    assert gone not in await pods()
    await api.ok("DELETE", f"{DEPLOYMENTS}/web", {"propagationPolicy": "Orphan"})
    assert len(await pods()) == 5
    await api.ok("DELETE", f"{DEPLOYMENTS}/api")
    assert not (await api.ok("GET", PODS, params={"labelSelector": "app=api"}))["items"]


async def test_a_new_definition_is_served_until_it_is_removed(api: Client) -> None:
    names = {"kind": "Tea", "plural": "teas", "shortNames": ["t"]}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "teas.example.test"},
        "spec": {"group": "example.test", "scope": "Cluster", "names": names, "versions": versions},
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = await api.ok("POST", path, definition)
    assert made["status"]["acceptedNames"] == names
    tea = {"apiVersion": "example.test/v1", "kind": "Tea", "metadata": {"name": "green"}, "leaves": 3}
    await api.ok("POST", "/apis/example.test/v1/teas", tea)
    assert (await api.ok("GET", "/apis/example.test/v1"))["resources"][0]["name"] == "teas"
    await api.ok("DELETE", f"{path}/teas.example.test")
    assert (await api.refused("GET", "/apis/example.test/v1/teas"))[0] == 404


async def test_deleting_a_collection_and_a_namespace(api: Client) -> None:
    deleted = await api.ok("DELETE", PODS, params={"labelSelector": "app=toolbox"})
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["toolbox"]
    await api.ok("DELETE", "/api/v1/namespaces/team-a")
    assert not (await api.ok("GET", SUBNETS))["items"]


async def test_discovery_comes_plain_and_aggregated_with_its_content_type(api: Client) -> None:
    groups = {group["name"] for group in (await api.ok("GET", "/apis"))["groups"]}
    assert {"apps", "cluster.k8s.io", "metal3.io"} <= groups
    for version in ("v2", "v2beta1"):
        form = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        for root, expected in (("/api", {""}), ("/apis", groups)):
            async with api.http.get(root, headers={"Accept": f"{form},application/json"}) as answer:
                assert answer.headers["Content-Type"] == form
                assert {item["metadata"]["name"] for item in (await answer.json())["items"]} == expected
    plain = await api.ok("GET", "/api/v1")
    assert {"pods", "pods/exec", "pods/log", "nodes"} <= {row["name"] for row in plain["resources"]}
    assert (await api.ok("GET", "/apis/apps"))["preferredVersion"]["groupVersion"] == "apps/v1"
    assert (await api.ok("GET", "/version"))["gitVersion"].startswith("v1.")


async def test_openapi_documents_are_listed_and_there(api: Client) -> None:
    index = await api.ok("GET", "/openapi/v3")
    for path, entry in index["paths"].items():
        document = await api.ok("GET", entry["serverRelativeURL"])
        assert document["components"]["schemas"], path
    metal = await api.ok("GET", "/openapi/v3/apis/metal3.io/v1alpha1")
    patch = metal["paths"]["/apis/metal3.io/v1alpha1/namespaces/{namespace}/baremetalhosts/{name}"]["patch"]
    assert {parameter["name"] for parameter in patch["parameters"]} >= {"fieldValidation", "dryRun"}
    async with api.http.get("/openapi/v2") as answer:
        assert (await answer.read()).startswith(b"\n\x032.0")


async def test_logs_are_cut_as_asked(api: Client) -> None:
    async def lines(**params: str) -> list[str]:
        return str(await api.ok("GET", f"{PODS}/toolbox/log", params={"container": "shell", **params})).splitlines()

    assert len(await lines(tailLines="3")) == 3
    assert len(await lines(sinceSeconds="2")) in (9, 10, 11)
    assert sum(map(len, await lines(limitBytes="50"))) == 50
    [line] = await lines(tailLines="1", timestamps="true")
    assert line.split()[0] == line.split()[1]
    recent = await lines(sinceTime=line.split()[0])
    assert line.partition(" ")[2] in recent
    assert (await api.refused("GET", f"{PODS}/toolbox/log?container=shell&sinceTime=yesterday"))[0] == 400


async def test_following_a_log_ends_with_the_pod(api: Client) -> None:
    async with api.http.get(f"{PODS}/toolbox/log", params={"container": "shell", "follow": "1", "tailLines": "1"}) as following:
        first = await following.content.readline()
        second = await asyncio.wait_for(following.content.readline(), 2)
        assert int(second.rpartition(b"=")[2]) == int(first.rpartition(b"=")[2]) + 1
        await api.ok("DELETE", f"{PODS}/toolbox")
        assert (await asyncio.wait_for(following.content.read(), 5)).count(b"\n") <= 2


async def test_the_proxy_subresource_shows_a_page_that_escapes_its_path(api: Client) -> None:
    status, page = await api.ask("GET", f"{PODS}/toolbox/proxy/<b>/x")
    assert status == 200
    assert "Hello from default/toolbox" in page
    assert "&lt;b&gt;/x" in page
    assert "Hello from default/web" in (await api.ask("GET", "/api/v1/namespaces/default/services/web/proxy/"))[1]


def test_objects_of_an_unknown_kind_are_an_error() -> None:
    with pytest.raises(ValueError, match="no resource for v1 Nothing"):
        ApiServer([{"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "x"}}], name="x", tokens={})


def test_the_management_api_is_seeded_as_the_policy_expects() -> None:
    kinds = {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each for each in management_objects()}
    management = kinds["Cluster", "default", "kaas-mgmt"]
    assert management["spec"]["providerSpec"]["value"]["kaas"]["management"]["enabled"] is True
    for project, cluster in (("team-a", "prod"), ("team-b", "dev")):
        status = kinds["Cluster", project, cluster]["status"]["providerStatus"]
        assert status["oidc"]["groupsClaim"] == "iam_roles"
        assert status["loadBalancerHost"]
        assert ("Secret", project, f"{cluster}-kubeconfig") in kinds
        assert (
            kinds["Machine", project, f"{cluster}-worker-0"]["metadata"]["labels"]["cluster.sigs.k8s.io/cluster-name"] == cluster
        )
    assert kinds["IAMClusterRoleBinding", "team-a", "prod-cluster-admin-prod-cluster-admin"]["cluster"] == {"name": "prod"}
    assert {("Namespace", None, name) for name in ("default", "team-a", "team-b", "kaas", "kube-system")} <= kinds.keys()


@pytest.mark.parametrize(
    ("method", "path", "content_type", "body"),
    [
        ("POST", DEPLOYMENTS, "json", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}),
        ("POST", DEPLOYMENTS, "json", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": None}}),
        ("POST", MAPS, "json", config_map("x", metadata={"name": ["x"]})),
        ("POST", MAPS, "json", config_map("x", metadata="x")),
        ("PATCH", f"{DEPLOYMENTS}/web", "strategic-merge-patch+json", {"spec": {"template": {"spec": {"containers": [{"name": ["web"]}]}}}}),
        ("PATCH", f"{DEPLOYMENTS}/web", "strategic-merge-patch+json", {"spec": {"replicas": [1]}}),
        ("PATCH", f"{MAPS}/web-settings", "apply-patch+yaml", config_map("web-settings", metadata={"$patch": "delete"}, data=1)),
        ("PATCH", f"{MAPS}/web-settings", "json-patch+json", [{"op": "remove", "path": "/metadata"}, {"op": "remove", "path": "/kind"}]),
        ("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "json",
         {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "x"}, "spec": {}}),
    ],
)  # fmt: skip
async def test_misshapen_bodies_are_refused_as_the_client_s_mistake(
    api: Client, method: str, path: str, content_type: str, body: Any
) -> None:
    status, _, _ = await api.refused(method, path, body, headers={"Content-Type": f"application/{content_type}"})
    assert 400 <= status < 500


async def test_a_kind_without_a_schema_may_hold_anything_and_is_still_listed(api: Client) -> None:
    path = "/apis/apps/v1/namespaces/default/daemonsets"
    odd = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "odd"},
        "spec": {"template": {"spec": {"nodeSelector": []}}},
    }
    await api.ok("POST", path, odd)
    assert (await api.ok("GET", path, headers=TABLE))["rows"][0]["cells"][4] == "<unknown>"

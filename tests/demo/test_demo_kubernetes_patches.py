"""The patch formats, server-side apply and its field owners, as tables of documents."""

from typing import Any

import pytest

from proxy.demo.kubernetes import managed_fields
from proxy.demo.kubernetes.json_patch import json_patch, merge_patch
from proxy.demo.kubernetes.managed_fields import Writer
from proxy.demo.kubernetes.refusals import Refused
from proxy.demo.kubernetes.strategic_merge import strategic_merge

Document = dict[str, Any]


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": "text"}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    ],
)
def test_merge_patch(target: Document, patch: Document, expected: Document) -> None:
    assert merge_patch(target, patch) == expected


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/b", "value": 1}], {"a": [1, 2], "b": 1}),
        ([{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
        ([{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 2, 9]}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ([{"op": "replace", "path": "/a", "value": 3}], {"a": 3}),
        ([{"op": "replace", "path": "/a/1", "value": 3}], {"a": [1, 3]}),
        ([{"op": "copy", "from": "/a", "path": "/b"}, {"op": "remove", "path": "/a/0"}], {"a": [2], "b": [1, 2]}),
        ([{"op": "move", "from": "/a/0", "path": "/x~1y~0z"}], {"a": [2], "x/y~z": 1}),
        ([{"op": "test", "path": "/a/0", "value": 1}], {"a": [1, 2]}),
    ],
)
def test_json_patch(operations: list[Document], expected: Document) -> None:
    document = {"a": [1, 2]}
    assert json_patch(document, operations) == expected
    assert document == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ({"op": "add"}, 400),
        (["add"], 400),
        ([{"op": "add", "path": "/b"}], 400),
        ([{"op": "jump", "path": "/b"}], 400),
        ([{"op": "remove", "path": "a"}], 400),
        ([{"op": "remove", "path": "/b"}], 422),
        ([{"op": "remove", "path": "/a/2"}], 422),
        ([{"op": "add", "path": "/a/3", "value": 1}], 422),
        ([{"op": "add", "path": "/a/0/x", "value": 1}], 422),
        ([{"op": "test", "path": "/a", "value": 1}], 422),
        ([{"op": "replace", "path": "", "value": 1}], 422),
    ],
)
def test_json_patch_refuses(operations: Any, code: int) -> None:
    with pytest.raises(Refused) as refused:
        json_patch({"a": [1, 2]}, operations)
    assert refused.value.code == code


ONE, TWO = {"name": "one", "image": "a"}, {"name": "two", "image": "b"}


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        ({"containers": [ONE, TWO]}, {"containers": [{"name": "two", "image": "c"}]}, {"containers": [ONE, {"name": "two", "image": "c"}]}),
        ({"containers": [ONE, TWO]}, {"containers": [{"name": "one", "$patch": "delete"}]}, {"containers": [TWO]}),
        ({"containers": [ONE]}, {"containers": [TWO], "$setElementOrder/containers": [{"name": "two"}, {"name": "one"}]}, {"containers": [TWO, ONE]}),
        ({"containers": [ONE]}, {"containers": [{"$patch": "replace"}, TWO]}, {"containers": [TWO]}),
        ({"ports": [{"containerPort": 1}]}, {"ports": [{"containerPort": 1, "name": "x"}]}, {"ports": [{"containerPort": 1, "name": "x"}]}),
        ({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}),
        ({"finalizers": ["a", "b"]}, {"finalizers": ["c"]}, {"finalizers": ["a", "b", "c"]}),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$patch": "replace", "d": 3}}, {"a": {"d": 3}}),
        ({"a": {"b": 1}}, {"a": {"$patch": "delete"}}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$retainKeys": ["c", "d"], "d": 3}}, {"a": {"c": 2, "d": 3}}),
        ({"a": 1}, {"a": None, "b": {"c": None, "d": 1}}, {"b": {"d": 1}}),
    ],
)  # fmt: skip
def test_strategic_merge(target: Document, patch: Document, expected: Document) -> None:
    assert strategic_merge(target, patch) == expected


def workload(**spec: Any) -> Document:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


ANN, BOB = Writer("ann", "Apply"), Writer("bob", "Apply")


def owners(document: Document) -> dict[str, set[str]]:
    entries = document["metadata"]["managedFields"]
    return {entry["manager"]: {"".join(path) for path in managed_fields._paths(entry)} for entry in entries}


def test_an_update_gives_the_changed_fields_to_its_writer_and_takes_them_from_others() -> None:
    first = managed_fields.record_update(None, workload(replicas=1, paused=True), Writer("ann", "Update"))
    assert owners(first) == {"ann": {"f:specf:replicas", "f:specf:paused"}}
    second = managed_fields.record_update(first, {**first, "spec": {"replicas": 2}}, Writer("bob", "Update"))
    assert owners(second) == {"bob": {"f:specf:replicas"}}


def test_an_apply_takes_back_what_it_no_longer_names_but_not_what_others_own() -> None:
    live = managed_fields.apply({"metadata": {}}, workload(replicas=1, paused=True), ANN, force=False)
    live = managed_fields.apply(live, workload(paused=True), BOB, force=False)
    live = managed_fields.apply(live, workload(minReadySeconds=3), ANN, force=False)
    assert live["spec"] == {"paused": True, "minReadySeconds": 3}
    assert owners(live) == {"ann": {"f:specf:minReadySeconds"}, "bob": {"f:specf:paused"}}


def test_an_apply_of_a_field_of_others_is_a_conflict_unless_forced() -> None:
    live = managed_fields.apply({"metadata": {}}, workload(containers=[ONE]), ANN, force=False)
    changed = workload(containers=[{"name": "one", "image": "z"}])
    with pytest.raises(Refused, match=r'\.spec\.containers\[name="one"\]\.image: conflict with "ann"') as refused:
        managed_fields.apply(live, changed, BOB, force=False)
    assert refused.value.code == 409
    forced = managed_fields.apply(live, changed, BOB, force=True)
    assert forced["spec"] == {"containers": [{"name": "one", "image": "z"}]}
    assert 'f:specf:containersk:{"name":"one"}f:image' not in owners(forced)["ann"]


def test_an_apply_removes_a_list_item_that_it_no_longer_names() -> None:
    live = managed_fields.apply({"metadata": {}}, workload(containers=[ONE, TWO]), ANN, force=False)
    assert managed_fields.apply(live, workload(containers=[TWO]), ANN, force=False)["spec"] == {"containers": [TWO]}

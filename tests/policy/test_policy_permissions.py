"""The permissions file: read whole or refused whole, every problem with its path and remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.permissions import Permissions, PermissionsError, load_permissions, shipped_permissions_text
from proxy.policy.surfaces import SurfaceRule

SMALLEST = """
version: 1
surfaces: [{name: management_cluster}]
grants:
  management_cluster: {"m:kaas@management-admin": rw}
"""


def problems_of(text):
    with pytest.raises(PermissionsError) as caught:
        load_permissions(text, "table.yaml")
    assert caught.value.source == "table.yaml"
    assert str(caught.value).splitlines() == [
        f"table.yaml: {path}: {message}" if path else f"table.yaml: {message}" for path, message in caught.value.problems
    ]
    return caught.value.problems


def changed(old, new):
    assert old in SMALLEST
    return SMALLEST.replace(old, new)


def test_the_smallest_table():
    assert load_permissions(SMALLEST, "table.yaml") == Permissions(
        (SurfaceRule(name="management_cluster"),), frozenset(), {"management_cluster": {"m:kaas@management-admin": "rw"}}
    )


def test_the_shipped_table_is_that_of_the_checkout_and_has_no_problem():
    text = shipped_permissions_text()
    assert text == (Path(__file__).parents[2] / "config" / "permissions.yaml").read_text(encoding="utf-8")
    assert load_permissions(text, "shipped").unbound == {"self_review", "discovery", "project_names", "iam_catalog", "releases"}


def test_all_matchers_are_read():
    rule = """
- name: projects
  groups: ["", g.io]
  resources: [namespaces, "*s"]
  namespaces: [default, null]
  system_namespace: false
  names: [x, null, "<any>", "<system>"]
  verbs: [get, watch]
  methods: [GET, HEAD]
  access: read
- {name: discovery, paths: [/, /api, "/apis/<group>", /openapi/*]}"""
    text = changed("[{name: management_cluster}]", rule)
    assert load_permissions(text, "table.yaml").surfaces == (
        SurfaceRule(
            name="projects",
            groups=frozenset({"", "g.io"}),
            resources=("namespaces", "*s"),
            namespaces=frozenset({"default", None}),
            system_namespace=False,
            names=frozenset({"x", None, "<any>", "<system>"}),
            verbs=frozenset({"get", "watch"}),
            methods=frozenset({"GET", "HEAD"}),
            access="read",
        ),
        SurfaceRule(name="discovery", paths=("/", "/api", "/apis/<group>", "/openapi/*")),
    )


@pytest.mark.parametrize(
    ("old", "new", "path", "part"),
    [
        ("version: 1", "version: 2", "version", "2 is not known; use 1"),
        ("version: 1", "version: '1'", "version", '"1" is not known; use 1'),
        ("version: 1", "version: true", "version", "true is not known; use 1"),
        ("version: 1", "", "version", "nothing is not known; use 1"),
        ("version: 1", "version: 1\nextra: 1", "extra", "unknown key; known are version, surfaces, unbound, grants"),
        ("version: 1", "version: 1\nunbound: all", "unbound", "not a list of surfaces"),
        (
            "version: 1",
            "version: 1\nunbound: [discovery, nowhere]",
            "unbound[1]",
            'unknown surface "nowhere"; known are self_review',
        ),
        ("version: 1", "version: 1\nunbound: [cluster_api]", "unbound[0]", 'unknown surface "cluster_api"'),
        ("surfaces: [{name: management_cluster}]", "", "surfaces", "not a list of rules"),
        ("[{name: management_cluster}]", "[]", "surfaces", "not a list of rules"),
        ("[{name: management_cluster}]", "{}", "surfaces", "not a list of rules"),
        ("{name: management_cluster}", "everything", "surfaces[0]", "not a rule"),
        ("{name: management_cluster}", "{groups: [g.io]}", "surfaces[0]", "has no name"),
        ("{name: management_cluster}", "{name: nowhere}", "surfaces[0].name", 'unknown surface "nowhere"'),
        ("{name: management_cluster}", "{name: cluster_api}", "surfaces[0].name", 'unknown surface "cluster_api"'),
        ("{name: management_cluster}", "{name: [discovery]}", "surfaces[0].name", "unknown surface a list"),
        (
            "{name: management_cluster}",
            "{name: projects, group: [g]}",
            "surfaces[0].group",
            "unknown key; known are name, groups",
        ),
        (
            "{name: management_cluster}",
            "{name: projects, groups: g.io}",
            "surfaces[0].groups",
            '"g.io" is not a list of values; use API groups',
        ),
        ("{name: management_cluster}", "{name: projects, groups: []}", "surfaces[0].groups", "a list is not a list of values"),
        ("{name: management_cluster}", "{name: projects, groups: null}", "surfaces[0].groups", "nothing is not a list of values"),
        (
            "{name: management_cluster}",
            "{name: projects, groups: [G.io]}",
            "surfaces[0].groups[0]",
            'unknown value "G.io"; use API groups',
        ),
        ("{name: management_cluster}", "{name: projects, groups: [null]}", "surfaces[0].groups[0]", "unknown value nothing"),
        (
            "{name: management_cluster}",
            "{name: projects, resources: [a, Pods]}",
            "surfaces[0].resources[1]",
            'unknown value "Pods"',
        ),
        ("{name: management_cluster}", "{name: projects, resources: [a*]}", "surfaces[0].resources[0]", 'unknown value "a*"'),
        ("{name: management_cluster}", "{name: projects, resources: ['*']}", "surfaces[0].resources[0]", 'unknown value "*"'),
        ("{name: management_cluster}", "{name: projects, resources: [1]}", "surfaces[0].resources[0]", "unknown value 1"),
        ("{name: management_cluster}", "{name: projects, namespaces: [A]}", "surfaces[0].namespaces[0]", 'unknown value "A"'),
        ("{name: management_cluster}", "{name: projects, namespaces: [a.b]}", "surfaces[0].namespaces[0]", 'unknown value "a.b"'),
        ("{name: management_cluster}", "{name: projects, names: ['<all>']}", "surfaces[0].names[0]", 'unknown value "<all>"'),
        ("{name: management_cluster}", "{name: projects, names: ['']}", "surfaces[0].names[0]", 'unknown value ""'),
        ("{name: management_cluster}", "{name: projects, names: [{}]}", "surfaces[0].names[0]", "unknown value a mapping"),
        (
            "{name: management_cluster}",
            "{name: projects, verbs: [read]}",
            "surfaces[0].verbs[0]",
            'unknown value "read"; use verbs: get, list',
        ),
        ("{name: management_cluster}", "{name: projects, verbs: [[get]]}", "surfaces[0].verbs[0]", "unknown value a list"),
        (
            "{name: management_cluster}",
            "{name: projects, methods: [get]}",
            "surfaces[0].methods[0]",
            'unknown value "get"; use methods: GET',
        ),
        ("{name: management_cluster}", "{name: projects, methods: [{}]}", "surfaces[0].methods[0]", "unknown value a mapping"),
        (
            "{name: management_cluster}",
            "{name: projects, paths: [api]}",
            "surfaces[0].paths[0]",
            'unknown value "api"; use non-resource paths',
        ),
        ("{name: management_cluster}", "{name: projects, paths: [/api/]}", "surfaces[0].paths[0]", 'unknown value "/api/"'),
        ("{name: management_cluster}", "{name: projects, paths: [/api/*/x]}", "surfaces[0].paths[0]", 'unknown value "/api/*/x"'),
        (
            "{name: management_cluster}",
            "{name: projects, paths: [/a], groups: [g]}",
            "surfaces[0].paths",
            "never matches together with groups",
        ),
        (
            "{name: management_cluster}",
            "{name: projects, access: rw}",
            "surfaces[0].access",
            '"rw" is not known; use read or write',
        ),
        ("{name: management_cluster}", "{name: projects, access: true}", "surfaces[0].access", "true is not known"),
        ("{name: management_cluster}", "{name: projects, access: [read]}", "surfaces[0].access", "a list is not known"),
        (
            "{name: management_cluster}",
            "{name: projects, system_namespace: 1}",
            "surfaces[0].system_namespace",
            "1 is not known; use true or false",
        ),
        (
            "{name: management_cluster}",
            "{name: projects, system_namespace: yes}",
            "surfaces[0].system_namespace",
            '"yes" is not known',
        ),
        ("rw}", "w}", "grants.management_cluster", 'unknown right "w"; use r or rw'),
        ("rw}", "null}", "grants.management_cluster", "unknown right nothing; use r or rw"),
        ("rw}", "[r]}", "grants.management_cluster", "unknown right a list; use r or rw"),
        (
            "rw}",
            'rw, "m:kaas@root": r}',
            "grants.management_cluster",
            'unknown role "m:kaas@root"; known are m:sl:<ns>:<cluster>@stacklight-admin',
        ),
        ("rw}", 'rw, "m:kaas:a@writer": r}', "grants.management_cluster", 'unknown role "m:kaas:a@writer"'),
        ("rw}", "rw, 7: r}", "grants.management_cluster", "unknown role 7"),
        ("rw}", 'rw, "m:k8s:<ns>:<cluster>@cluster-admin": r}', "grants.management_cluster", "acts inside its cluster only"),
        ("rw}", "rw}\n  nowhere: {}", "grants.nowhere", "unknown surface; known are self_review"),
        ("rw}", "rw}\n  projects: [r]", "grants.projects", "not a mapping of roles to rights"),
        ("rw}", "rw}\n  projects:", "grants.projects", "not a mapping of roles to rights"),
        ('{"m:kaas@management-admin": rw}', "{}", "grants.management_cluster", "granted to nobody"),
        ('management_cluster: {"m:kaas@management-admin": rw}', "projects: {}", "grants.management_cluster", "granted to nobody"),
        ('\n  management_cluster: {"m:kaas@management-admin": rw}', "", "grants", "not a mapping of surfaces"),
    ],
)
def test_one_problem_is_named_with_its_path_and_remedy(old, new, path, part):
    problems = problems_of(changed(old, new))
    assert [found for found, _ in problems] == [path]
    assert part in problems[0][1]


def test_all_problems_are_told_at_once():
    text = """
version: 3
surfaces: [{name: x}, {groups: [A], access: all}]
unbound: [y]
grants: {z: {"m:kaas@root": w}}
more: 1
"""
    assert [path for path, _ in problems_of(text)] == [
        "more",
        "version",
        "surfaces[0].name",
        "surfaces[1]",
        "surfaces[1].groups[0]",
        "surfaces[1].access",
        "unbound[0]",
        "grants.z",
        "grants.z",
        "grants.z",
        "grants.management_cluster",
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("[]", ""),
        ("version: 1\nversion: 1\n", "line 2"),
        ("a: {b: 1, b: 2}", "line 1"),
        ("version: [1\n", "line 2"),
        ("version: 1\n\tx: 1", "line 2"),
        ("? [a]\n: 1\n{", "line 3"),
        ("x: !!python/object:os.system 1", "line 1"),
        ("a: *b", "line 1"),
        ("\x00", ""),
        ("[" * 1200, ""),
    ],
)
def test_what_is_no_mapping_or_no_yaml_is_one_problem(text, path):
    assert [found for found, _ in problems_of(text)] == [path]


def test_rights_that_nobody_names_are_nobodys():
    permissions = load_permissions(SMALLEST, "table.yaml")
    assert "secrets" not in permissions.grants


def test_a_cluster_role_may_hold_an_unbound_surface():
    text = changed("rw}", 'rw}\n  discovery: {"m:k8s:<ns>:<cluster>@cluster-admin": r}').replace(
        "grants:", "unbound: [discovery]\ngrants:"
    )
    assert load_permissions(text, "t").grants["discovery"] == {"m:k8s:<ns>:<cluster>@cluster-admin": "r"}


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["name", "groups", "discovery", "r", "m:kaas@reader", "*x", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "surfaces", "unbound", "grants", "name", "groups", "paths", "access", "discovery"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.one_of(
        st.text(max_size=60),
        json_like.map(str),
        st.fixed_dictionaries({"version": st.just(1), "surfaces": json_like, "grants": json_like, "unbound": json_like}).map(str),
    )
)
def test_any_text_is_a_table_or_a_list_of_problems(text):
    try:
        load_permissions(text.replace("None", "null").replace("True", "true").replace("False", "false"), "t")
    except PermissionsError as error:
        assert error.problems  # noqa: PT017 - both outcomes are right, any other exception is not

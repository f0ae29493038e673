"""What a role gives, in words, held against the policy that judges."""

import pytest
from console_site import POLICY

from proxy.console.grants import SURFACE_WORDS, held_roles
from proxy.policy.permissions import load_permissions, shipped_permissions_text
from proxy.policy.roles import ROLE_PATTERNS, RoleSet
from proxy.policy.surfaces import CHILD_SURFACES, MANAGEMENT_SURFACES

TABLE = load_permissions(shipped_permissions_text(), "shipped")


def one(role):
    (held,) = held_roles(TABLE, RoleSet.from_strings([role]))
    return held, {grant.surface: (grant.right, grant.through) for grant in held.grants}


def test_every_surface_has_words():
    assert list(SURFACE_WORDS) == [*MANAGEMENT_SURFACES, *CHILD_SURFACES]


@pytest.mark.parametrize(
    ("role", "scope", "included"),
    [
        ("m:kaas@global-admin", "all projects", ()),
        (
            "m:kaas@writer",
            "all projects",
            (
                "m:kaas:<every project>@writer",
                "m:k8s:<every project>:<every cluster>@cluster-admin",
                "m:sl:<every project>:<every cluster>@stacklight-admin",
                "m:sl:<every project>:<every cluster>@admin",
            ),
        ),
        ("m:kaas:a@reader", "project a", ("m:kaas:a@user",)),
        ("m:k8s:a:prod@cluster-admin", "cluster a/prod", ("m:sl:a:prod@stacklight-admin", "m:sl:a:prod@admin")),
    ],
)
def test_scope_and_inclusions(role, scope, included):
    held, _ = one(role)
    assert (held.scope, held.included) == (scope, included)


@pytest.mark.parametrize(
    ("role", "surface", "right"),
    [
        ("m:kaas@operator", "bare_metal", ("read and write", None)),
        ("m:kaas@operator", "project_objects", None),
        ("m:kaas@management-admin", "management_cluster", ("read and write", None)),
        ("m:kaas:a@operator", "bare_metal", ("read", None)),
        ("m:k8s:a:prod@cluster-admin", "stacklight", ("read and write", "m:sl:a:prod@stacklight-admin")),
        ("m:k8s:a:prod@cluster-admin", "secrets", None),
        ("m:sl:a:prod@admin", "stacklight", ("read and write", None)),
    ],
)
def test_rights(role, surface, right):
    assert one(role)[1].get(surface) == right


def test_a_right_that_comes_by_inclusion_names_the_role_that_has_it():
    stripped = {
        surface: {role: right for role, right in cells.items() if "writer" not in role} for surface, cells in TABLE.grants.items()
    }
    table = type(TABLE)(TABLE.surfaces, TABLE.unbound, stripped)
    (held,) = held_roles(table, RoleSet.from_strings(["m:kaas:a@writer"]))
    assert [(grant.surface, grant.through) for grant in held.grants] == [
        ("cluster_api", "m:k8s:a:<every cluster>@cluster-admin"),
        ("stacklight", "m:sl:a:<every cluster>@stacklight-admin"),
    ]


def test_the_stronger_right_is_told_when_two_roles_have_one():
    grants = {**TABLE.grants, "stacklight": {"m:k8s:<ns>:<cluster>@cluster-admin": "r", "m:sl:<ns>:<cluster>@admin": "rw"}}
    (held,) = held_roles(type(TABLE)(TABLE.surfaces, TABLE.unbound, grants), RoleSet.from_strings(["m:k8s:a:prod@cluster-admin"]))
    assert [(grant.right, grant.through) for grant in held.grants if grant.surface == "stacklight"] == [
        ("read and write", "m:sl:a:prod@admin")
    ]


@pytest.mark.parametrize("pattern", ROLE_PATTERNS)
def test_what_is_told_is_what_the_policy_holds(pattern):
    _, told = one(placed(pattern, "a", "prod"))
    expected = {}
    for surface in SURFACE_WORDS:
        readers, writers = (right.by_pattern for right in POLICY._rights[surface])
        if pattern in readers:
            chain = writers[pattern] if pattern in writers else readers[pattern]
            words = "read and write" if pattern in writers else "read"
            where = ("a" if "<ns>" in pattern else "<every project>", "prod" if "<cluster>" in pattern else "<every cluster>")
            expected[surface] = (words, placed(chain[-1], *where) if chain else None)
    assert told == expected


def placed(pattern, namespace, cluster):
    return pattern.replace("<ns>", namespace).replace("<cluster>", cluster)


def test_the_widest_role_comes_first():
    roles = RoleSet.from_strings(["m:sl:a:prod@admin", "m:kaas:a@reader", "m:kaas@reader"])
    assert [held.role for held in held_roles(POLICY.permissions, roles)] == [
        "m:kaas@reader",
        "m:kaas:a@reader",
        "m:sl:a:prod@admin",
    ]

"""The role grammar, and what one token carries of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.roles import ROLE_PATTERNS, RoleSet, included_roles, role_strings

KNOWN = [
    "m:kaas@global-admin",
    "m:kaas@management-admin",
    "m:kaas@operator",
    "m:kaas@writer",
    "m:kaas@reader",
    "m:kaas:a@writer",
    "m:kaas:a@operator",
    "m:kaas:a@member",
    "m:kaas:a@reader",
    "m:kaas:a@user",
    "m:kaas:a@bm-pool-operator",
    "m:k8s:a:prod@cluster-admin",
    "m:k8s:a:prod.east@cluster-admin",
    "m:sl:a:prod@admin",
    "m:sl:a:prod@stacklight-admin",
    f"m:kaas:{'a' * 63}@reader",
    f"m:k8s:a:{'c' * 253}@cluster-admin",
]
UNKNOWN = [
    "",
    "m",
    "offline_access",
    "m:os@admin",
    "m:os:a@admin",
    "m:kaas",
    "m:kaas@",
    "@writer",
    "m:kaas@member",
    "m:kaas@user",
    "m:kaas@bm-pool-operator",
    "m:kaas@cluster-admin",
    "m:kaas@admin",
    "m:kaas:a@global-admin",
    "m:kaas:a@management-admin",
    "m:kaas:a@cluster-admin",
    "m:kaas:a:prod@writer",
    "m:kaas:@writer",
    "m:kaas::a@writer",
    "m:k8s@cluster-admin",
    "m:k8s:a@cluster-admin",
    "m:k8s:a:prod@admin",
    "m:k8s:a:prod@stacklight-admin",
    "m:k8s:a:prod:x@cluster-admin",
    "m:k8s::prod@cluster-admin",
    "m:k8s:a:@cluster-admin",
    "m:sl:a:prod@cluster-admin",
    "m:sl:a@admin",
    "m:sl@admin",
    "M:kaas@writer",
    "m:KAAS@writer",
    "m:kaas@Writer",
    "m:kaas:A@writer",
    "m:k8s:a:Prod@cluster-admin",
    " m:kaas@writer",
    "m:kaas@writer ",
    "m:kaas@writer\n",
    "m:kaas:a @writer",
    "m:kaas:a\n@writer",
    "m:kaas@writer,m:kaas@reader",
    "m:kaas@writer m:kaas@reader",
    "m:kaas@writer@reader",
    "m:kaas:a@b@writer",
    "n:kaas@writer",
    "m:k\u0430as@writer",
    "m:kaas@wr\u0456ter",
    "m:kaas:\u0430@writer",
    "m\uff1akaas@writer",
    "m:kaas:-a@writer",
    "m:kaas:a-@writer",
    "m:kaas:a.b@writer",
    "m:kaas:*@writer",
    "m:kaas:<ns>@writer",
    "m:k8s:a:*@cluster-admin",
    "m:k8s:a:.b@cluster-admin",
    "m:k8s:a:b..c@cluster-admin",
    f"m:kaas:{'a' * 64}@reader",
    f"m:k8s:a:{'c' * 254}@cluster-admin",
    "system:masters",
]


@pytest.mark.parametrize("role", KNOWN)
def test_a_known_role_is_kept_as_it_is_written(role):
    assert RoleSet.from_strings([role]).strings == (role,)


@pytest.mark.parametrize("role", UNKNOWN)
def test_anything_else_grants_nothing_and_is_no_error(role):
    roles = RoleSet.from_strings([role])
    assert (roles.strings, roles.kaas_strings, dict(roles.by_scope), dict(roles.examples)) == ((), (), {}, {})


def test_a_role_set_keeps_order_and_drops_repetition():
    given_roles = [
        "m:sl:a:prod@admin",
        "m:kaas:b@writer",
        None,
        7,
        b"m:kaas@writer",
        ["m:kaas@reader"],
        "x",
        "m:kaas@reader",
        "m:kaas:b@writer",
    ]
    roles = RoleSet.from_strings(given_roles)
    assert roles.strings == ("m:sl:a:prod@admin", "m:kaas:b@writer", "m:kaas@reader")
    assert roles.kaas_strings == ("m:kaas:b@writer", "m:kaas@reader")
    assert roles.by_scope["m:kaas:b"] == ("writer",)


def test_a_role_set_is_indexed_by_scope_with_the_least_privilege_first():
    roles = RoleSet.from_strings(
        ["m:kaas@writer", "m:kaas@reader", "m:kaas:a@writer", "m:kaas:a@user", "m:kaas:b@member", "m:k8s:a:prod@cluster-admin"]
    )
    assert roles.by_scope == {
        "m:kaas": ("reader", "writer"),
        "m:kaas:a": ("user", "writer"),
        "m:kaas:b": ("member",),
        "m:k8s:a:prod": ("cluster-admin",),
    }
    assert list(roles.examples) == [
        "m:k8s:<ns>:<cluster>@cluster-admin",
        "m:kaas:<ns>@user",
        "m:kaas:<ns>@member",
        "m:kaas:<ns>@writer",
        "m:kaas@reader",
        "m:kaas@writer",
    ]


def test_role_sets_are_equal_by_their_roles():
    assert RoleSet.from_strings(["m:kaas@writer", "x"]) == RoleSet.from_strings(iter(["m:kaas@writer"]))
    assert RoleSet.from_strings(["m:kaas@writer"]) != RoleSet.from_strings(["m:kaas@reader"])


@given(
    st.lists(
        st.one_of(st.text().filter(lambda text: not text.startswith("m:")), st.integers(), st.none(), st.sampled_from(KNOWN))
    )
)
def test_building_a_role_set_is_total(members):
    assert RoleSet.from_strings(members).strings == tuple(dict.fromkeys(member for member in members if member in KNOWN))


@pytest.mark.parametrize(
    ("claim", "strings"),
    [
        (None, ()),
        ([], ()),
        ("", ("",)),
        ("m:kaas@writer", ("m:kaas@writer",)),
        ("m:kaas@writer m:kaas@reader,x", ("m:kaas@writer m:kaas@reader,x",)),
        (["a", 1, None, ["b"], {"c": 1}, True, "d"], ("a", "d")),
        (("a",), ("a",)),
        ({"m:kaas@writer": 1}, ()),
        (7, ()),
        (True, ()),
    ],
)
def test_a_claim_is_read_in_any_form(claim, strings):
    assert role_strings(claim) == strings


CHAIN_OF_WRITER = {
    "m:kaas:<ns>@writer": ("m:kaas:<ns>@writer",),
    "m:k8s:<ns>:<cluster>@cluster-admin": ("m:kaas:<ns>@writer", "m:k8s:<ns>:<cluster>@cluster-admin"),
    "m:sl:<ns>:<cluster>@stacklight-admin": (
        "m:kaas:<ns>@writer",
        "m:k8s:<ns>:<cluster>@cluster-admin",
        "m:sl:<ns>:<cluster>@stacklight-admin",
    ),
    "m:sl:<ns>:<cluster>@admin": (
        "m:kaas:<ns>@writer",
        "m:k8s:<ns>:<cluster>@cluster-admin",
        "m:sl:<ns>:<cluster>@stacklight-admin",
        "m:sl:<ns>:<cluster>@admin",
    ),
}


def test_inclusions_come_with_the_way_that_leads_to_them():
    assert included_roles("m:kaas@writer") == CHAIN_OF_WRITER


@pytest.mark.parametrize(
    ("role", "included"),
    [
        ("m:kaas@global-admin", []),
        ("m:kaas@management-admin", []),
        ("m:kaas@operator", ["m:kaas:<ns>@bm-pool-operator"]),
        ("m:kaas@reader", ["m:kaas:<ns>@reader", "m:kaas:<ns>@user"]),
        ("m:kaas:<ns>@user", ["m:kaas:<ns>@reader"]),
        ("m:kaas:<ns>@reader", ["m:kaas:<ns>@user"]),
        ("m:kaas:<ns>@bm-pool-operator", []),
        (
            "m:kaas:<ns>@operator",
            ["m:k8s:<ns>:<cluster>@cluster-admin", "m:sl:<ns>:<cluster>@stacklight-admin", "m:sl:<ns>:<cluster>@admin"],
        ),
        (
            "m:kaas:<ns>@member",
            ["m:k8s:<ns>:<cluster>@cluster-admin", "m:sl:<ns>:<cluster>@stacklight-admin", "m:sl:<ns>:<cluster>@admin"],
        ),
        ("m:k8s:<ns>:<cluster>@cluster-admin", ["m:sl:<ns>:<cluster>@stacklight-admin", "m:sl:<ns>:<cluster>@admin"]),
        ("m:sl:<ns>:<cluster>@admin", ["m:sl:<ns>:<cluster>@stacklight-admin"]),
        ("m:sl:<ns>:<cluster>@stacklight-admin", ["m:sl:<ns>:<cluster>@admin"]),
    ],
)
def test_every_inclusion_of_the_policy_page(role, included):
    assert list(included_roles(role)) == included


@pytest.mark.parametrize("role", ROLE_PATTERNS)
def test_no_role_includes_a_wider_one_or_itself(role):
    assert all(included.count("<") >= role.count("<") for included in included_roles(role))
    assert role not in included_roles(role)

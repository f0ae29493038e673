"""The IAM objects of the management API: users, roles and bindings, in the shape that MOSK gives them."""

from collections.abc import Iterator
from typing import Any

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.workloads import new_metadata, uid_for

# role, what it is for
_ROLES = (
    ("bm-pool-operator", "Manages bare metal hosts"),
    ("cluster-admin", "Everything in one cluster"),
    ("global-admin", "Global role bindings and projects"),
    ("management-admin", "Everything in the management cluster"),
    ("member", "Works in a project, manages no access"),
    ("operator", "Works in a project"),
    ("reader", "Reads"),
    ("stacklight-admin", "Everything in StackLight of one cluster"),
    ("user", "Reads"),
    ("writer", "Works in all or one project"),
)
# user, role, project, cluster
_BINDINGS = (
    ("gloria", "global-admin", None, None),
    ("mona", "management-admin", None, None),
    ("otto", "operator", None, None),
    ("wanda", "writer", None, None),
    ("rita", "reader", None, None),
    ("ann", "writer", "team-a", None),
    ("oscar", "operator", "team-a", None),
    ("mike", "member", "team-a", None),
    ("rose", "reader", "team-a", None),
    ("bob", "writer", "team-b", None),
    ("carl", "cluster-admin", "team-a", "prod"),
    ("stella", "stacklight-admin", "team-a", "prod"),
)


def access_objects(created: str) -> Iterator[Document]:
    """Users, roles, and each kind of binding."""
    for role, description in _ROLES:
        yield _object("IAMRole", role, None, created, description=description)
    for name, role, project, cluster in _BINDINGS:
        yield _object("IAMUser", name, None, created, displayName=name.capitalize(), externalID=uid_for("user", name))
        binding: Document = {"role": {"name": role}, "user": {"name": name}}
        if project is None:
            yield _object("IAMGlobalRoleBinding", f"{name}-{role}", None, created, **binding)
        elif cluster is None:
            yield _object("IAMRoleBinding", f"{name}-{role}", project, created, **binding)
        else:
            yield _object("IAMClusterRoleBinding", f"{name}-{role}", project, created, **binding, cluster={"name": cluster})


def _object(kind: str, name: str, project: str | None, created: str, **members: Any) -> Document:
    return {
        "apiVersion": "iam.mirantis.com/v1alpha1",
        "kind": kind,
        "metadata": new_metadata(name, project, created=created),
        **members,
    }

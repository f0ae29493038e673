"""The IAM objects of the management API: users, roles and bindings, in the shape that MOSK gives them."""

from collections.abc import Iterator
from typing import Any

from proxy.demo.kubernetes.documents import Document
from proxy.demo.kubernetes.workloads import new_metadata
from proxy.demo.people import PEOPLE, Person

_ROLES = {
    "admin": "Everything in StackLight of one cluster",
    "bm-pool-operator": "Manages bare metal hosts",
    "cluster-admin": "Everything in one cluster",
    "global-admin": "Role bindings and projects",
    "management-admin": "Everything in the management cluster",
    "member": "Works in a project, manages no access",
    "operator": "Works in a project",
    "reader": "Reads",
    "stacklight-admin": "Everything in StackLight of one cluster",
    "user": "Reads",
    "writer": "Works in all projects or in one",
}


def access_objects(created: str) -> Iterator[Document]:
    """The roles, and each sample user with their bindings."""
    for role, description in _ROLES.items():
        yield _object("IAMRole", role, None, created, description=description)
    for person in PEOPLE:
        members = {"displayName": person.full_name, "email": person.email, "externalID": person.subject}
        yield _object("IAMUser", person.username, None, created, **members)
        for role_string in person.roles:
            yield _binding(person, role_string, created)


def _binding(person: Person, role_string: str, created: str) -> Document:
    """The binding behind a role string: `m:kaas@…` is global, `m:kaas:<ns>@…` a project's, the others a cluster's."""
    scope, _, role = role_string.partition("@")
    bound: Document = {"role": {"name": role}, "user": {"name": person.username}}
    match scope.split(":")[2:]:
        case [project, cluster]:
            name = f"{person.username}-{cluster}-{role}"
            return _object("IAMClusterRoleBinding", name, project, created, **bound, cluster={"name": cluster})
        case [project]:
            return _object("IAMRoleBinding", f"{person.username}-{role}", project, created, **bound)
        case _:
            return _object("IAMGlobalRoleBinding", f"{person.username}-{role}", None, created, **bound)


def _object(kind: str, name: str, project: str | None, created: str, **members: Any) -> Document:
    return {
        "apiVersion": "iam.mirantis.com/v1alpha1",
        "kind": kind,
        "metadata": new_metadata(name, project, created=created),
        **members,
    }

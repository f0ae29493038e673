"""The sample users: one for each role, one with two roles, one without any. The password is the name."""

import uuid
from dataclasses import dataclass

_NAMES = uuid.UUID("5f0cb6d5-0c0e-4a7b-9a1c-2f3d5c1b7e64")  # any fixed value: subjects stay the same from run to run


@dataclass(frozen=True, slots=True)
class Person:
    """A sample user; `can` says in words what policy grants, `project` is where a kubeconfig context of theirs begins."""

    username: str
    roles: tuple[str, ...]
    can: str
    project: str = "default"

    @property
    def subject(self) -> str:
        """The `sub` of their tokens."""
        return str(uuid.uuid5(_NAMES, self.username))

    @property
    def email(self) -> str:
        """An address in a domain that RFC 6761 reserves."""
        return f"{self.username}@example.test"

    @property
    def given_name(self) -> str:
        """The name as a person would write it."""
        return self.username.replace("-", " ").title()

    @property
    def full_name(self) -> str:
        """The `name` of their tokens."""
        return f"{self.given_name} Sample"


PEOPLE: tuple[Person, ...] = (
    Person("kaas-global-admin", ("m:kaas@global-admin",), "projects and role bindings, nothing inside them"),
    Person("kaas-management-admin", ("m:kaas@management-admin",), "the whole management API, no child cluster"),
    Person("kaas-operator", ("m:kaas@operator",), "bare metal of every project, nothing else"),
    Person("kaas-writer", ("m:kaas@writer",), "every project and its clusters, no management cluster"),
    Person("kaas-reader", ("m:kaas@reader",), "reads every project; no secrets, no child cluster"),
    Person("team-a-writer", ("m:kaas:team-a@writer",), "project team-a and its clusters", "team-a"),
    Person("team-a-operator", ("m:kaas:team-a@operator",), "the same, bare metal read only", "team-a"),
    Person("team-a-member", ("m:kaas:team-a@member",), "the same, without role bindings", "team-a"),
    Person("team-a-reader", ("m:kaas:team-a@reader",), "reads project team-a; no secrets, no cluster", "team-a"),
    Person("team-a-user", ("m:kaas:team-a@user",), "the same, by the newer role", "team-a"),
    Person("team-a-bm-pool-operator", ("m:kaas:team-a@bm-pool-operator",), "bare metal of project team-a", "team-a"),
    Person("prod-cluster-admin", ("m:k8s:team-a:prod@cluster-admin",), "cluster team-a/prod and its StackLight", "team-a"),
    Person("prod-sl-admin", ("m:sl:team-a:prod@admin",), "StackLight of cluster team-a/prod", "team-a"),
    Person("prod-stacklight-admin", ("m:sl:team-a:prod@stacklight-admin",), "the same, by the newer role", "team-a"),
    Person("team-b-writer", ("m:kaas:team-b@writer",), "project team-b and its clusters", "team-b"),
    Person("team-b-reader", ("m:kaas:team-b@reader",), "reads project team-b; no secrets, no cluster", "team-b"),
    Person("dev-cluster-admin", ("m:k8s:team-b:dev@cluster-admin",), "cluster team-b/dev and its StackLight", "team-b"),
    Person("team-a-and-b-reader", ("m:kaas:team-a@reader", "m:kaas:team-b@reader"), "reads both projects", "team-a"),
    Person("no-roles", (), "nothing: signed in, refused everywhere"),
)
BY_USERNAME = {person.username: person for person in PEOPLE}

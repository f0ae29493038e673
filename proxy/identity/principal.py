"""Who a verified token speaks for."""

from dataclasses import dataclass

from proxy.policy.roles import RoleSet


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Made once per verified token, shared by all requests that carry it.

    `username` and `groups` have the issuer's prefixes; `roles` is parsed from the claim without them. `audiences` are the `aud`
    of the token; `expires_at` is its `exp` with the leeway added, in seconds since the epoch; `token` are its own bytes, for
    `pass_token` alone: never logged, never shown in `repr`.
    """

    issuer: str
    subject: str
    username: str
    groups: tuple[str, ...]
    roles: RoleSet
    audiences: frozenset[str]
    expires_at: float
    token: bytes
    token_id: str | None = None
    session_id: str | None = None
    email: str | None = None
    full_name: str | None = None
    groups_prefix: str = ""

    def __repr__(self) -> str:
        return f"Identity({self.username!r} of {self.issuer}, {len(self.groups)} groups)"

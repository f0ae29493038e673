"""What the policy answers. Neither case has a truth value of its own: a reader must match on the class."""

from typing import Never, TypeAlias

from msgspec import Struct


class _NoTruth(Struct, frozen=True):
    def __bool__(self) -> Never:
        raise TypeError("a decision has no truth value: match on Allowed and Denied")


class Allowed(_NoTruth, frozen=True):
    """Allowed by `granted_by`, a role of the token, through the included roles `through` (outermost first, without granted_by).

    `surface` is None for the proxy's own pages, which need no role; then `granted_by` is None too.
    """

    granted_by: str | None
    through: tuple[str, ...]
    surface: str | None
    verb: str | None


class Denied(_NoTruth, frozen=True):
    """Denied: nothing in the role set grants `verb` (a write when `is_write`) on `surface` in `scope`.

    `scope` is a phrase: `all projects`, `any project`, `project a`, `cluster a/prod`. Which roles would grant it is asked of the policy.
    """

    surface: str
    verb: str
    is_write: bool
    scope: str


Decision: TypeAlias = Allowed | Denied

"""The rule for what a machine may lack."""

from pathlib import Path

import pytest
from e2e_parts import AbsentParts, tool

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("is_ci", "cannot_be_fetched", "outcome"),
    [
        (False, False, pytest.skip.Exception),
        (False, True, pytest.skip.Exception),
        (True, False, pytest.fail.Exception),
        (True, True, pytest.skip.Exception),
    ],
)
def test_an_absent_part_skips_and_in_ci_fails_unless_it_cannot_be_fetched(is_ci, cannot_be_fetched, outcome) -> None:
    absent = AbsentParts(is_ci=is_ci)
    with pytest.raises(outcome, match=r"keycloak\.sh is absent: no Java"):
        absent.skip("keycloak.sh", "no Java", cannot_be_fetched=cannot_be_fetched)
    assert absent.lines() == ["absent: keycloak.sh: no Java"]


@pytest.mark.parametrize(("status", "outcome"), [(1, pytest.fail.Exception), (3, pytest.skip.Exception)])
def test_a_script_says_by_its_status_that_something_cannot_be_had(tmp_path: Path, status: int, outcome) -> None:
    script = tmp_path / "tools.sh"
    script.write_text(f"#!/bin/sh\necho trying >&2\necho 'no such thing' >&2\nexit {status}\n")
    script.chmod(0o700)
    with pytest.raises(outcome, match="helm is absent: no such thing"):
        tool(tmp_path, "helm", AbsentParts(is_ci=True))

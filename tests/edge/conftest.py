"""Doors for the tests of this folder: one for all that change nothing, and a maker of others."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edge_door import Door, door


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door whose upstream answers 200 to everything; nothing recorded at the upstream is left from another test."""
    with door(tmp_path_factory.mktemp("entry")) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    if "entry" not in request.fixturenames:
        yield
        return
    entry: Door = request.getfixturevalue("entry")
    entry.upstream.taken()
    yield
    entry.hang_up()


@pytest.fixture
def make_door(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Make doors with a script and changed settings."""
    with contextlib.ExitStack() as stack:
        count = iter(range(99))
        yield lambda script=None, **changes: stack.enter_context(
            door(tmp_path / str(next(count)), *([script] if script else []), **changes)
        )

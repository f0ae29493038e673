"""Doors (`edge_door`): one for the tests of a module that change nothing, and a maker of others."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edge_door import Door, door


@pytest.fixture(scope="module")
def _shared_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with door(tmp_path_factory.mktemp("entry")) as running:
        yield running


@pytest.fixture
def entry(_shared_door: Door) -> Iterator[Door]:
    """A door whose upstream answers 200 to everything; nothing of another test is left at the upstream."""
    yield _shared_door
    _shared_door.be_quiet()


@pytest.fixture
def make_door(tmp_path: Path) -> Iterator[Callable[..., Door]]:
    """Make doors with a script and changed settings."""
    with contextlib.ExitStack() as stack:
        count = iter(range(99))
        yield lambda script=None, **changes: stack.enter_context(
            door(tmp_path / str(next(count)), *([script] if script else []), **changes)
        )

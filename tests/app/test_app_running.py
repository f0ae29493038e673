"""The objects of a proxy, made from settings and running together."""

from collections.abc import Callable

from edge_door import Door

from proxy.operations.audit import MOST_LINES

Maker = Callable[..., Door]


def test_a_refusing_audit_log_has_room_for_two_lines_of_each_connection(make_door: Maker) -> None:
    entry = make_door(audit={"path": "audit.log", "when_full": "refuse"}, limits={"connections": 7})
    assert entry.running.audit._utmost_lines == MOST_LINES + 14

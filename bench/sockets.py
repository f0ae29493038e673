"""Which process holds which TCP connections, as /proc tells."""

from collections.abc import Iterable
from pathlib import Path

ESTABLISHED = "01"  # TCP_ESTABLISHED of linux/net/tcp_states.h


def accepted(pids: Iterable[int], port: int) -> list[int]:
    """How many established connections to a local port each of these processes holds; those that hold none are left out."""
    inodes = set(connections(Path("/proc/net/tcp").read_text().splitlines(), port))
    counts = (len(inodes & socket_inodes(pid)) for pid in pids)
    return [count for count in counts if count]


def connections(lines: Iterable[str], port: int) -> list[str]:
    """Inodes of the established connections to a local port, from a /proc/net/tcp text."""
    rows = (line.split() for line in lines)
    return [row[9] for row in rows if len(row) > 9 and row[3] == ESTABLISHED and row[1].endswith(f":{port:04X}")]


def socket_inodes(pid: int) -> set[str]:
    """Inodes of the sockets that a process has open."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found

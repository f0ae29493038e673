"""CPU time, memory and cores of processes, as the Linux kernel counts them."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROXY_CORE = 0
LOAD_CORE = 1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU time of a process tree: `total_ns` to the nanosecond, the split into user and system in clock ticks."""

    total_ns: int
    user_ticks: int
    system_ticks: int

    def __sub__(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(
            self.total_ns - earlier.total_ns, self.user_ticks - earlier.user_ticks, self.system_ticks - earlier.system_ticks
        )

    @property
    def system_share(self) -> float:
        """Part of the time spent in the kernel, 0 to 1; 0 when the time was too short to tell."""
        ticks = self.user_ticks + self.system_ticks
        return self.system_ticks / ticks if ticks else 0.0


def process_cpu_ns(pid: int) -> int:
    """User and system time of all threads of a process, ended ones included; raises OSError when it is gone."""
    # The clock that clock_getcpuclockid(3) names: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of linux/posix-timers.h.
    return time.clock_gettime_ns((~pid << 3) | 2)


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(int(child) for child in children.read_text().split())
    return found


def read(pids: Iterable[int]) -> CpuTime:
    """CPU time used so far by these processes together."""
    total = user = system = 0
    for pid in pids:
        total += process_cpu_ns(pid)
        fields = stat_fields(Path(f"/proc/{pid}/stat").read_text())
        user += int(fields[11])
        system += int(fields[12])
    return CpuTime(total, user, system)


def stat_fields(line: str) -> list[str]:
    """Fields of /proc/PID/stat after the command, which may itself hold spaces and brackets; utime is at 11, stime at 12."""
    return line.rpartition(")")[2].split()


def resident_kb(pids: Iterable[int]) -> int:
    """Resident memory of these processes together, shared pages counted in each."""
    return sum(status_kb(Path(f"/proc/{pid}/status").read_text()) for pid in pids)


def status_kb(text: str) -> int:
    """VmRSS of a /proc/PID/status text."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:")), 0)


def core(wanted: int) -> int:
    """The wanted core, or the last one that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[min(wanted, len(allowed) - 1)]


@contextmanager
def pinned(wanted: int) -> Iterator[None]:
    """Processes started inside stay on one core: affinity is inherited."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core(wanted)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def model() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")

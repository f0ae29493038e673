"""When a worker counts as hung, how long its successor waits, and how its end is worded. Pure: the supervisor asks and acts."""

import math
import signal
from dataclasses import dataclass
from typing import Final

_MOST_DOUBLINGS = 32  # far beyond any longest delay, and short of an overflow


@dataclass(frozen=True, slots=True)
class Pace:
    """How the supervisor keeps time, in seconds unless said otherwise.

    A worker says something every `beat_seconds`; the supervisor looks as often. `silent_looks` and `starting_looks` are how many looks
    in a row may find nothing new of a worker that serves, or that starts. An answer to a probe is waited for less than the second
    that a kubelet waits by default.
    """

    beat_seconds: float = 1.0
    silent_looks: int = 10
    starting_looks: int = 60
    answer_seconds: float = 0.8
    first_delay_seconds: float = 0.1
    longest_delay_seconds: float = 30.0
    stable_seconds: float = 60.0


USUAL_PACE: Final = Pace()


class Silence:
    """Counts looks, not seconds: a supervisor that was itself held up for long has looked once, and accuses nobody."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._heard = 0
        self._looks = 0

    def is_too_long(self, heard: int, *, serves: bool) -> bool:
        """Look once; `heard` is how many messages have come so far. True once per silence, at its end."""
        self._looks = self._looks + 1 if heard == self._heard else 0
        self._heard = heard
        return self._looks == (self._pace.silent_looks if serves else self._pace.starting_looks)


class BackOff:
    """Doubles the delay with each worker of a slot that ends soon after its start."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._quick_ends = 0

    def delay(self, served_seconds: float) -> float:
        """Return how long to wait before the next start, after a worker that served so long."""
        pace = self._pace
        if served_seconds >= pace.stable_seconds:
            self._quick_ends = 0
        doublings = min(self._quick_ends, _MOST_DOUBLINGS)
        self._quick_ends += 1
        return min(math.ldexp(pace.first_delay_seconds, doublings), pace.longest_delay_seconds)


def worded_end(exit_code: int) -> str:
    """Word how a process ended; `exit_code` as `os.waitstatus_to_exitcode` returns it."""
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was ended by signal {-exit_code}"

"""Reads what profiling tools write. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

EVENT_LOOP = "(asyncio/runners.py:"  # what is above it is the same in every stack; other threads wait
Counts: TypeAlias = dict[str, float]


def costs(lines: Iterable[str]) -> Counts:
    """Own cost of each function of a callgrind file, as `object function`. The format is in valgrind's manual, cl-format."""
    names: dict[tuple[str, str], str] = {}
    current = {"ob": "", "fn": ""}
    found: Counts = {}
    skip = False
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and key in ("ob", "fn", "cob", "cfn"):
            name = decompressed(names, key.removeprefix("c"), value)
            if key in current:
                current[key] = name
        elif key == "calls":
            skip = True
        elif line[:1] in "+-*0123456789" and line:
            if not skip:
                where = f"{Path(current['ob']).name} {current['fn']}"
                found[where] = found.get(where, 0) + float(line.split()[1])
            skip = False
    return found


def decompressed(names: dict[tuple[str, str], str], kind: str, value: str) -> str:
    """Resolve callgrind's name compression: `(7) name` defines, `(7)` refers."""
    number, _, name = value.partition(" ")
    if name:
        names[kind, number] = name
    return names.get((kind, number), value)


def strace_counts(lines: Iterable[str]) -> Counts:
    """The columns `calls` and `syscall` of strace's summary."""
    rows = (line.split() for line in lines)
    return {row[-1]: float(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}


def own(stacks: Iterable[str]) -> Counts:
    """Per cent of the samples that ended in each line, from collapsed stacks: `outer;inner (file:line) COUNT`."""
    return shares(stacks, lambda frames: frames[-1:])


def within(stacks: Iterable[str]) -> Counts:
    """Per cent of the samples in or below each function."""
    return shares(stacks, lambda frames: {frame.rpartition(":")[0].replace(" (", " in ") for frame in frames})


def shares(stacks: Iterable[str], places: Callable[[list[str]], Iterable[str]]) -> Counts:
    """Per cent of the samples for each place that a stack names."""
    found: Counter[str] = Counter()
    total = 0
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        loop = next((depth for depth, frame in enumerate(frames) if EVENT_LOOP in frame), None)
        if loop is None:
            continue
        total += int(count)
        for place in places(frames[loop:]):
            found[place] += int(count)
    return {place: 100 * count / total for place, count in found.items()}


def difference(short: Counts, long: Counts, requests: int) -> Counts:
    """Per request, when the long run had so many more."""
    return {name: (count - short.get(name, 0)) / requests for name, count in long.items()}

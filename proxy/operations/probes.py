"""Answers to "are you alive?" and "shall you get traffic?", in the words of the Kubernetes API server.

Live says that a restart would not help; ready, that this process can serve now. The texts follow apiserver's
`pkg/server/healthz/healthz.go`: one line for each check, a last line with the verdict.
"""

import logging
import os
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

logger = logging.getLogger(__name__)

Probe: TypeAlias = Callable[[], str | None]

SPARE_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True)
class Check:
    """A named question; `probe` returns None when all is well, otherwise why not, in a few words that hold no secret.

    `note` adds what is worth knowing while all is well, or None.
    """

    name: str
    probe: Probe
    note: Probe = lambda: None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: `reason` is None when all is well."""

    name: str
    reason: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a prober is told."""

    status: int
    text: str


def answer(endpoint: str, checks: Sequence[Check], *, verbose: bool) -> Answer:
    """Ask every check and word what was found."""
    return worded(endpoint, examine(checks), verbose=verbose)


def examine(checks: Sequence[Check]) -> list[Finding]:
    """Ask every check."""
    return [_examine(check) for check in checks]


def worded(endpoint: str, findings: Sequence[Finding], *, verbose: bool) -> Answer:
    """Word findings; `endpoint` is `livez` or `readyz`. Without `verbose`, success is `ok` alone; failure always names each check."""
    failed = any(finding.reason is not None for finding in findings)
    if not failed and not verbose:
        return Answer(HTTPStatus.OK, "ok")
    lines = [*map(_line, findings), f"{endpoint} check {'failed' if failed else 'passed'}"]
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK, "\n".join(lines) + "\n")


def descriptors(spare: int = SPARE_DESCRIPTORS) -> str | None:
    """Probe for readiness: None while at least `spare` more files or connections can be opened.

    A new descriptor gets the lowest free number (open(2)), so that its number tells how many are in use without counting them.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        lowest_free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return f"all {most} file descriptors are in use"
    os.close(lowest_free)
    return None if lowest_free + spare < most else f"fewer than {spare} of {most} file descriptors are left"


def _examine(check: Check) -> Finding:
    reason = _told(check, check.probe)
    return Finding(check.name, reason, _told(check, check.note) if reason is None else None)


def _line(finding: Finding) -> str:
    if finding.reason is not None:
        return f"[-]{finding.name} failed: {finding.reason}"
    return f"[+]{finding.name} ok" if finding.note is None else f"[+]{finding.name} ok: {finding.note}"


def _told(check: Check, probe: Probe) -> str | None:
    try:
        text = probe()
    except Exception:
        logger.exception("probe %s broke", check.name)
        return "the check itself broke"
    return None if text is None else " ".join(text.split())

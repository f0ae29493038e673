"""Tells an operator of each thing once: again only when something else is to be said of it."""

import logging
from collections.abc import Container


class Once:
    """Writes to `log`; remembers what it has said of `most` subjects, and begins anew beyond."""

    def __init__(self, log: logging.Logger, most: int = 50_000) -> None:
        self._log = log
        self._most = most
        self._told: dict[str, str] = {}

    def tell(self, subject: str, text: str, level: int = logging.WARNING) -> None:
        """Write `text` about `subject` unless that was the last thing written about it."""
        if self._told.get(subject) != text:
            if len(self._told) >= self._most:
                self._told.clear()
            self._told[subject] = text
            self._log.log(level, "%s: %s", subject, text)

    def forget(self, subject: str) -> None:
        """There is nothing to be said of it any more."""
        self._told.pop(subject, None)

    def keep(self, subjects: Container[str]) -> None:
        """Forget all but these."""
        self._told = {subject: text for subject, text in self._told.items() if subject in subjects}

"""Moments, spans and other people's texts as pages show them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_LATEST: Final = 253_402_300_799.0  # the end of the year 9999, the last that RFC 3339 can write
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_APPLICATIONS: Final[Mapping[str, str]] = {
    "alerta": "Alerta",
    "alertmanager": "Alertmanager",
    "grafana": "Grafana",
    "opensearch-dashboards": "OpenSearch Dashboards",
    "prometheus": "Prometheus",
}


def visible(text: str) -> str:
    """Return a text without characters that are not seen, or that turn others round: they are written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def application_name(name: str) -> str:
    """Return how people call an application."""
    return _APPLICATIONS.get(name, name)


def machine_moment(moment: float) -> str:
    """Return seconds since the epoch as RFC 3339."""
    return _moment(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_moment(moment: float) -> str:
    """Return seconds since the epoch as people read them."""
    return _moment(moment).strftime("%Y-%m-%d %H:%M UTC")


def span(seconds: float) -> str:
    """Return a span of time in its two largest units."""
    if not seconds < _LATEST:
        return "a very long time"
    left = max(0, int(seconds))
    if left < _MINUTE:
        return "less than a minute"
    if left < _HOUR:
        return f"{left // _MINUTE} min"
    if left < _DAY:
        return f"{left // _HOUR} h {left % _HOUR // _MINUTE} min"
    return f"{left // _DAY} d {left % _DAY // _HOUR} h"


def _moment(moment: float) -> datetime:
    return datetime.fromtimestamp(min(max(moment, 0.0), _LATEST), UTC)

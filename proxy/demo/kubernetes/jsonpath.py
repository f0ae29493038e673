"""The part of JSONPath that printer columns use: members, indexes, and filters by equality."""

import re
from typing import Any

_STEP = re.compile(
    r"""\.(?P<member>(?:\\.|[^.\[\]])+)
      | \['(?P<quoted>[^']*)'\]
      | \[(?P<index>\d+)\]
      | \[\?\(@\.(?P<key>\w+)\s*==\s*["'](?P<value>[^"']*)["']\)\]""",
    re.VERBOSE,
)


def evaluate(path: str, document: Any) -> Any:
    """The first value that the path leads to; None where there is none or the path is not understood."""
    place = 0
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            return None
        document = _follow(step, document)
        place = step.end()
    return document


def _follow(step: re.Match[str], document: Any) -> Any:
    if (index := step["index"]) is not None:
        return document[int(index)] if isinstance(document, list) and int(index) < len(document) else None
    if (key := step["key"]) is not None:
        items = document if isinstance(document, list) else []
        return next((item for item in items if isinstance(item, dict) and str(item.get(key)) == step["value"]), None)
    name = step["quoted"] if step["quoted"] is not None else step["member"].replace("\\", "")
    return document.get(name) if isinstance(document, dict) else None

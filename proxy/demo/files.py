"""Files of the demonstration: for their owner's eyes."""

import io
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_NO_FOLDING = 1 << 20


def write_private(path: Path, text: str) -> Path:
    """Create a file of mode 0600 that must not exist yet; returns its path, raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path


def yaml_text(document: Any) -> str:
    """A document of mappings, lists and scalars as YAML."""
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = False, _NO_FOLDING
    yaml.sort_base_mapping_type_on_output = False
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()

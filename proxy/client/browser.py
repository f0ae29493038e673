"""Opens the user's browser, where there is one to see."""

import sys
import threading
import webbrowser
from collections.abc import Mapping
from typing import Final

_SIGNS: Final = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")


def has_browser(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser would show up; without a display `webbrowser` starts one in the terminal, over what is written there."""
    return platform == "darwin" or any(environment.get(name) for name in _SIGNS)


def open_browser(url: str) -> None:
    """Open a page without waiting: some browsers keep their caller until they are closed."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True, name="browser").start()

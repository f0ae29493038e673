"""Composition root: settings in, running listeners out. The only room that knows every other.

Objects are made by constructors and entered in order, so that they end in reverse. Nothing is created at import.
"""

from proxy.app.running import RunningProxy, running
from proxy.app.serving import serve

__all__ = ["RunningProxy", "running", "serve"]

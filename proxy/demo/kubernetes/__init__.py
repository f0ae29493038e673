"""A demonstration Kubernetes API: real kubectl is content with it, everything lives in memory, nothing runs on the machine.

Shares nothing with the rest of the product; whoever holds one of its tokens may do everything.
"""

from proxy.demo.kubernetes.child import child_objects
from proxy.demo.kubernetes.management import management_objects
from proxy.demo.kubernetes.server import ApiServer

__all__ = ["ApiServer", "child_objects", "management_objects"]

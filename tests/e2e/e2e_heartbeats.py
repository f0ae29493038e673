"""The life signs of nodes, which kwok leaves out: without them the node controller takes each node for dead after some time.

It then marks every pod that is there as not ready, and nothing marks it ready again: whoever waits for it just then waits in vain.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from e2e_http import Api

_SECONDS = 5.0  # the node controller waits for 50


@contextlib.contextmanager
def nodes_alive(admin: Api, nodes: int = 2) -> Iterator[None]:
    """Renew the lease of each node, as its kubelet would (KEP-589), until the block ends."""
    over = threading.Event()
    renewing = threading.Thread(target=_renew_until, args=(admin, nodes, over), name="node heartbeats")
    for number in range(1, nodes + 1):
        admin.make(_LEASES, {"metadata": {"name": f"node-{number}"}, "spec": _spec(f"node-{number}")})
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()


_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def _renew_until(admin: Api, nodes: int, over: threading.Event) -> None:
    while not over.wait(_SECONDS):
        for number in range(1, nodes + 1):
            patch = json.dumps({"spec": _spec(f"node-{number}")}).encode()
            with contextlib.suppress(OSError):  # a server under load, or about to end; the next one counts as well
                admin.ask("PATCH", f"{_LEASES}/node-{number}", patch, {"Content-Type": "application/merge-patch+json"})


def _spec(node: str) -> dict[str, object]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now}

"""How often the collector of reference cycles looks at what lives."""

import gc
from typing import Final

_ALLOCATIONS: Final = 10_000
_GENERATIONS: Final = 20


def collect_seldom() -> None:
    """Leave what the start has made out of all collections, and collect seldom.

    No request leaves a cycle behind (tests/edge/test_edge_cost.py), so there is little to find; but the identities of users live long,
    and each look at all of them would cost as much as verifying some more tokens.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, _GENERATIONS, _GENERATIONS)

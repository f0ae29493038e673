import subprocess
import sys


def test_what_the_start_has_made_is_left_out_and_cycles_still_go():
    script = """
import gc, weakref
from proxy.app.garbage import collect_seldom
class Node: pass
collect_seldom()
assert gc.get_freeze_count() > 10_000
node = Node(); node.itself = node
gone = weakref.ref(node)
del node
kept = [[] for _ in range(100_000)]
print(gone() is None)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=20)
    assert (ended.stdout, ended.stderr) == ("True\n", "")

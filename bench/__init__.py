"""What does a request cost? Measures mosk-proxy beside other proxies on this machine, over loopback only.

`python -m bench --help` says how; `docs/performance.md` says what the figures mean. Nothing here is part of the product.
"""

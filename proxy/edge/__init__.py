"""The public listener: the downstream protocol, the gateway that judges, the answers of our own, limits and drain.

Touches sockets. Never imports operations: the composition root joins them.
"""

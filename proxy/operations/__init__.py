"""What operators see: the audit sink, metrics, probes on the admin listener.

Touches files and its own listener. Never imports the edge: the composition root joins them.
"""

"""HOW does it look on the wire? Builds the bytes of outbound requests and of answers, from values.

Pure. Upstream headers are built from empty, never edited in place. Imports directory, identity, policy, routing.
"""

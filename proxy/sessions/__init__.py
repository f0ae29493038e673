"""Browser sessions: an opaque id in a cookie, a record behind it that survives restarts and is shared by workers and replicas.

Touches the store (SQLite or Redis) and the key file. Knows nothing of how somebody signs in; that is the room `signin`.
"""

"""The demonstration: an OpenID provider, Kubernetes APIs and StackLight applications, on loopback, with sample users.

Shares nothing with the edge but the wire.
"""

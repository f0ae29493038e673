"""Carries requests to upstreams: connections, their pools, exchanges and tunnels.

Touches sockets. Never decides whether: what arrives here was judged.
"""

"""OpenID discovery and key sets, and the authenticator with its cache of verified tokens.

Touches the network, through aiohttp. Never decides what an identity may do.
"""

"""Signing browsers in and out at an OpenID issuer, and keeping their sessions' tokens fresh.

Pure steps of the protocol, and thin calls to the issuer and to the sessions. Never decides what somebody may do, and writes no answer:
what came of a step is a value that the edge shows as a page or as JSON.
"""

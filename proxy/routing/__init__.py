"""WHAT is asked? Turns a request's method, host and target into a Target, or refuses it.

Pure. Never asks who asks, whether they may, or whether a cluster exists. Imports errors only.
"""

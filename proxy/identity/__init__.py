"""WHO asks? Bearer bytes and keys in, an Identity out, or the reason why not.

Pure: the clock and the keys are arguments. Imports errors, routing and policy (for role sets).
"""

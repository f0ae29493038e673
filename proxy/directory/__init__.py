"""WHERE is it? A target in, the upstream that serves it out.

Pure. Asked only after the policy, so that existence is told to the permitted alone. Imports routing.
"""

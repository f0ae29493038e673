"""The user's side: signing in, keeping tokens, writing kubeconfigs. Runs on the user's machine and speaks to the issuer and the entry.

Uses the token rules of identity and issuers, and the policy to know which clusters a role reaches; nothing of the edge or of the
composition of the proxy. `credential` is what kubectl runs at each call: its imports are few and all others wait until needed.
"""

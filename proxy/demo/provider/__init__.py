"""An OpenID provider with the layout and the claims of MOSK's Keycloak realm `iam`, for sample users who sign in by a click.

Authlib's `AuthorizationServer` holds the rules of OAuth; joserfc signs. Nothing here outlives the process.
"""

from proxy.demo.provider.application import Provider

__all__ = ["Provider"]

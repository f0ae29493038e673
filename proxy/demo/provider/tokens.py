"""Signs ID and access tokens with the claims that Keycloak puts there for MOSK."""

import uuid
from collections.abc import Callable
from typing import Any, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from proxy.demo.provider.clients import Client
from proxy.demo.provider.credentials import Session

ALGORITHM = "RS256"
TOKEN_SECONDS = 300


def new_key() -> RSAKey:
    """A new signing key, named by its thumbprint."""
    key = RSAKey.generate_key(2048, {"use": "sig", "alg": ALGORITHM}, private=True)
    key.ensure_kid()
    return key


class TokenSigner:
    """Makes and checks the tokens of one issuer with one RSA key."""

    def __init__(self, issuer: str, key: RSAKey, wall: Callable[[], float]) -> None:
        self.issuer = issuer
        self.key = key
        self._wall = wall

    def __repr__(self) -> str:
        return f"TokenSigner({self.issuer}, key {self.key.kid})"

    @property
    def header(self) -> dict[str, str]:
        """The header of every token; joserfc adds `typ: JWT`."""
        return {"alg": ALGORITHM, "kid": str(self.key.kid)}

    def key_set(self) -> dict[str, Any]:
        """The public half, as a JSON Web Key Set."""
        return dict(KeySet([self.key]).as_dict(private=False))

    def client_claims(self, kind: Literal["ID", "Bearer"], client: Client, lifetime: int = TOKEN_SECONDS) -> dict[str, Any]:
        """The claims that do not depend on the person; `lifetime` in seconds."""
        now = int(self._wall())
        audience = client.audiences if len(client.audiences) > 1 else client.audiences[0]  # one stands alone, as in Keycloak
        return {
            "exp": now + lifetime,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "iss": self.issuer,
            "aud": audience,
            "typ": kind,
            "azp": client.client_id,
        }

    @staticmethod
    def session_claims(session: Session) -> dict[str, Any]:
        """The claims about a person; without roles there is no `iam_roles` at all, as in Keycloak."""
        person = session.person
        roles = {"iam_roles": list(person.roles)} if person.roles else {}
        return {
            "sub": person.subject,
            "auth_time": session.auth_time,
            "sid": session.sid,
            "acr": "1",
            "email_verified": True,
            "name": person.full_name,
            "preferred_username": person.username,
            "iam_username": person.username,
            "given_name": person.given_name,
            "family_name": "Sample",
            "email": person.email,
            **roles,
        }

    def access_token(self, session: Session, client: Client, scope: str) -> str:
        """A signed access token."""
        claims = self.client_claims("Bearer", client) | self.session_claims(session) | {"scope": scope}
        return jwt.encode(self.header, claims, self.key, [ALGORITHM])

    def id_token(self, session: Session, client: Client, lifetime: int) -> str:
        """A signed ID token outside any flow, for a kubeconfig; `lifetime` in seconds."""
        claims = self.client_claims("ID", client, lifetime) | self.session_claims(session)
        return jwt.encode(self.header, claims, self.key, [ALGORITHM])

    def verify(self, token: str, kind: Literal["ID", "Bearer"]) -> dict[str, Any] | None:
        """The claims of a token of ours that is still valid and of this kind, else None."""
        try:
            claims = jwt.decode(token, self.key, [ALGORITHM]).claims
            jwt.JWTClaimsRegistry(now=int(self._wall()), typ={"essential": True, "value": kind}).validate(claims)
        except (JoseError, ValueError):
            return None
        return claims

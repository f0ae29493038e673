"""From the issuer's tokens to what a session keeps: verified as any token is, then as an ID token of this sign-in."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from proxy.identity.principal import Identity
from proxy.identity.tokens import IDENTITY_TYPES
from proxy.issuers.authenticator import SignedClaims
from proxy.sessions.record import Contents
from proxy.signin.failures import NotBelieved
from proxy.signin.id_token import Expected, check_id_token
from proxy.signin.provider import TokenAnswer
from proxy.signin.settings import SignInSettings


class Verifier(Protocol):
    """The authenticator, as far as it is needed here: who a token speaks for, and what an issuer says in one."""

    @property
    def generation(self) -> object:
        """Another object whenever identities that were handed out are no longer believed."""

    async def verify(self, token: bytes) -> Identity:
        """Return whom a token speaks for; raises Unauthenticated, Unavailable."""

    async def signed_claims(self, token: bytes, types: Collection[str]) -> SignedClaims:
        """Return what an issuer says in a token of one of these types; raises Unauthenticated, Unavailable."""


@dataclass(frozen=True, slots=True)
class Granted:
    """An identity and what its session keeps of it; `generation` is the verifier's at that moment."""

    identity: Identity
    contents: Contents
    generation: object


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a sign-in comes from, to be shown in the list of sessions."""

    device: str = ""
    address: str = ""


async def granted(
    verifier: Verifier, settings: SignInSettings, answer: TokenAnswer, expected: Expected, visitor: Visitor
) -> Granted:
    """Return what the issuer granted; raises NotBelieved, Unauthenticated, Unavailable."""
    if answer.id_token is None:
        raise NotBelieved("no ID token: has the client the scope openid?")
    token = answer.id_token.encode("utf-8", "replace")
    generation = verifier.generation
    identity = await verifier.verify(token)
    if identity.issuer != settings.issuer:
        raise NotBelieved(f"ID token of another issuer, {identity.issuer!r:.200}")
    signed = await verifier.signed_claims(token, IDENTITY_TYPES)
    check_id_token(signed.claims, signed.algorithm, expected)
    contents = Contents(
        id_token=answer.id_token,
        refresh_token=answer.refresh_token,
        issued_at=float(signed.claims["iat"]),
        expires_at=float(signed.claims["exp"]),
        nonce=expected.nonce,
        device=visitor.device,
        address=visitor.address,
    )
    return Granted(identity, contents, generation)
